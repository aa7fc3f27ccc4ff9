package mysql

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

const (
	packetHeader  = 4
	maxPacket     = 1<<24 - 1 // a packet of this length goes on in the next one
	frameBuffer   = 256 << 10
	peekLength    = binlog.HeaderSize + 6 // header and table id
	keepLargeUpTo = 4 << 20               // a larger buffer is given back after its event
)

// framer cuts the packets of a dump into events. Its buffer holds many small
// events at once: those are handed out where they lie. An event that does not
// fit is large: its first bytes are peeked at, then it is read whole, as a
// stream, or dropped.
type framer struct {
	r          io.Reader
	buf        []byte
	start, end int // of what is buffered
	sequence   byte
	left       int // bytes of the current packet that are not consumed
	more       bool
	large      []byte // memory of large events read whole
}

// newFramer reads packets from r, which must be at the start of the packet
// with the given sequence number.
func newFramer(r io.Reader, sequence byte) *framer {
	return &framer{r: r, buf: make([]byte, frameBuffer), sequence: sequence}
}

// next returns the next event. When large is set, ev is only its first bytes
// which stay unread: Read or whole starts with them. ev is valid until the
// next call of any method.
func (f *framer) next() (ev []byte, large bool, err error) {
	if err := f.endEvent(); err != nil {
		return nil, false, err
	}
	if err := f.openPacket(); err != nil {
		return nil, false, err
	}
	n := f.left
	if f.more || n > len(f.buf)-packetHeader {
		p, err := f.peek(1 + peekLength)
		if err != nil {
			return nil, false, err
		}
		if err := packetStatus(p); err != nil {
			return nil, false, err
		}
		f.consume(1)
		return p[1:], true, nil
	}
	p, err := f.peek(n)
	if err != nil {
		return nil, false, err
	}
	f.consume(n)
	if err := packetStatus(p); err != nil {
		return nil, false, err
	}
	return p[1:], false, nil
}

// whole reads a large event of size bytes into memory of its own.
func (f *framer) whole(size int) ([]byte, error) {
	if cap(f.large) < size {
		f.large = make([]byte, size)
	}
	f.large = f.large[:size]
	if _, err := io.ReadFull(f, f.large); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF { // the event ended, not the connection
			return nil, garbled("an event is shorter than its header says")
		}
		return nil, err
	}
	var beyond [1]byte
	switch _, err := f.Read(beyond[:]); err {
	case io.EOF:
		return f.large, nil
	case nil:
		return nil, garbled("an event is longer than its header says")
	default:
		return nil, err
	}
}

// Read reads on in the current event, across its packets, and ends with io.EOF
// at the event's end.
func (f *framer) Read(p []byte) (int, error) {
	for f.left == 0 {
		if !f.more {
			return 0, io.EOF
		}
		if err := f.openPacket(); err != nil {
			return 0, err
		}
	}
	p = p[:min(len(p), f.left)]
	if f.start == f.end && len(p) >= len(f.buf) {
		n, err := f.r.Read(p) // no detour through the buffer
		f.left -= n
		return n, lost(err, n)
	}
	if f.start == f.end {
		if err := f.fill(1); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.buf[f.start:f.end])
	f.consume(n)
	return n, nil
}

// endEvent makes sure that the last event was consumed and gives back memory
// that only a rare event needs.
func (f *framer) endEvent() error {
	if cap(f.large) > keepLargeUpTo {
		f.large = nil
	}
	if f.left == 0 && !f.more {
		return nil
	}
	_, err := io.Copy(io.Discard, f)
	return err
}

// openPacket reads the header of the next packet.
func (f *framer) openPacket() error {
	if err := f.fill(packetHeader); err != nil {
		return err
	}
	h := binary.LittleEndian.Uint32(f.buf[f.start:])
	f.start += packetHeader
	if got := byte(h >> 24); got != f.sequence {
		return garbled("packet number %d where %d is due", got, f.sequence)
	}
	f.sequence++
	f.left = int(h & maxPacket)
	f.more = f.left == maxPacket
	return nil
}

// peek returns the next n bytes of the current packet, which has as many.
func (f *framer) peek(n int) ([]byte, error) {
	if n > f.left || n == 0 {
		return nil, garbled("a packet of %d bytes is too short for an event", f.left)
	}
	if err := f.fill(n); err != nil {
		return nil, err
	}
	return f.buf[f.start : f.start+n : f.start+n], nil
}

func (f *framer) consume(n int) {
	f.start += n
	f.left -= n
}

// fill makes sure that n bytes are buffered. What is there moves to the front
// when the rest of the buffer is too short.
func (f *framer) fill(n int) error {
	if f.end-f.start >= n {
		return nil
	}
	if f.start == f.end {
		f.start, f.end = 0, 0
	} else if f.start+n > len(f.buf) {
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
	}
	for f.end-f.start < n {
		k, err := f.r.Read(f.buf[f.end:])
		f.end += k
		if err := lost(err, k); err != nil {
			return err
		}
	}
	return nil
}

// lost turns the end of the connection into a named error; bytes that came
// with an error count first.
func lost(err error, n int) error {
	if err == nil || n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	var named *resilience.Error
	if errors.As(err, &named) {
		return err
	}
	return resilience.Errorf(resilience.Transient, "connection_lost", opRead, "%w", err)
}

// packetStatus looks at the first byte of a packet: an event, an error or the
// end of the stream.
func packetStatus(p []byte) error {
	switch {
	case p[0] == 0:
		return nil
	case p[0] == 0xff:
		return serverError(opRead, errorPacket(p))
	case p[0] == 0xfe && len(p) < 9:
		return resilience.Errorf(resilience.Transient, "server_ended_stream", opRead, "the server ended the stream: it shuts down or was told to")
	}
	return garbled("a packet starts with %#x", p[0])
}

func garbled(format string, args ...any) error {
	return resilience.Errorf(resilience.Transient, "connection_garbled", opRead, format, args...)
}
