package binlog

import (
	"strings"

	"github.com/cdcd-io/cdcd/event"
)

// StatementKind tells statements apart as far as the line cares.
type StatementKind uint8

// The kinds of statements.
const (
	StatementUnknown StatementKind = iota // nothing is known of it: whoever sees it decides
	StatementBegin
	StatementCommit
	StatementRollback
	StatementSavepoint        // Name
	StatementRollbackTo       // Name
	StatementReleaseSavepoint // Name
	StatementXAStart          // Name is the xid as written, as it is for the other XA statements
	StatementXAEnd
	StatementXAPrepare
	StatementXACommit // OnePhase
	StatementXARollback
	StatementTruncate     // Tables holds the one
	StatementDropTable    // Tables; none of them temporary
	StatementDropDatabase // Name
	StatementAlterTable   // Tables holds the one, its new name where it is renamed, and one that it swaps rows with; CREATE INDEX and DROP INDEX too
	StatementRenameTable  // Tables holds pairs of old and new
	StatementCreateTable  // Tables holds the one; Replace, WithRows
	StatementDML          // changes rows, so logged in statement format; Tables, Partial
	StatementOtherDDL     // changes neither rows nor definitions of base tables
)

var statementKindNames = [...]string{
	"unknown", "begin", "commit", "rollback", "savepoint", "rollback to savepoint", "release savepoint", "xa start",
	"xa end", "xa prepare", "xa commit", "xa rollback", "truncate", "drop table", "drop database", "alter table",
	"rename table", "create table", "dml", "other ddl",
}

// String is the kind in words.
func (k StatementKind) String() string { return statementKindNames[k] }

// DDL is the kind of DDL the line distinguishes.
func (k StatementKind) DDL() event.DDLKind {
	switch k {
	case StatementTruncate:
		return event.DDLTruncate
	case StatementDropTable, StatementDropDatabase:
		return event.DDLDrop
	case StatementAlterTable:
		return event.DDLAlter
	case StatementRenameTable:
		return event.DDLRename
	case StatementCreateTable:
		return event.DDLCreate
	}
	return event.DDLOther
}

// Statement is what Classify found.
type Statement struct {
	Kind   StatementKind
	Name   string      // savepoint, xid or database
	Tables []TableName // in the order of the statement
	// Partial reports that the statement may change tables that Tables does not name.
	Partial  bool
	Replace  bool // CREATE OR REPLACE: a former table of the name goes, with its rows
	WithRows bool // CREATE TABLE ... SELECT, whose rows follow or are in the statement
	OnePhase bool // XA COMMIT of a transaction that was not prepared
	// Effect is what a statement that alters or renames tables does to rows that are
	// there, of all Tables. Columns are those that it drops, renames or redefines,
	// under both names: if one is part of the key, rows have another one.
	Effect  event.DDLEffect
	Columns []string
}

// TableName is a table named in a statement.
type TableName struct{ Database, Name string }

// Classify tells what kind of statement sql is and which tables it names.
// Names without a database are in database, the session's default. sql may end
// in a NUL. A statement is never refused: what is not understood is
// StatementUnknown.
func Classify(sql, database string, mode SQLMode) Statement {
	if sql == "BEGIN" {
		return Statement{Kind: StatementBegin}
	}
	c := classifier{lexer: lexer{sql: sql, mode: mode}, database: database}
	c.statement()
	return c.Statement
}

// Mentions reports whether name stands in sql as a name or a word, in any case.
func Mentions(sql string, mode SQLMode, name string) bool {
	l := lexer{sql: sql, mode: mode}
	for t := l.next(); t.kind != tokenEnd; t = l.next() {
		if (t.kind == tokenWord || t.kind == tokenQuoted) && strings.EqualFold(t.text, name) {
			return true
		}
	}
	return false
}

// classifier is a parser for the heads of statements.
type classifier struct {
	lexer
	Statement
	database string
	ignore   bool // ALTER IGNORE
}

func (c *classifier) statement() {
	for c.acceptByte('(') || c.acceptByte(';') { // (SELECT ...) UNION ...
	}
	first := c.next()
	if first.kind != tokenWord {
		return
	}
	switch strings.ToUpper(first.text) {
	case "BEGIN":
		c.Kind = StatementBegin
	case "START":
		if c.accept("TRANSACTION") {
			c.Kind = StatementBegin
		}
	case "COMMIT":
		c.Kind = StatementCommit
	case "ROLLBACK":
		c.rollback()
	case "SAVEPOINT":
		c.Kind, c.Name = StatementSavepoint, c.next().text
	case "RELEASE":
		if c.accept("SAVEPOINT") {
			c.Kind, c.Name = StatementReleaseSavepoint, c.next().text
		}
	case "XA":
		c.xa()
	case "TRUNCATE":
		c.accept("TABLE")
		c.Kind = StatementTruncate
		c.table()
	case "DROP":
		c.drop()
	case "ALTER":
		c.alter()
	case "RENAME":
		c.rename()
	case "CREATE":
		c.create()
	case "SET":
		c.set()
	case "INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "CALL", "WITH", "SELECT", "DO", "HANDLER", "EXECUTE", "VALUES", "TABLE", "IMPORT":
		c.dml(first)
	case "GRANT", "REVOKE", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "FLUSH", "INSTALL", "UNINSTALL", "RESET", "PURGE",
		"CHANGE", "STOP", "CACHE", "LOCK", "UNLOCK", "USE", "SHUTDOWN", "KILL", "BINLOG", "SIGNAL", "CLONE":
		c.Kind = StatementOtherDDL
	}
}

func (c *classifier) rollback() {
	c.Kind = StatementRollback
	c.accept("WORK")
	if c.accept("TO") {
		c.accept("SAVEPOINT")
		c.Kind, c.Name = StatementRollbackTo, c.next().text
	}
}

func (c *classifier) xa() {
	verb := c.next()
	switch strings.ToUpper(verb.text) {
	case "START", "BEGIN":
		c.Kind = StatementXAStart
	case "END":
		c.Kind = StatementXAEnd
	case "PREPARE":
		c.Kind = StatementXAPrepare
	case "COMMIT":
		c.Kind = StatementXACommit
	case "ROLLBACK":
		c.Kind = StatementXARollback
	default:
		return
	}
	for t := c.next(); t.kind != tokenEnd; t = c.next() {
		if t.is("ONE") {
			c.OnePhase = true
			return
		}
		if t.is("JOIN") || t.is("RESUME") || t.is("SUSPEND") {
			return
		}
		c.Name += t.text
	}
}

func (c *classifier) drop() {
	c.Kind = StatementOtherDDL
	if c.accept("DATABASE", "SCHEMA") {
		c.ifExists()
		c.Kind, c.Name = StatementDropDatabase, c.next().text
		return
	}
	if c.accept("TABLE", "TABLES") {
		c.Kind = StatementDropTable
		c.ifExists()
		c.tableList()
		return
	}
	c.index()
}

// index takes the rest of CREATE INDEX and DROP INDEX, which alter a table.
func (c *classifier) index() {
	for c.accept("ONLINE", "OFFLINE", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR") {
	}
	if !c.accept("INDEX") {
		return
	}
	c.Kind = StatementAlterTable
	c.ifExists()
	if strings.EqualFold(c.next().text, "PRIMARY") { // its name, which may be a keyword
		c.Effect = event.RowsMove
	}
	for t := c.next(); t.kind != tokenEnd; t = c.next() {
		if t.is("ON") {
			c.table()
			return
		}
	}
}

func (c *classifier) alter() {
	c.Kind = StatementOtherDDL
	for c.look().is("ONLINE") || c.look().is("OFFLINE") || c.look().is("IGNORE") {
		c.ignore = c.next().is("IGNORE") || c.ignore
	}
	if !c.accept("TABLE", "TABLES") {
		return
	}
	c.Kind = StatementAlterTable
	c.ifExists()
	c.table()
	c.skipWait()
	c.alterEffect(c.lexer)
	c.othersInAlter()
}

// othersInAlter looks for further tables among the parts of an ALTER TABLE,
// which are not inside brackets: RENAME [TO|AS|=] name, and tables that trade
// their rows with partitions.
func (c *classifier) othersInAlter() {
	for depth := 0; ; {
		switch t := c.next(); {
		case t.kind == tokenEnd:
			return
		case t.isByte('('):
			depth++
		case t.isByte(')'):
			depth--
		case depth == 0 && t.is("RENAME"):
			if !c.accept("COLUMN", "INDEX", "KEY") {
				_ = c.accept("TO", "AS") || c.acceptByte('=')
				c.table()
			}
		case depth == 0 && t.is("EXCHANGE"):
			c.exchangePartition()
		case depth == 0 && t.is("CONVERT"):
			c.convertPartition()
		}
	}
}

// exchangePartition names the table that swaps its rows with a partition.
func (c *classifier) exchangePartition() {
	for t := c.next(); t.kind != tokenEnd; t = c.next() {
		if t.is("TABLE") {
			c.table()
			return
		}
	}
}

// convertPartition names the table that MariaDB makes of a partition, or that
// becomes one: CONVERT PARTITION p TO TABLE name, CONVERT TABLE name TO PARTITION p.
func (c *classifier) convertPartition() {
	if c.accept("PARTITION") {
		c.next()
		c.accept("TO")
	}
	if c.accept("TABLE") {
		c.table()
	}
}

func (c *classifier) rename() {
	c.Kind = StatementOtherDDL
	if !c.accept("TABLE", "TABLES") {
		return
	}
	c.Kind, c.Effect = StatementRenameTable, event.RowsMove
	c.ifExists()
	for c.table() {
		c.skipWait()
		if c.accept("TO") {
			c.table()
		}
		if !c.acceptByte(',') {
			return
		}
	}
}

// skipWait takes WAIT n and NOWAIT of MariaDB.
func (c *classifier) skipWait() {
	if c.accept("WAIT") {
		c.next()
	} else {
		c.accept("NOWAIT")
	}
}

func (c *classifier) create() {
	c.Kind = StatementOtherDDL
	replace := c.accept("OR") && c.accept("REPLACE")
	if !c.accept("TABLE") {
		c.index()
		return
	}
	c.Kind, c.Replace = StatementCreateTable, replace
	c.ifExists()
	c.table()
	c.rowsInCreate()
}

// rowsInCreate looks for a query outside of column definitions (it may itself
// stand in brackets, or be one of its own common table expressions), or for the
// START TRANSACTION under which MySQL logs the rows of one.
func (c *classifier) rowsInCreate() {
	depth := 0
	for previous := (token{}); ; {
		t := c.next()
		switch {
		case t.kind == tokenEnd:
			return
		case t.isByte('('):
			depth++
		case t.isByte(')'):
			depth--
		case t.is("SELECT"):
			c.WithRows = c.WithRows || depth == 0 || previous.isByte('(')
		case depth == 0 && t.is("START"):
			c.WithRows = c.WithRows || c.accept("TRANSACTION")
		}
		previous = t
	}
}

// set takes SET STATEMENT ... FOR of MariaDB, before any other statement.
func (c *classifier) set() {
	if !c.accept("STATEMENT") {
		c.Kind = StatementOtherDDL
		return
	}
	for t := c.next(); t.kind != tokenEnd; t = c.next() {
		if t.is("FOR") {
			c.statement()
			return
		}
	}
}

// table takes a table name, with or without its database.
func (c *classifier) table() bool {
	t := c.look()
	if t.kind != tokenWord && t.kind != tokenQuoted {
		return false
	}
	name := TableName{Database: c.database, Name: c.next().text}
	if c.acceptByte('.') {
		name.Database, name.Name = name.Name, c.next().text
	}
	c.Tables = append(c.Tables, name)
	return true
}

func (c *classifier) tableList() {
	for c.table() && c.acceptByte(',') {
	}
}

// dml finds the tables of a statement that may change rows. It names too many
// rather than too few.
func (c *classifier) dml(first token) {
	c.Kind = StatementDML
	switch strings.ToUpper(first.text) {
	case "INSERT", "REPLACE":
		for c.accept("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO") {
		}
		c.Partial = !c.table()
	case "UPDATE":
		for c.accept("LOW_PRIORITY", "IGNORE") {
		}
		c.references("SET")
	case "DELETE":
		for c.accept("LOW_PRIORITY", "QUICK", "IGNORE", "HISTORY") {
		}
		c.references("WHERE")
	case "WITH":
		c.with()
	case "LOAD":
		c.load()
	default:
		c.Partial = true
	}
}

// references takes every table in a list of table references, joins and
// subqueries too, up to the keyword end.
func (c *classifier) references(end string) {
	for expect := true; ; {
		t := c.look()
		switch {
		case t.kind == tokenEnd, t.is(end):
			c.Partial = len(c.Tables) == 0
			return
		case t.is("FROM"), t.is("JOIN"), t.is("STRAIGHT_JOIN"), t.is("USING"), t.isByte(','), t.isByte('('):
			expect = true
			c.next()
		case t.is("SELECT"):
			expect = false
			c.next()
		case expect && c.table():
			expect = false
		default:
			c.next()
		}
	}
}

// with skips common table expressions up to the statement they are for.
func (c *classifier) with() {
	for depth := 0; ; {
		t := c.next()
		switch {
		case t.kind == tokenEnd:
			c.Partial = true
			return
		case t.isByte('('):
			depth++
		case t.isByte(')'):
			depth--
		case depth == 0 && (t.is("UPDATE") || t.is("DELETE") || t.is("INSERT") || t.is("REPLACE")):
			c.dml(t)
			return
		case depth == 0 && t.is("SELECT"):
			c.Partial = true
			return
		}
	}
}

// load finds the table of LOAD DATA and LOAD XML; LOAD INDEX changes nothing.
func (c *classifier) load() {
	if c.look().is("INDEX") {
		c.Kind = StatementOtherDDL
		return
	}
	for t := c.next(); t.kind != tokenEnd; t = c.next() {
		if t.is("INTO") && c.accept("TABLE") {
			c.Partial = !c.table()
			return
		}
	}
	c.Partial = true
}
