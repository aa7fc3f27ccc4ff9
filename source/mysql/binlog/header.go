package binlog

import (
	"bytes"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/cdcd-io/cdcd/resilience"
)

// HeaderSize is the length of the header of every event.
const HeaderSize = 19

const checksumSize = 4

// Header is the header of an event.
type Header struct {
	Time     uint32 // seconds since the epoch
	Type     EventType
	ServerID uint32 // of the server that first executed it
	Size     uint32 // of the whole event, header and checksum included
	// End is the low 32 bits of the offset after the event. It is 0 in events
	// the server made up, in those inside a compressed transaction, and inside
	// a group of MariaDB 11.4 and later.
	End   uint32
	Flags uint16
}

// The header flags this project looks at.
const (
	FlagInUse      = 0x01 // on a format event: its file was not closed
	FlagArtificial = 0x20 // the server made the event up, it is not in the log
	FlagIgnorable  = 0x80 // whoever does not know the type may skip it
)

// Artificial reports whether the server made the event up.
func (h Header) Artificial() bool { return h.Flags&FlagArtificial != 0 }

// Ignorable reports whether whoever does not know the type may skip the event.
func (h Header) Ignorable() bool { return h.Flags&FlagIgnorable != 0 }

// ParseHeader reads the header of ev, a whole event.
func ParseHeader(ev []byte) (Header, error) {
	if len(ev) < HeaderSize {
		return Header{}, malformed("read event header", "%d bytes are no event", len(ev))
	}
	c := cursor{b: ev}
	h := Header{Time: c.u32(), Type: EventType(c.u8()), ServerID: c.u32(), Size: c.u32(), End: c.u32(), Flags: c.u16()}
	if uint64(h.Size) != uint64(len(ev)) {
		return h, malformed("read event header", "%s event of %d bytes says it has %d", h.Type, len(ev), h.Size)
	}
	return h, nil
}

// Format is the format description event: how the events of its file are
// framed. It is immutable. The zero Format has no checksums.
type Format struct {
	Server   string // version of the server that wrote the file
	Checksum bool   // every event ends in the CRC32 of what is before
	Headers  []byte // lengths of the fixed part of each event type, from type 1
	// StampTime and StampServer tie the file to its server: the header's time
	// and server id.
	StampTime, StampServer uint32
}

// MariaDB reports whether a MariaDB server wrote the file.
func (f *Format) MariaDB() bool { return strings.Contains(f.Server, "MariaDB") }

// ParseFormat reads a format description event, header and checksum included.
func ParseFormat(ev []byte) (*Format, error) {
	const op = "read format description event"
	h, err := ParseHeader(ev)
	if err != nil {
		return nil, err
	}
	c := cursor{b: ev[HeaderSize:]}
	version, server, _, headerSize := c.u16(), c.take(50), c.u32(), c.u8()
	if c.bad || len(c.b) < 1+checksumSize {
		return nil, malformed(op, "truncated after %d bytes", len(ev))
	}
	if version != 4 || headerSize != HeaderSize {
		return nil, malformed(op, "version %d with headers of %d bytes", version, headerSize)
	}
	alg := c.b[len(c.b)-1-checksumSize]
	f := &Format{
		Server: string(bytes.TrimRight(server, "\x00")), Checksum: alg == 1,
		Headers:   bytes.Clone(c.b[:len(c.b)-1-checksumSize]),
		StampTime: h.Time, StampServer: h.ServerID,
	}
	if alg > 1 {
		return nil, malformed(op, "unknown checksum algorithm %d", alg)
	}
	if f.Checksum && formatSum(ev) != storedSum(ev) {
		return nil, checksumError(h)
	}
	return f, nil
}

// Body returns the body of ev, whose header is h, after it has verified and
// cut the checksum where the format has one. Events the server makes up
// (rotate, heartbeat) carry one only sometimes: they are told by its value.
func (f *Format) Body(h Header, ev []byte) ([]byte, error) {
	body := ev[HeaderSize:]
	if len(body) < checksumSize {
		if f.Checksum && !mayLackChecksum(h) {
			return nil, checksumError(h)
		}
		return body, nil
	}
	if mayLackChecksum(h) {
		if crc32.ChecksumIEEE(ev[:len(ev)-checksumSize]) == storedSum(ev) {
			body = body[:len(body)-checksumSize]
		}
		return body, nil
	}
	if !f.Checksum {
		return body, nil
	}
	if crc32.ChecksumIEEE(ev[:len(ev)-checksumSize]) != storedSum(ev) {
		return nil, checksumError(h)
	}
	return body[:len(body)-checksumSize], nil
}

func mayLackChecksum(h Header) bool {
	switch h.Type {
	case TypeRotate:
		return h.Artificial() || h.End == 0
	case TypeHeartbeat, TypeHeartbeatV2:
		return true
	}
	return false
}

func storedSum(ev []byte) uint32 { return uint32(le32(ev[len(ev)-checksumSize:])) }

// formatSum is the checksum of a format event. The server computes it before
// it marks the file as in use.
func formatSum(ev []byte) uint32 {
	var head [HeaderSize]byte
	copy(head[:], ev)
	head[17] &^= FlagInUse
	return crc32.Update(crc32.ChecksumIEEE(head[:]), crc32.IEEETable, ev[HeaderSize:len(ev)-checksumSize])
}

func checksumError(h Header) error {
	e := resilience.Errorf(resilience.Fatal, CodeChecksum, "verify "+h.Type.String()+" event", "CRC32 does not match")
	return e.WithPlace("end offset %s", strconv.Itoa(int(h.End))).
		WithHint("the event was damaged on the way or in the log: resume once; if it comes again check the file with mysqlbinlog --verify-binlog-checksum")
}
