package event

import (
	"encoding/hex"
	"strconv"
)

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

// String is the text of g as its server writes it: "uuid:N" or "uuid:tag:N" on
// MySQL, "domain-server-N" on MariaDB, "" for the zero GTID.
func (g GTID) String() string { return string(g.Append(nil)) }

// Append appends the text of g to dst. A GTID of MySQL always has a source id,
// one of MariaDB never.
func (g GTID) Append(dst []byte) []byte {
	if g.IsZero() {
		return dst
	}
	if g.SID == ([16]byte{}) {
		return g.appendMariaDB(dst)
	}
	dst = appendUUID(dst, g.SID)
	if g.Tag != "" {
		dst = append(append(dst, ':'), g.Tag...)
	}
	return strconv.AppendUint(append(dst, ':'), g.N, 10)
}

func (g GTID) appendMariaDB(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(g.Domain), 10)
	dst = strconv.AppendUint(append(dst, '-'), uint64(g.Server), 10)
	return strconv.AppendUint(append(dst, '-'), g.N, 10)
}

func appendUUID(dst []byte, id [16]byte) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for i := 4; i < 10; i += 2 {
		dst = hex.AppendEncode(append(dst, '-'), id[i:i+2])
	}
	return hex.AppendEncode(append(dst, '-'), id[10:])
}
