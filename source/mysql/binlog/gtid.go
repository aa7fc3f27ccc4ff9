package binlog

import (
	"math/bits"

	"github.com/cdcd-io/cdcd/event"
)

// GTID opens a transaction of MySQL.
type GTID struct {
	GTID event.GTID // zero where GTID is off
	// LastCommitted and SequenceNumber are the server's logical clock, for
	// parallel appliers; they restart with each file.
	LastCommitted, SequenceNumber int64
	// Immediate and Original are the commit times on the server that wrote this
	// log and on the one that first executed the transaction, in microseconds
	// since the epoch; 0 when not known (before MySQL 8.0).
	Immediate, Original uint64
	// Length is the length of the transaction in the log, this event included;
	// 0 when not known.
	Length uint64
}

const commitTimeHasOriginal = 1 << 55

// ParseGTID reads the body of a GTID, ANONYMOUS_GTID or GTID_TAGGED event.
func ParseGTID(t EventType, body []byte) (GTID, error) {
	if t == TypeTaggedGTID {
		return parseTaggedGTID(body)
	}
	c := cursor{b: body}
	var g GTID
	c.u8()
	copy(g.GTID.SID[:], c.take(16))
	g.GTID.N = c.u64()
	if c.bad {
		return GTID{}, malformed("read GTID event", "truncated after %d bytes", len(body))
	}
	if t == TypeAnonymousGTID {
		g.GTID = event.GTID{}
	} else if g.GTID.N == 0 || int64(g.GTID.N) < 0 {
		return GTID{}, malformed("read GTID event", "number %d", g.GTID.N)
	}
	g.parseTimes(&c)
	return g, nil
}

// parseTimes reads what servers added to the event over the years; older ones
// just end sooner.
func (g *GTID) parseTimes(c *cursor) {
	if len(c.b) < 17 || c.u8() != 2 {
		return
	}
	g.LastCommitted, g.SequenceNumber = int64(c.u64()), int64(c.u64())
	if len(c.b) < 7 {
		return
	}
	g.Immediate = c.uint(7)
	g.Original = g.Immediate
	if g.Immediate&commitTimeHasOriginal != 0 {
		g.Immediate &^= commitTimeHasOriginal
		g.Original = c.uint(7)
	}
	if len(c.b) > 0 {
		g.Length = c.lenenc()
	}
}

// The fields of a tagged GTID event, by their numbers in the message.
const (
	tagFlags = iota
	tagUUID
	tagNumber
	tagTag
	tagLastCommitted
	tagSequenceNumber
	tagImmediate
	tagOriginal
	tagLength
	tagImmediateVersion
	tagOriginalVersion
	tagTicket
)

// parseTaggedGTID reads a message of the server's own serialization: version,
// size, the last field that must be understood, then numbered fields in
// rising order.
func parseTaggedGTID(body []byte) (GTID, error) {
	const op = "read tagged GTID event"
	c := cursor{b: body}
	version, _, mustKnow := c.varuint(), c.varuint(), c.varuint()
	if c.bad || version != 0 && version != 1 || mustKnow > tagTicket+1 {
		return GTID{}, malformed(op, "message version %d, last required field %d", version, mustKnow)
	}
	var g GTID
	for last := -1; len(c.b) > 0; {
		id := c.varuint()
		if id > tagTicket {
			break // a field of a later server, and one it allows us not to know
		}
		if int(id) <= last {
			return GTID{}, malformed(op, "field %d after field %d", id, last)
		}
		last = int(id)
		if !g.taggedField(int(id), &c) {
			break
		}
	}
	if c.bad || g.GTID.N == 0 || int64(g.GTID.N) < 0 {
		return GTID{}, malformed(op, "truncated or without a number, %d bytes", len(body))
	}
	if g.Original == 0 {
		g.Original = g.Immediate
	}
	return g, nil
}

func (g *GTID) taggedField(id int, c *cursor) bool {
	switch id {
	case tagUUID:
		for i := range g.GTID.SID {
			g.GTID.SID[i] = byte(c.varuint())
		}
	case tagNumber:
		g.GTID.N = uint64(c.varint())
	case tagTag:
		g.GTID.Tag = string(c.take(c.varuint()))
	case tagLastCommitted:
		g.LastCommitted = c.varint()
	case tagSequenceNumber:
		g.SequenceNumber = c.varint()
	case tagImmediate:
		g.Immediate = c.varuint()
	case tagOriginal:
		g.Original = c.varuint()
	case tagLength:
		g.Length = c.varuint()
	case tagFlags, tagImmediateVersion, tagOriginalVersion, tagTicket:
		c.varuint()
	}
	return !c.bad
}

// varuint reads an unsigned number of the server's serialization: as many
// bytes follow the first as it has ones at its low end; the other bits of the
// whole are the number.
func (c *cursor) varuint() uint64 {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	n := bits.TrailingZeros8(^c.b[0]) + 1
	b := c.take(uint64(n))
	if c.bad {
		return 0
	}
	if n == 9 {
		return littleEndian(b[1:])
	}
	return littleEndian(b) >> n
}

// varint reads a signed number: its lowest bit is the sign, the rest the
// number or its complement.
func (c *cursor) varint() int64 {
	u := c.varuint()
	v := int64(u >> 1)
	if u&1 != 0 {
		return ^v
	}
	return v
}
