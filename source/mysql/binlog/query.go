package binlog

import "bytes"

// Query is a statement in the log: BEGIN, COMMIT, DDL, or a change in
// statement format.
type Query struct {
	Thread    uint32  // connection id
	Exec      uint32  // seconds the statement ran
	ErrorCode uint16  // the error it ended with on the source, 0 for none
	Database  string  // default database, "" for none
	SQL       string  // as it is in the log, in Charset, until Decode
	Mode      SQLMode // sql_mode of the session
	Charset   uint16  // collation id of the session's client character set; 0 when not known
	// Undecoded names the character set of a text that Decode cannot read:
	// names in it may go unrecognised.
	Undecoded string
	touched   []byte // see Touched
}

// SQLMode is the server's sql_mode as a bit set.
type SQLMode uint64

// ANSIQuotes reports that double quotes enclose names, not strings.
func (m SQLMode) ANSIQuotes() bool { return m&ModeANSIQuotes != 0 }

// The modes that change how a statement is read.
const (
	ModeANSIQuotes         SQLMode = 1 << 2
	ModeNoBackslashEscapes SQLMode = 1 << 20
)

// ParseQuery reads the body of a QUERY event. Of a QUERY_COMPRESSED event,
// Inflater.Query makes one first.
func ParseQuery(body []byte) (Query, error) {
	c := cursor{b: body}
	q := Query{Thread: c.u32(), Exec: c.u32()}
	dbLen := c.u8()
	q.ErrorCode = c.u16()
	vars := cursor{b: c.take(uint64(c.u16()))}
	db := c.take(uint64(dbLen))
	c.u8()
	if c.bad {
		return Query{}, malformed("read query event", "truncated after %d bytes", len(body))
	}
	q.statusVars(&vars)
	q.Database = string(db) // the server writes names in UTF-8 whatever the session uses
	q.SQL = statement(c.b)
	return q, nil
}

// statement spares the allocation for what nearly every transaction has.
func statement(b []byte) string {
	if string(b) == "BEGIN" {
		return "BEGIN"
	}
	return string(b)
}

// The status variables up to the last one of interest. Servers write them in
// an order in which sql_mode and charset come before any that is not known here.
const (
	varFlags2        = 0
	varSQLMode       = 1
	varCatalog       = 2
	varAutoIncrement = 3
	varCharset       = 4
	varTimeZone      = 5
	varCatalogNZ     = 6
	varTimeNames     = 7
	varDatabaseChars = 8
	varTableMap      = 9
	varDataWritten   = 10
	varInvoker       = 11
	varTouched       = 12
	varCollations    = 131 // MariaDB: pairs of character set and default collation
)

// tooManyTouched stands in place of the number of databases.
const tooManyTouched = 254

func (q *Query) statusVars(c *cursor) {
	for len(c.b) > 0 {
		switch c.u8() {
		case varFlags2, varAutoIncrement:
			c.u32()
		case varSQLMode:
			q.Mode = SQLMode(c.u64())
		case varCatalog:
			c.short()
			c.u8()
		case varCharset:
			q.Charset = c.u16()
			c.u32()
		case varTimeZone, varCatalogNZ:
			c.short()
		case varTimeNames, varDatabaseChars:
			c.u16()
		case varTableMap:
			c.u64()
		case varDataWritten:
			c.u32()
		case varInvoker:
			c.short()
			c.short()
		case varTouched:
			q.touched = c.b
			return
		case varCollations:
			c.take(4 * uint64(c.u8()))
		default:
			return
		}
	}
}

// Touched returns the databases of which the statement used tables, by itself
// or by what it set off (triggers, functions, views). Servers tell it of some
// statements only, and MariaDB of none. Call it while the event's body is valid.
func (q *Query) Touched() (databases []string) {
	c := cursor{b: q.touched}
	n := c.u8()
	if n == tooManyTouched {
		return nil
	}
	for range n {
		name, rest, ok := bytes.Cut(c.b, []byte{0})
		if !ok {
			return nil
		}
		databases, c.b = append(databases, string(name)), rest
	}
	return databases
}
