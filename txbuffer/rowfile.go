package txbuffer

import (
	"bufio"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// RowFile holds the rows of one table on disk: they are written once and then
// read back once, in order. The file has no name, so nothing of it is left
// however the process ends. One goroutine at a time uses it.
type RowFile struct {
	file  *os.File
	where string // its folder, for errors
	limit int64

	bytes int64
	rows  uint64 // written
	out   *bufio.Writer
	head  [headerBytes]byte

	in   *bufio.Reader // nil while it is written
	read uint64        // rows
}

// NewRowFile makes an empty file in the folder, which it creates where it is
// missing. It takes at most limit bytes.
func NewRowFile(dir string, limit int64) (*RowFile, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, diskError("create spill directory", dir, err)
	}
	f, err := os.CreateTemp(dir, "table-")
	if err != nil {
		return nil, diskError("create row file", dir, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close() // nothing was written
		return nil, diskError("unlink row file", dir, err)
	}
	return &RowFile{file: f, where: dir, limit: limit, out: bufio.NewWriterSize(f, writeBuffer)}, nil
}

// Rows is how many rows were written, Bytes how long the file is.
func (f *RowFile) Rows() uint64 { return f.rows }

// Bytes is the length of the file.
func (f *RowFile) Bytes() int64 { return f.bytes }

// Append writes rows, whose ordinals it gives. It keeps none of their memory.
func (f *RowFile) Append(raw event.RawRows) error {
	n := recordBytes(&raw)
	if f.bytes+n > f.limit {
		return resilience.Errorf(resilience.Fatal, "spill_limit", "write row file", "the table is larger than max_spill_bytes (%d)", f.limit).
			WithHint("raise max_spill_bytes, give the table a primary key, or leave it out with snapshot.exclude")
	}
	raw.Ordinal, raw.TableOrdinal = f.rows, f.rows
	if _, err := f.out.Write(appendHeader(f.head[:0], &raw, 0)); err != nil {
		return diskError("write row file", f.where, err)
	}
	if _, err := f.out.Write(raw.Body); err != nil {
		return diskError("write row file", f.where, err)
	}
	f.bytes += n
	f.rows += uint64(raw.Rows)
	return nil
}

// Next returns the rows that were written next, in memory of their own and
// without Table, and io.EOF behind the last. The first call ends the writing.
func (f *RowFile) Next() (event.RawRows, error) {
	if f.in == nil {
		if err := f.rewind(); err != nil {
			return event.RawRows{}, err
		}
	}
	if f.read == f.rows {
		return event.RawRows{}, io.EOF
	}
	if err := f.fill(f.head[:]); err != nil {
		return event.RawRows{}, err
	}
	h, ok := parseHeader(&f.head)
	if !ok || h.raw.Ordinal != f.read || int64(h.length) > f.bytes {
		return event.RawRows{}, corruptError(f.where, "the head of row %d is damaged", f.read)
	}
	h.raw.Body = make([]byte, h.length)
	if err := f.fill(h.raw.Body); err != nil {
		return event.RawRows{}, err
	}
	if crc32.Checksum(h.raw.Body, castagnoli) != h.bodyCRC {
		return event.RawRows{}, corruptError(f.where, "checksum of row %d is wrong", f.read)
	}
	f.read += uint64(h.raw.Rows)
	return h.raw, nil
}

func (f *RowFile) rewind() error {
	if err := f.out.Flush(); err != nil {
		return diskError("write row file", f.where, err)
	}
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return diskError("read row file", f.where, err)
	}
	f.out, f.in = nil, bufio.NewReaderSize(f.file, readBuffer)
	return nil
}

func (f *RowFile) fill(b []byte) error {
	_, err := io.ReadFull(f.in, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corruptError(f.where, "the row file ends before row %d: %w", f.read, err)
	}
	if err != nil {
		return diskError("read row file", f.where, err)
	}
	return nil
}

// Close frees the disk. What it returned stays.
func (f *RowFile) Close() error {
	if err := f.file.Close(); err != nil {
		return diskError("close row file", f.where, err)
	}
	return nil
}
