package binlog

// Rotate says that the log goes on in another file. An artificial one tells
// the name of the file whose events follow.
type Rotate struct {
	Next   string
	Offset uint64
}

// ParseRotate reads the body of a ROTATE event.
func ParseRotate(body []byte) (Rotate, error) {
	c := cursor{b: body}
	r := Rotate{Offset: c.u64(), Next: string(c.b)}
	if c.bad || r.Next == "" {
		return Rotate{}, malformed("read rotate event", "no file name in %d bytes", len(body))
	}
	return r, nil
}

// Heartbeat is what an idle server sends: the place up to which it has read.
type Heartbeat struct {
	File   string
	Offset uint64
}

// ParseHeartbeat reads the body of a heartbeat event of either version. The
// first version has the low 32 bits of the offset in the header.
func ParseHeartbeat(h Header, body []byte) (Heartbeat, error) {
	if h.Type == TypeHeartbeat {
		if len(body) == 0 {
			return Heartbeat{}, malformed("read heartbeat event", "no file name")
		}
		return Heartbeat{File: string(body), Offset: uint64(h.End)}, nil
	}
	return parseHeartbeatV2(body)
}

func parseHeartbeatV2(body []byte) (hb Heartbeat, err error) {
	for c := (cursor{b: body}); ; {
		field := c.u8()
		if field == 0 && !c.bad {
			return hb, nil
		}
		v := cursor{b: c.take(c.lenenc())}
		if c.bad {
			return hb, malformed("read heartbeat event", "truncated after %d bytes", len(body))
		}
		switch field {
		case 1:
			hb.File = string(v.b)
		case 2:
			hb.Offset = v.lenenc()
		}
	}
}

// ParseIncident reads the body of an INCIDENT event: the server lost events
// here, for the reason it gives.
func ParseIncident(body []byte) (reason string, err error) {
	c := cursor{b: body}
	c.u16()
	reason = string(c.short())
	if c.bad {
		return "", malformed("read incident event", "%d bytes", len(body))
	}
	return reason, nil
}

// XAPrepare ends the events of an XA transaction that now waits for its fate,
// or, with OnePhase, commits it at once.
type XAPrepare struct {
	OnePhase bool
	FormatID uint32
	GTRID    []byte // the two parts of the xid; they belong to the event
	BQUAL    []byte
}

// ParseXAPrepare reads the body of an XA_PREPARE event.
func ParseXAPrepare(body []byte) (XAPrepare, error) {
	c := cursor{b: body}
	x := XAPrepare{OnePhase: c.u8() != 0, FormatID: c.u32()}
	gtrid, bqual := c.u32(), c.u32()
	if gtrid > 64 || bqual > 64 {
		c.bad = true
	}
	x.GTRID, x.BQUAL = c.take(uint64(gtrid)), c.take(uint64(bqual))
	if c.bad {
		return XAPrepare{}, malformed("read XA prepare event", "%d bytes", len(body))
	}
	return x, nil
}
