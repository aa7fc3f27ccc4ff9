package binlog

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
)

var (
	record = flag.Bool("record", false, "record the logs under testdata again, from real servers")
	update = flag.Bool("update", false, "write the readings under testdata again; read the difference before you commit it")
)

// logEvent is one event of a recorded log file.
type logEvent struct {
	Header
	offset uint64
	raw    []byte
	body   []byte
}

// splitLog cuts a whole log file into its events with the parsers under test.
func splitLog(t testing.TB, b []byte) (f *Format, list []logEvent) {
	t.Helper()
	for off := 4; off+HeaderSize <= len(b); {
		raw := b[off : off+int(le32(b[off+9:]))]
		h, err := ParseHeader(raw)
		if err != nil {
			t.Fatal(err)
		}
		e := logEvent{Header: h, offset: uint64(off), raw: raw}
		if h.Type == TypeFormat {
			f, err = ParseFormat(raw)
		} else {
			e.body, err = f.Body(h, raw)
		}
		if err != nil {
			t.Fatalf("%s at %d: %v", h.Type, off, err)
		}
		list = append(list, e)
		off += len(raw)
	}
	return f, list
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gunzipped(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func saveFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
