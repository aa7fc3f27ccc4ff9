package event

import "maps"

// Flavor is the family of the server; it decides how GTIDs are written.
type Flavor uint8

// The flavors.
const (
	MySQL Flavor = iota + 1
	MariaDB
)

// String is "mysql" or "mariadb".
func (f Flavor) String() string {
	switch f {
	case MySQL:
		return "mysql"
	case MariaDB:
		return "mariadb"
	}
	return "unknown"
}

// LogFile names one file of the source's log and ties it to the server that
// wrote it. It is immutable; positions inside one file share a pointer.
type LogFile struct {
	Name string
	// StampTime and StampServer are the header time (seconds) and server_id of
	// the file's format description event. A file of the same name with another
	// stamp is another file: the source lost or reset its log.
	StampTime   uint32
	StampServer uint32
}

// Coord is one place in the log and, at the end of a transaction, what that
// transaction adds to the position. Order of Coords is order of arrival;
// nothing sorts by them.
type Coord struct {
	File   *LogFile
	Offset uint64
	GTID   GTID   // of the transaction that ended here; zero when there is none
	Seq    uint64 // number of source transactions up to and including this one
	Mark   *Mark  // what else is stored with this end; nil nearly always
}

// Mark sets one named part of a position: how far the snapshot of a table is.
// It is stored together with the end of the transaction that carries it, so
// that rows and progress are never apart.
type Mark struct {
	Key   string // UTF-8, at most 512 bytes
	Value []byte // UTF-8 text, opaque here; nil removes the part
}

// Position is where a pipeline stands: all transactions up to here are done.
// It moves at transaction ends only, but for Partial. A Position is owned by
// one stage; Clone it before sharing.
type Position struct {
	Flavor Flavor
	Server string // identity of the source: server_uuid on MySQL, "server_id N" on MariaDB
	File   LogFile
	Offset uint64
	GTIDs  *GTIDSet // executed at this position; empty where GTID is off
	Seq    uint64   // committed source transactions since the first start, filtered ones too
	// Partial is what is done of transaction Seq+1. It is zero but for sinks that
	// were told to deliver oversize transactions in parts.
	Partial Partial
	// Prepared are XA transactions that were prepared before this position and
	// not yet decided. Always empty until XA is supported: an XA statement
	// stops the pipeline.
	Prepared []PreparedXA
	// Marks are the named parts that were set up to here. The map is never
	// changed in place: clones of a position share it.
	Marks map[string][]byte
}

// PreparedXA is an XA transaction whose fate is still open.
type PreparedXA struct {
	XID    string // as XA RECOVER FORMAT='SQL' shows it
	GTID   string // of its XA PREPARE
	File   string // where its rows begin
	Offset uint64
}

// Advance moves the position to the end of one more transaction. Coords must
// come in the order of the log.
func (p *Position) Advance(c Coord) {
	if c.Seq != p.Seq { // a silent move leaves the next transaction the same
		p.Partial = Partial{}
	}
	if c.File != nil {
		p.File = *c.File
	}
	p.Offset = c.Offset
	p.Seq = c.Seq
	if !c.GTID.IsZero() {
		if p.GTIDs == nil {
			p.GTIDs = NewGTIDSet(p.Flavor)
		}
		p.GTIDs.Add(c.GTID)
	}
	if c.Mark != nil {
		p.setMark(c.Mark)
	}
}

func (p *Position) setMark(m *Mark) {
	marks := make(map[string][]byte, len(p.Marks)+1)
	maps.Copy(marks, p.Marks)
	if m.Value == nil {
		delete(marks, m.Key)
	} else {
		marks[m.Key] = m.Value
	}
	p.Marks = marks
}

// Covers reports whether a row is done at this position: the row with that
// number, from 1, among the captured ones of transaction seq.
func (p *Position) Covers(seq, row uint64) bool {
	return seq <= p.Seq || seq == p.Seq+1 && row <= p.Partial.Rows
}

// Clone returns a copy that shares nothing that changes.
func (p *Position) Clone() Position {
	c := *p
	if p.GTIDs != nil {
		c.GTIDs = p.GTIDs.Clone()
	}
	c.Prepared = append([]PreparedXA(nil), p.Prepared...)
	return c
}
