package mysql

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// chunkBody is the usual size of a body of rows.
const chunkBody = 256 << 10

// rowBuffer reads the packets of one result straight into the bodies that are
// handed on: the header of a packet becomes the length before its row.
type rowBuffer struct {
	r        io.Reader
	max      int // bytes of a row
	sequence byte
	buf      []byte
	first    int // where the body under way begins
	pos, end int // of what is read and not taken
	rows     uint32
	bodies   []event.RawRows
	dropping bool // rows are passed over
}

// newRowBuffer reads from r, which must be at the start of the packet with the
// given number. Rows over max bytes are an error.
func newRowBuffer(r io.Reader, sequence byte, size, max int) *rowBuffer {
	return &rowBuffer{r: r, sequence: sequence, buf: make([]byte, size), max: max}
}

// next takes the next packet. Its bytes are valid until the following call;
// those of a row stay in its body.
func (b *rowBuffer) next() ([]byte, error) {
	size := 0
	for more := true; more; {
		n, err := b.header(size)
		if err != nil {
			return nil, err
		}
		if size+n > b.max {
			return nil, resilience.Errorf(resilience.Fatal, codeRowSize, opReadChunk, "a row has more than %d bytes", b.max).
				WithHint("raise max_row_bytes (memory for a few rows of that size is needed), or exclude the table")
		}
		if err := b.fill(packetHeader + size + n); err != nil {
			return nil, err
		}
		size += n
		more = n == maxPacket
	}
	binary.LittleEndian.PutUint32(b.buf[b.pos:], uint32(size))
	p := b.buf[b.pos+packetHeader : b.pos+packetHeader+size]
	b.pos += packetHeader + size
	return p, nil
}

// header reads the header of a packet of which size bytes were read in packets
// before it, and returns its length. Only the first header stays.
func (b *rowBuffer) header(size int) (int, error) {
	from := packetHeader + size
	if size == 0 {
		from = 0
	}
	if err := b.fill(from + packetHeader); err != nil {
		return 0, err
	}
	at := b.pos + from
	h := binary.LittleEndian.Uint32(b.buf[at:])
	if got := byte(h >> 24); got != b.sequence {
		return 0, garbled("packet number %d where %d is due", got, b.sequence)
	}
	b.sequence++
	if size > 0 {
		b.end = at + copy(b.buf[at:], b.buf[at+packetHeader:b.end])
	}
	return int(h & maxPacket), nil
}

// fill makes sure that n bytes are read and not taken.
func (b *rowBuffer) fill(n int) error {
	if b.pos+n > len(b.buf) {
		b.roll(n)
	}
	for b.end-b.pos < n {
		k, err := b.r.Read(b.buf[b.end:])
		b.end += k
		if err := lost(err, k); err != nil {
			return err
		}
	}
	return nil
}

// roll begins a new buffer with what was not taken from the last one.
func (b *rowBuffer) roll(n int) {
	next := b.buf
	if !b.dropping || n > len(next) {
		b.cut()
		next = make([]byte, max(chunkBody, n))
	}
	b.end = copy(next, b.buf[b.pos:b.end])
	b.buf, b.first, b.pos = next, 0, 0
}

// begin leaves out what was taken so far.
func (b *rowBuffer) begin() { b.first = b.pos }

// cut ends the body under way. One that fills little of its memory moves to
// memory of its own.
func (b *rowBuffer) cut() {
	if b.rows > 0 {
		body := b.buf[b.first:b.pos:b.pos]
		if 2*len(body) < len(b.buf) {
			body = bytes.Clone(body)
		}
		b.bodies = append(b.bodies, event.RawRows{Op: event.Read, Body: body, Rows: b.rows})
	}
	b.rows, b.first = 0, b.pos
}

// drop ends the last body and passes over the rows that follow.
func (b *rowBuffer) drop() {
	b.cut()
	rest := b.buf[b.pos:b.end]
	b.buf = make([]byte, max(chunkBody, len(rest)))
	b.first, b.pos, b.end = 0, 0, copy(b.buf, rest)
	b.dropping = true
}
