package binlog

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/cdcd-io/cdcd/resilience"
)

// innerEvent is an event as it lies inside a payload.
func innerEvent(typ EventType, size int) []byte {
	ev := make([]byte, HeaderSize+size)
	ev[4] = byte(typ)
	binary.LittleEndian.PutUint32(ev[9:], uint32(len(ev)))
	for i := range size {
		ev[HeaderSize+i] = byte(i)
	}
	return ev
}

func zstdBytes(t testing.TB, window int, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

func newPayload(t testing.TB, max int) *PayloadReader {
	t.Helper()
	p, err := NewPayloadReader(max)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestPayloadReader(t *testing.T) {
	all := append(append(innerEvent(TypeQuery, 30), innerEvent(TypeWriteRows, 300_000)...), innerEvent(TypeXID, 8)...)
	p := newPayload(t, 1<<20)
	for compression, b := range map[uint64][]byte{compressionZstd: zstdBytes(t, 1<<20, all), compressionNone: all} {
		if err := p.Reset(Payload{Compression: compression}, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		for _, want := range []struct {
			typ  EventType
			size int
		}{{TypeQuery, 30}, {TypeWriteRows, 300_000}, {TypeXID, 8}} {
			h, err := p.Next()
			if err != nil || h.Type != want.typ {
				t.Fatal(h, err)
			}
			head, err := p.Prefix(20)
			if err != nil || len(head) != min(20, want.size) || head[7] != 7 {
				t.Fatalf("prefix %x, %v", head, err)
			}
			if want.typ == TypeQuery {
				continue // the rest is skipped
			}
			body, err := p.Body()
			if err != nil || len(body) != want.size || body[want.size-1] != byte(want.size-1) {
				t.Fatal(len(body), err)
			}
		}
		if _, err := p.Next(); err != io.EOF {
			t.Fatal(err)
		}
	}
}

func TestPayloadReaderReusesItsMemory(t *testing.T) {
	b := zstdBytes(t, 1<<18, bytes.Repeat(innerEvent(TypeWriteRows, 5000), 20))
	p := newPayload(t, 1<<20)
	r := bytes.NewReader(nil)
	read := func() {
		r.Reset(b)
		if err := p.Reset(Payload{}, r); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := p.Next(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Body(); err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	if n := testing.AllocsPerRun(10, read); n > 0 {
		t.Errorf("%v allocations for a payload of 20 events", n)
	}
}

func TestPayloadRefusals(t *testing.T) {
	broken := errors.New("connection reset")
	event := innerEvent(TypeWriteRows, 5000)
	random := make([]byte, 40<<20)
	for i := range random {
		random[i] = byte(i * i >> 7)
	}
	for _, c := range []struct {
		name, code string
		head       Payload
		r          io.Reader
	}{
		{"too large an event", CodeEventTooLarge, Payload{}, bytes.NewReader(zstdBytes(t, 1<<18, event))},
		{"cut", CodeMalformed, Payload{Compression: compressionNone}, bytes.NewReader(innerEvent(TypeXID, 3000)[:100])},
		{"cut header", CodeMalformed, Payload{Compression: compressionNone}, bytes.NewReader(event[:10])},
		{"impossible size", CodeMalformed, Payload{Compression: compressionNone}, bytes.NewReader(make([]byte, 40))},
		{"no zstd", CodeMalformed, Payload{}, bytes.NewReader(event)},
		{"unknown compression", CodeCompression, Payload{Compression: 1}, nil},
		{"window", CodePayloadWindow, Payload{}, bytes.NewReader(zstdBytes(t, 32<<20, random))},
		{"connection", "", Payload{}, io.MultiReader(bytes.NewReader(zstdBytes(t, 1<<18, event)[:10]), errorReader{broken})},
	} {
		p := newPayload(t, 4000)
		err := p.Reset(c.head, c.r)
		if err == nil {
			if _, err = p.Next(); err == nil {
				_, err = p.Body()
			}
		}
		if c.code == "" && !errors.Is(err, broken) || resilience.CodeOf(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestPayloadHead(t *testing.T) {
	head := []byte{2, 3, 0xfc, 0xff, 0, 3, 1, 200, 9, 2, 'x', 'y', 1, 3, 0xfc, 0, 1, 0, 'b'}
	p, n, err := ParsePayload(head)
	if err != nil || n != len(head)-1 || p != (Payload{Size: 256, Uncompressed: 200, Compression: compressionNone}) {
		t.Error(p, n, err)
	}
	for i := range len(head) - 1 {
		if _, _, err := ParsePayload(head[:i]); resilience.CodeOf(err) != CodeMalformed {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
}

func compressed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	out.Write([]byte{0x84, byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))})
	w := zlib.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestInflater(t *testing.T) {
	f := Inflater{Max: 1 << 20}
	rows := bytes.Repeat([]byte("row"), 1000)
	body := append([]byte{1, 0xff, 0xff}, compressed(t, rows)...)
	for typ, want := range map[EventType]EventType{TypeUpdateRowsCompressedV1: TypeUpdateRowsV1, TypeUpdateRowsCompressed: TypeUpdateRows} {
		r, err := f.Rows(Rows{Type: typ, Op: 'u', Body: body})
		if err != nil || r.Type != want || !bytes.Equal(r.Body, append([]byte{1, 0xff, 0xff}, rows...)) {
			t.Errorf("%s: %s with %d bytes, %v", typ, r.Type, len(r.Body), err)
		}
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = f.Rows(Rows{Type: TypeUpdateRowsCompressed, Op: 'u', Body: body}) }); n > 1 {
		t.Errorf("%v allocations, one is the checksum's in compress/zlib", n)
	}
}

func TestInflaterRefusals(t *testing.T) {
	f := Inflater{Max: 2000}
	good := compressed(t, make([]byte, 1000))
	for _, c := range []struct {
		name, code string
		b          []byte
	}{
		{"too large", CodeEventTooLarge, compressed(t, make([]byte, 3000))},
		{"empty", CodeMalformed, nil},
		{"cut", CodeMalformed, good[:12]},
		{"no zlib", CodeMalformed, append([]byte{0x81, 10}, "no zlib at all"...)},
		{"algorithm", CodeCompression, append([]byte{0x91, 10}, good...)},
		{"longer than it says", CodeMalformed, append([]byte{0x84, 0, 0, 7, 0x00}, good[5:]...)},
	} {
		if _, err := f.Rows(Rows{Type: TypeWriteRowsCompressed, Op: 'c', Body: append([]byte{1, 0xff}, c.b...)}); resilience.CodeOf(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// FuzzPayload wants of any bytes events or a classified error.
func FuzzPayload(f *testing.F) {
	f.Add([]byte{2, 1, 0, 0}, zstdBytes(f, 1<<18, innerEvent(TypeXID, 8)))
	f.Add([]byte{2, 3, 0xfc, 0xff, 0, 0}, innerEvent(TypeXID, 8))
	p, err := NewPayloadReader(4096)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, head, b []byte) {
		h, _, err := ParsePayload(head)
		if err == nil {
			err = p.Reset(h, bytes.NewReader(b))
		}
		for err == nil {
			if _, err = p.Next(); err == nil {
				_, err = p.Body()
			}
		}
		if err != io.EOF {
			mustBeClassified(t, err)
		}
	})
}
