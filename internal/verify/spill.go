package verify

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cdcd-io/cdcd/resilience"
)

// ranges is how many ranges of hashes the keys are divided into, a power of two.
const ranges = 128

// entry is a record of the topic or, without its place, a row of the table.
type entry struct {
	key    []byte
	hash   uint64 // of the key
	digest digest
	place
}

// place is where a record is.
type place struct {
	part   int32
	offset int64
	millis int64
}

// newer tells which of two records of a key a consumer has in the end: the later
// one of a partition; across partitions, where a key can be once their number
// has changed, the one with the later time.
func (p place) newer(than place) bool {
	if p.part == than.part {
		return p.offset > than.offset
	}
	return p.millis >= than.millis
}

// spill is one file for each range of keys that has any.
type spill struct {
	path  string // of the files, without their numbers
	files [ranges]*os.File
	bufs  [ranges]*bufio.Writer
	buf   []byte
	count uint64
}

func newSpill(dir, name string) *spill { return &spill{path: filepath.Join(dir, name)} }

// file returns the writer of a range. Nobody else may read what is in it.
func (s *spill) file(i int) (*bufio.Writer, error) {
	if s.files[i] == nil {
		f, err := os.OpenFile(fmt.Sprintf("%s.%d", s.path, i), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		s.files[i], s.bufs[i] = f, bufio.NewWriterSize(f, 16<<10)
	}
	return s.bufs[i], nil
}

func spillError(err error) error {
	return resilience.Errorf(resilience.Fatal, "verify_disk", "verify table", "%w", err).
		WithHint("--dir names a folder with room for hashes and keys of all rows and records")
}

// close removes the files.
func (s *spill) close() {
	for i, f := range s.files {
		if f != nil {
			f.Close()
			_ = os.Remove(f.Name())
		}
		s.files[i], s.bufs[i] = nil, nil
	}
}

func (s *spill) add(e *entry) error {
	b := binary.LittleEndian.AppendUint64(s.buf[:0], e.hash)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.digest))
	b = binary.AppendUvarint(b, uint64(e.part))
	b = binary.AppendVarint(b, e.offset)
	b = binary.AppendVarint(b, e.millis)
	b = binary.AppendUvarint(b, uint64(len(e.key)))
	s.buf = append(b, e.key...)
	s.count++
	w, err := s.file(int(e.hash % ranges))
	if err == nil {
		_, err = w.Write(s.buf)
	}
	if err != nil {
		return spillError(err)
	}
	return nil
}

// eachOf visits the entries of a range in the order they were added. An entry is
// valid until the next one.
func (s *spill) eachOf(i int, visit func(*entry) error) error {
	if s.files[i] == nil {
		return nil
	}
	if err := s.bufs[i].Flush(); err != nil {
		return spillError(err)
	}
	if _, err := s.files[i].Seek(0, io.SeekStart); err != nil {
		return spillError(err)
	}
	r := bufio.NewReaderSize(s.files[i], 64<<10)
	var e entry
	for {
		if err := e.read(r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return spillError(err)
		}
		if err := visit(&e); err != nil {
			return err
		}
	}
}

// read reads what add wrote. The error is io.EOF at the end.
func (e *entry) read(r *bufio.Reader) error {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	e.hash, e.digest = binary.LittleEndian.Uint64(head[:]), digest(binary.LittleEndian.Uint64(head[8:]))
	part, err := binary.ReadUvarint(r)
	if err == nil {
		e.offset, err = binary.ReadVarint(r)
	}
	if err == nil {
		e.millis, err = binary.ReadVarint(r)
	}
	var size uint64
	if err == nil {
		size, err = binary.ReadUvarint(r)
	}
	if err != nil {
		return cutOff(err)
	}
	e.part = int32(part)
	e.key = append(e.key[:0], make([]byte, size)...)
	_, err = io.ReadFull(r, e.key)
	return cutOff(err)
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
