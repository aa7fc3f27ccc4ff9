package binlog

import "github.com/cdcd-io/cdcd/event"

// MariaDBGTID opens a transaction of MariaDB.
type MariaDBGTID struct {
	GTID  event.GTID
	Flags byte
	// CommitID groups transactions that committed together; 0 without a group.
	CommitID uint64
	// XID is set on the prepare and the decision of an XA transaction.
	XID *XAPrepare
}

// The flags of a MariaDB GTID event.
const (
	mariaStandalone  = 1 << 0
	mariaGroupCommit = 1 << 1
	mariaPrepared    = 1 << 6
	mariaCompleted   = 1 << 7 // an XA COMMIT or XA ROLLBACK
)

// Standalone reports that one statement follows and no commit ends it.
func (g MariaDBGTID) Standalone() bool { return g.Flags&mariaStandalone != 0 }

// PreparedXA reports that the transaction ends in an XA PREPARE.
func (g MariaDBGTID) PreparedXA() bool { return g.Flags&mariaPrepared != 0 }

// ParseMariaDBGTID reads the body of a GTID event of MariaDB. The server id is
// in the header.
func ParseMariaDBGTID(h Header, body []byte) (MariaDBGTID, error) {
	c := cursor{b: body}
	var g MariaDBGTID
	g.GTID = event.GTID{N: c.u64(), Domain: c.u32(), Server: h.ServerID}
	g.Flags = c.u8()
	if g.Flags&mariaGroupCommit != 0 {
		g.CommitID = c.u64()
	}
	if g.Flags&(mariaPrepared|mariaCompleted) != 0 {
		x := XAPrepare{FormatID: c.u32()}
		gtrid, bqual := c.u8(), c.u8()
		x.GTRID, x.BQUAL = c.take(uint64(gtrid)), c.take(uint64(bqual))
		g.XID = &x
	}
	if c.bad || g.GTID.N == 0 {
		return MariaDBGTID{}, malformed("read GTID event", "truncated or without a number, %d bytes", len(body))
	}
	return g, nil
}
