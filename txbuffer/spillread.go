package txbuffer

import (
	"bufio"
	"errors"
	"hash/crc32"
	"io"
	"sync"
)

// spillReader reads transactions back in the order of their commits. The
// consumer owns it; mu lets Close wait for a disk operation under way.
type spillReader struct {
	dir     *spillDir
	tx      *spilled // being read; nil between transactions
	at      int      // index of the segment that is read next or now
	left    uint64   // records not yet read of the open segment
	bytes   int64    // bytes not yet read of it
	head    header   // of the next record
	pending bool     // head has been read, its body not
	row     uint64   // number of the row that comes next

	mu     sync.Mutex
	file   io.ReadCloser
	buf    *bufio.Reader
	closed bool
}

const readBuffer = 64 << 10

// peek returns the size of the next event of tx, which becomes the transaction
// that is read.
func (s *spillReader) peek(tx *spilled) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		s.tx, s.at, s.row = tx, 0, tx.from
	}
	if err := s.next(); err != nil {
		return 0, err
	}
	return int(s.head.length), nil
}

// fill reads events into b until it is full or the transaction ends, in which
// case tx is nil afterwards. It returns the bytes of the files it removed.
func (s *spillReader) fill(b *block) (freed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.tx != nil {
		if err := s.next(); err != nil {
			return freed, err
		}
		if !b.fits(int(s.head.length)) {
			return freed, nil
		}
		if err := s.readBody(b); err != nil {
			return freed, err
		}
		n, err := s.endSegment()
		freed += n
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}

// next makes head the head of the next record and checks that it is the one
// that was written there: undamaged, inside the file, and with the number that
// follows the last one, so that no segment is missing, doubled or exchanged.
func (s *spillReader) next() error {
	if s.pending {
		return nil
	}
	if err := s.openSegment(); err != nil {
		return err
	}
	var b [headerBytes]byte
	if err := s.read(b[:]); err != nil {
		return err
	}
	h, ok := parseHeader(&b)
	switch {
	case !ok:
		return corruptError(s.name(), "checksum of a record's head is wrong")
	case int64(h.length) > s.bytes:
		return corruptError(s.name(), "a record of %d bytes where %d are left", h.length, s.bytes)
	case h.raw.Ordinal != s.row || int(h.table) >= len(s.tx.tables):
		return corruptError(s.name(), "row %d of table version %d where row %d was expected", h.raw.Ordinal, h.table, s.row)
	}
	s.head, s.pending = h, true
	return nil
}

// readBody moves the body of head to the end of b.
func (s *spillReader) readBody(b *block) error {
	from := len(b.body)
	b.body = b.body[:from+int(s.head.length)]
	body := b.body[from:]
	if err := s.read(body); err != nil {
		return err
	}
	if crc32.Checksum(body, castagnoli) != s.head.bodyCRC {
		return corruptError(s.name(), "checksum of a record's body is wrong")
	}
	s.head.raw.Table = s.tx.tables[s.head.table]
	b.describe(&s.head.raw, from)
	s.row += uint64(s.head.raw.Rows)
	s.left--
	s.pending = false
	return nil
}

func (s *spillReader) openSegment() error {
	if s.file != nil {
		return nil
	}
	if s.closed {
		return ErrClosed
	}
	f, err := s.dir.fs.open(s.name())
	if err != nil {
		return diskError("open spill segment", s.name(), err)
	}
	if s.buf == nil {
		s.buf = bufio.NewReaderSize(nil, readBuffer)
	}
	s.file = f
	s.buf.Reset(f)
	s.left, s.bytes = s.tx.segments[s.at].records, s.tx.segments[s.at].bytes
	return nil
}

// endSegment removes a segment that has been read to its end, and ends the
// transaction after the last one.
func (s *spillReader) endSegment() (freed int64, err error) {
	if s.left > 0 {
		return 0, nil
	}
	s.file.Close() // it was only read
	s.file = nil
	if err := s.dir.fs.remove(s.name()); err != nil {
		return 0, diskError("remove spill segment", s.name(), err)
	}
	freed = s.tx.segments[s.at].bytes
	if s.at++; s.at == len(s.tx.segments) {
		if s.row != s.tx.to {
			return freed, corruptError(s.dir.path, "the rows that came back end before row %d, not %d", s.row, s.tx.to)
		}
		s.tx = nil
	}
	return freed, nil
}

func (s *spillReader) read(b []byte) error {
	if s.file == nil {
		return ErrClosed
	}
	_, err := io.ReadFull(s.buf, b)
	s.bytes -= int64(len(b))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corruptError(s.name(), "the file ends too early: %w", err)
	}
	if err != nil {
		return diskError("read spill segment", s.name(), err)
	}
	return nil
}

func (s *spillReader) name() string { return s.tx.segments[s.at].name }

// close ends the reader from outside; the folder is removed by who calls it.
func (s *spillReader) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.file != nil {
		s.file.Close() // it was only read
		s.file = nil
	}
}
