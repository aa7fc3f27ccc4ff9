package event

// GTID names one transaction: source id, tag and number on MySQL; domain,
// server and sequence number on MariaDB. The zero GTID means "none". GTIDs are
// comparable.
type GTID struct {
	SID    [16]byte // MySQL: uuid of the server
	Tag    string   // MySQL 8.3 and later: optional tag
	Domain uint32   // MariaDB
	Server uint32   // MariaDB
	N      uint64   // number, from 1
}

// IsZero reports whether g names no transaction.
func (g GTID) IsZero() bool { return g.N == 0 }
