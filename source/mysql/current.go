package mysql

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// current is the event at hand: small (all of its body is there, its checksum
// verified), large (its first bytes are there, the rest still on the wire) or
// inside a compressed transaction.
type current struct {
	header binlog.Header
	start  uint64 // offset of its first byte in the file; of the payload event for what is inside one
	body   []byte // of a small event
	head   []byte // of a large one: what was peeked at, header included
	kind   currentKind
}

type currentKind uint8

const (
	small currentKind = iota
	large
	inner
)

// advance goes to the next event.
func (st *stream) advance() error {
	if st.inside != nil {
		more, err := st.advanceInside()
		if err != nil || more {
			return err
		}
	}
	for {
		ev, isLarge, err := st.frames.next()
		if err != nil {
			return err
		}
		if err := st.meet(ev, isLarge); err != nil {
			return err
		}
		if st.skipTo == 0 || st.cur.header.Type == binlog.TypeFormat || st.cur.header.Type == binlog.TypeRotate {
			return nil
		}
		if err := st.passOver(); err != nil {
			return err
		}
	}
}

// meet takes a top-level event.
func (st *stream) meet(ev []byte, isLarge bool) error {
	st.cur = current{}
	h, err := binlog.ParseHeader(ev)
	if err != nil && !isLarge {
		return err
	}
	st.cur.header = h
	if isLarge {
		if h.Size < binlog.HeaderSize+4 {
			return err
		}
		st.cur.kind, st.cur.head = large, ev
	} else if h.Type != binlog.TypeFormat {
		if st.cur.body, err = st.format.Body(h, ev); err != nil {
			return err
		}
	} else {
		st.cur.body = ev // its parser wants all of it
	}
	st.cur.start, err = st.place.pass(h, st.tx.phase != idle)
	return err
}

// passOver drops an event before the offset from which we want to read.
func (st *stream) passOver() error {
	if st.place.offset > st.skipTo {
		return resetError("no event of %s ends at our position %d", st.place.file.Name, st.skipTo)
	}
	if st.place.offset == st.skipTo {
		st.skipTo = 0
	}
	return st.drop()
}

// prefix returns the first n bytes of the body, fewer where it is shorter.
func (st *stream) prefix(n int) ([]byte, error) {
	switch st.cur.kind {
	case large:
		head := st.cur.head[binlog.HeaderSize:]
		return head[:min(n, len(head))], nil
	case inner:
		return st.payload.Prefix(n)
	}
	return st.cur.body[:min(n, len(st.cur.body))], nil
}

// body returns all of the body, verified. It is valid until the next event.
func (st *stream) body() ([]byte, error) {
	size := int64(st.cur.header.Size)
	if st.cur.kind != small && size > st.source.cfg.MaxRowBytes {
		return nil, resilience.Errorf(resilience.Fatal, codeRowSize, opRead, "a %s event has %d bytes, %d are allowed",
			st.cur.header.Type, size, st.source.cfg.MaxRowBytes).
			WithHint("raise max_row_bytes (memory for a few events of that size is needed), or exclude the table")
	}
	switch st.cur.kind {
	case large:
		ev, err := st.frames.whole(int(size))
		if err != nil {
			return nil, err
		}
		return st.format.Body(st.cur.header, ev)
	case inner:
		return st.payload.Body()
	}
	return st.cur.body, nil
}

// drop passes over the rest of the event without keeping it; its checksum is
// verified all the same.
func (st *stream) drop() error {
	if st.cur.kind != large {
		return nil
	}
	r := st.largeBody()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	return r.verify()
}

// summed reads the body of a large event up to its checksum.
type summed struct {
	frames *framer
	left   int // up to the checksum
	sum    uint32
	check  bool
	header binlog.Header
}

// largeBody returns the reader of a large event's body. The peeked bytes after
// the header are still on the framer's side: they are read again.
func (st *stream) largeBody() *summed {
	h := st.cur.header
	r := &summed{frames: st.frames, header: h, check: st.format.Checksum, left: int(h.Size) - binlog.HeaderSize}
	if r.check {
		r.left -= 4
	}
	r.sum = crc32.ChecksumIEEE(st.cur.head[:binlog.HeaderSize])
	st.frames.consume(binlog.HeaderSize)
	return r
}

// Read implements io.Reader.
func (r *summed) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n, err := r.frames.Read(p[:min(len(p), r.left)])
	r.left -= n
	r.sum = crc32.Update(r.sum, crc32.IEEETable, p[:n])
	if err == io.EOF {
		err = garbled("an event is shorter than its header says")
	}
	return n, err
}

// verify compares the checksum once the body has been read.
func (r *summed) verify() error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if !r.check {
		return nil
	}
	var stored [4]byte
	if _, err := io.ReadFull(r.frames, stored[:]); err != nil {
		return garbled("an event is shorter than its header says")
	}
	if binary.LittleEndian.Uint32(stored[:]) != r.sum {
		return resilience.Errorf(resilience.Fatal, binlog.CodeChecksum, opRead, "the CRC32 of a %s event does not match", r.header.Type).
			WithHint("the event was damaged in the log: check the file with mysqlbinlog --verify-binlog-checksum")
	}
	return nil
}
