package event

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
}

// Position is where a pipeline stands: all transactions up to here are done.
// It moves at transaction ends only. A Position is owned by one stage; Clone
// it before sharing.
type Position struct {
	Flavor Flavor
	Server string // identity of the source: server_uuid on MySQL, "server_id N" on MariaDB
	File   LogFile
	Offset uint64
	GTIDs  *GTIDSet // executed at this position; empty where GTID is off
	Seq    uint64   // committed source transactions since the first start, filtered ones too
	// Prepared are XA transactions that were prepared before this position and
	// not yet decided. Always empty until XA is supported: an XA statement
	// stops the pipeline.
	Prepared []PreparedXA
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
