package binlog

import (
	"bytes"
	"compress/zlib"
	"io"

	"github.com/cdcd-io/cdcd/resilience"
)

const opInflate = "inflate compressed event"

// Inflater inflates the compressed events of MariaDB. It reuses its memory: what
// a call returns is valid until the next one. It serves one goroutine.
type Inflater struct {
	// Max bounds an inflated event in bytes.
	Max int

	in  bytes.Reader
	z   io.ReadCloser
	out []byte
}

// Rows inflates the rows of a compressed rows event and returns it as the rows
// event of the type without compression.
func (f *Inflater) Rows(r Rows) (Rows, error) {
	c := cursor{b: r.Body}
	bitmap := (c.lenenc() + 7) / 8
	c.take(bitmap)
	if r.Op == 'u' {
		c.take(bitmap)
	}
	if c.bad || !r.Type.IsCompressedRows() {
		return Rows{}, malformed(opInflate, "%s has no compressed rows", r.Type)
	}
	f.out = append(f.out[:0], r.Body[:len(r.Body)-len(c.b)]...)
	if err := f.inflate(c.b); err != nil {
		return Rows{}, err
	}
	r.Body = f.out
	if r.Type >= TypeWriteRowsCompressed {
		r.Type -= compressedToV2
	} else {
		r.Type -= compressedV1ToV1
	}
	return r, nil
}

// Query inflates the body of a QUERY_COMPRESSED event to that of a QUERY event.
func (f *Inflater) Query(body []byte) ([]byte, error) {
	c := cursor{b: body}
	c.u64()
	dbLen := c.u8()
	c.u16()
	vars := c.u16()
	c.take(uint64(vars) + uint64(dbLen) + 1)
	if c.bad {
		return nil, malformed(opInflate, "truncated after %d bytes", len(body))
	}
	f.out = append(f.out[:0], body[:len(body)-len(c.b)]...)
	if err := f.inflate(c.b); err != nil {
		return nil, err
	}
	return f.out, nil
}

// inflate appends what b holds to out: a byte whose low three bits are the
// number of length bytes and whose next bits the algorithm, the big-endian
// length, and a zlib stream.
func (f *Inflater) inflate(b []byte) error {
	c := cursor{b: b}
	head := c.u8()
	size := bigEndian(c.take(uint64(head & 7)))
	if c.bad || head&7 == 0 || head&7 > 4 || head&0x80 == 0 {
		return malformed(opInflate, "compression header %#x", head)
	}
	if head&0x70 != 0 {
		return resilience.Errorf(resilience.Fatal, CodeCompression, opInflate, "algorithm %d", head&0x70>>4)
	}
	if size > uint64(f.Max) {
		return tooLarge(opInflate, size, f.Max)
	}
	if err := f.reset(c.b); err != nil {
		return malformed(opInflate, "%w", err)
	}
	return f.fill(int(size))
}

func (f *Inflater) reset(b []byte) (err error) {
	f.in.Reset(b)
	if f.z == nil {
		f.z, err = zlib.NewReader(&f.in)
		return err
	}
	return f.z.(zlib.Resetter).Reset(&f.in, nil)
}

// fill reads size bytes in steps, so that memory follows what is really there.
func (f *Inflater) fill(size int) error {
	const chunk = 1 << 20
	for size > 0 {
		n := min(size, chunk)
		from := len(f.out)
		f.out = grow(f.out, n)
		if _, err := io.ReadFull(f.z, f.out[from:]); err != nil {
			return malformed(opInflate, "%w", err)
		}
		size -= n
	}
	return nil
}

// grow returns b longer by n bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		b = append(b, make([]byte, n)...)
		return b
	}
	return b[:len(b)+n]
}

func tooLarge(op string, size uint64, max int) error {
	return resilience.Errorf(resilience.Fatal, CodeEventTooLarge, op, "%d bytes, %d are allowed", size, max).
		WithHint("raise max_row_bytes, or exclude the table")
}
