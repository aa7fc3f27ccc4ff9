package txbuffer

import (
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/cdcd-io/cdcd/event"
)

// spilled is one transaction on disk: its segments in order and the table
// versions its records point at.
type spilled struct {
	segments []segment
	tables   []*event.Table
	bytes    int64  // charged to the disk budget when written; segments are given back one by one
	from, to uint64 // numbers of the first row and of the one behind the last
}

// segment is one file.
type segment struct {
	name    string
	bytes   int64
	records uint64
}

// spillWriter writes the open transaction to segments. The producer owns it;
// mu lets Close wait for a disk operation under way, nothing else.
type spillWriter struct {
	dir          *spillDir
	segmentBytes int64
	tx           *spilled // nil while the open transaction is in memory
	index        map[*event.Table]uint32
	names        uint64 // segments named so far
	buf          []byte // records not yet written

	mu     sync.Mutex
	file   io.WriteCloser // of the last segment
	closed bool
}

const writeBuffer = 256 << 10

// begin opens a transaction on disk. The first file comes with the first event.
func (w *spillWriter) begin() {
	w.tx = &spilled{}
	w.index = make(map[*event.Table]uint32)
	if w.buf == nil {
		w.buf = make([]byte, 0, writeBuffer)
	}
}

// append adds one event.
func (w *spillWriter) append(raw *event.RawRows) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := recordBytes(raw)
	if len(w.tx.segments) == 0 {
		w.tx.from = raw.Ordinal
	}
	if err := w.segmentFor(n); err != nil {
		return err
	}
	if n > int64(cap(w.buf)-len(w.buf)) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.buf = appendHeader(w.buf, raw, w.table(raw.Table))
	s := &w.tx.segments[len(w.tx.segments)-1]
	s.bytes += n
	s.records++
	w.tx.to = raw.Ordinal + uint64(raw.Rows)
	return w.body(raw.Body)
}

// body adds a body to the buffer, or writes it right away when it is large.
func (w *spillWriter) body(b []byte) error {
	if len(b) <= cap(w.buf)-len(w.buf) {
		w.buf = append(w.buf, b...)
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.write(b)
}

// table returns the index of a table version.
func (w *spillWriter) table(t *event.Table) uint32 {
	i, ok := w.index[t]
	if !ok {
		i = uint32(len(w.tx.tables))
		w.index[t] = i
		w.tx.tables = append(w.tx.tables, t)
	}
	return i
}

// segmentFor makes sure that a record of n bytes has a segment to go to.
func (w *spillWriter) segmentFor(n int64) error {
	if last := len(w.tx.segments) - 1; last >= 0 && w.tx.segments[last].bytes+n <= w.segmentBytes {
		return nil
	}
	if err := w.endSegment(); err != nil {
		return err
	}
	if w.closed {
		return ErrClosed
	}
	w.names++
	name := filepath.Join(w.dir.path, fmt.Sprintf("%08d.seg", w.names))
	f, err := w.dir.fs.create(name)
	if err != nil {
		return diskError("create spill segment", name, err)
	}
	w.file = f
	w.tx.segments = append(w.tx.segments, segment{name: name})
	return nil
}

// endSegment writes what is buffered and closes the file. There is no fsync:
// after a crash of the machine nobody reads the segments.
func (w *spillWriter) endSegment() error {
	if err := w.flush(); err != nil || w.file == nil {
		return err
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return diskError("close spill segment", w.lastName(), err)
	}
	return nil
}

func (w *spillWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	err := w.write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *spillWriter) write(b []byte) error {
	if w.file == nil {
		return ErrClosed
	}
	n, err := w.file.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return diskError("write spill segment", w.lastName(), err)
	}
	return nil
}

func (w *spillWriter) lastName() string { return w.tx.segments[len(w.tx.segments)-1].name }

// finish completes the files of the open transaction. The caller takes tx and
// sets it to nil; until then finish may be called again.
func (w *spillWriter) finish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.endSegment()
}

// drop removes the files of the open transaction.
func (w *spillWriter) drop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = w.buf[:0]
	if w.file != nil {
		w.file.Close() // the file goes anyway
		w.file = nil
	}
	tx := w.tx
	w.tx, w.index = nil, nil
	for _, s := range tx.segments {
		if err := w.dir.fs.remove(s.name); err != nil {
			return diskError("remove spill segment", s.name, err)
		}
	}
	return nil
}

// close ends the writer from outside; the folder is removed by who calls it.
func (w *spillWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.file != nil {
		w.file.Close() // the file goes anyway
		w.file = nil
	}
}
