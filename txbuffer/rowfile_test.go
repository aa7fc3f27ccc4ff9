package txbuffer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

func newTestRowFile(t *testing.T, limit int64) *RowFile {
	t.Helper()
	f, err := NewRowFile(t.TempDir(), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestRowFileGivesBackWhatItTook(t *testing.T) {
	f := newTestRowFile(t, 1<<30)
	var want []event.RawRows
	rows := uint64(0)
	for i := range 300 {
		raw := event.RawRows{Op: event.Read, Type: byte(i), Rows: uint32(i%5 + 1), Body: bytes.Repeat([]byte{byte(i)}, i*i)}
		if err := f.Append(raw); err != nil {
			t.Fatal(err)
		}
		raw.Ordinal, raw.TableOrdinal = rows, rows
		want = append(want, raw)
		rows += uint64(raw.Rows)
	}
	for i, w := range want {
		got, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got.Ordinal != w.Ordinal || got.TableOrdinal != w.TableOrdinal || got.Rows != w.Rows || got.Op != w.Op || got.Type != w.Type || !bytes.Equal(got.Body, w.Body) {
			t.Fatalf("record %d came back as %+v", i, got)
		}
	}
	if _, err := f.Next(); err != io.EOF {
		t.Errorf("behind the last: %v", err)
	}
	if f.Rows() != rows {
		t.Errorf("%d rows, want %d", f.Rows(), rows)
	}
}

func TestRowFileHasNoName(t *testing.T) {
	dir := t.TempDir()
	f, err := NewRowFile(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestRowFileIsBounded(t *testing.T) {
	f := newTestRowFile(t, 1000)
	if err := f.Append(event.RawRows{Rows: 1, Body: make([]byte, 900)}); err != nil {
		t.Fatal(err)
	}
	if err := f.Append(event.RawRows{Rows: 1, Body: make([]byte, 60)}); resilience.CodeOf(err) != "spill_limit" {
		t.Errorf("%v", err)
	}
}

func TestRowFileFindsDamage(t *testing.T) {
	for name, harm := range map[string]func(*os.File) error{
		"head":  func(f *os.File) error { _, err := f.WriteAt([]byte{0xff}, 20); return err },
		"body":  func(f *os.File) error { _, err := f.WriteAt([]byte{0xff}, headerBytes+7); return err },
		"short": func(f *os.File) error { return f.Truncate(headerBytes + 50) },
	} {
		f := newTestRowFile(t, 1<<20)
		err := f.Append(event.RawRows{Rows: 3, Body: make([]byte, 100)})
		err = errors.Join(err, f.rewind(), harm(f.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Next(); resilience.CodeOf(err) != "spill_corrupt" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
