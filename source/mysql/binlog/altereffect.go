package binlog

import (
	"strings"

	"github.com/cdcd-io/cdcd/event"
)

// alterEffect reads the clauses of an ALTER TABLE, behind the name of the table,
// for what they do to rows that are there: none of it is in the log. In doubt
// a clause changes values; one that is not known does nothing.
//
// The lexer is a copy: others read the same clauses for the tables they name.
func (c *classifier) alterEffect(l lexer) {
	e := effects{lexer: l}
	e.ignore = c.ignore
	for {
		t := e.next()
		if t.kind == tokenEnd {
			break
		}
		e.clause(t)
		e.rest()
	}
	c.Effect, c.Columns = e.effect, e.columns
}

// effects collects what the clauses of one statement do.
type effects struct {
	lexer
	ignore  bool // ALTER IGNORE: rows that are in the way go
	effect  event.DDLEffect
	columns []string
}

func (e *effects) atLeast(x event.DDLEffect) { e.effect = max(e.effect, x) }

// clause takes the head of a clause, t being its first token.
func (e *effects) clause(t token) {
	if t.kind != tokenWord {
		return
	}
	switch strings.ToUpper(t.text) {
	case "ADD":
		e.add()
	case "DROP":
		e.drop()
	case "MODIFY":
		e.atLeast(event.ValuesChange)
		e.column()
	case "CHANGE":
		e.atLeast(event.ValuesChange)
		e.column()
		e.columns = append(e.columns, e.next().text) // its new name
	case "RENAME":
		e.rename()
	case "CONVERT":
		if e.accept("TO") {
			e.atLeast(event.ValuesChange)
		} else {
			e.atLeast(event.RowsMove) // a partition to a table, or the other way round
		}
	case "TRUNCATE", "EXCHANGE", "DISCARD", "IMPORT": // partitions and tablespaces
		e.atLeast(event.RowsMove)
	}
}

// rest takes the rest of a clause. Keywords in it tell of values that rows get,
// and of keys: a column may be declared one.
func (e *effects) rest() {
	for depth := 0; ; {
		t := e.look()
		switch {
		case t.kind == tokenEnd:
			return
		case t.isByte(',') && depth == 0:
			e.next()
			return
		case t.isByte('('):
			depth++
		case t.isByte(')'):
			depth--
		case t.is("PRIMARY"):
			e.atLeast(event.RowsMove)
		}
		e.next()
	}
}

// add takes ADD. A column that is NULL in all rows changes none.
func (e *effects) add() {
	if e.accept("CONSTRAINT") && !e.look().is("PRIMARY") && !e.look().is("UNIQUE") {
		e.next() // its name
	}
	switch {
	case e.accept("PRIMARY"), e.accept("SYSTEM"):
		e.atLeast(event.RowsMove)
	case e.look().is("UNIQUE") && e.ignore:
		e.atLeast(event.RowsMove)
	case e.accept("INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "FOREIGN", "CHECK", "PARTITION", "PERIOD"):
	default:
		e.newColumn()
	}
}

// newColumn takes the declarations of a new column, or of several in brackets.
func (e *effects) newColumn() {
	e.accept("COLUMN")
	e.ifExists()
	if !e.look().isByte('(') {
		e.next() // its name, which may be a keyword
	}
	for depth := 0; ; {
		t := e.look()
		switch {
		case t.kind == tokenEnd, t.isByte(',') && depth == 0:
			return
		case t.isByte('('):
			depth++
		case t.isByte(')'):
			depth--
		case t.is("NOT"), t.is("AUTO_INCREMENT"), t.is("SERIAL"), t.is("AS"), t.is("GENERATED"):
			e.atLeast(event.ValuesChange)
		case t.is("PRIMARY"):
			e.atLeast(event.RowsMove)
		case t.is("DEFAULT"):
			e.next()
			if !e.look().is("NULL") {
				e.atLeast(event.ValuesChange)
			}
			continue
		}
		e.next()
	}
}

func (e *effects) drop() {
	switch {
	case e.accept("PRIMARY", "PARTITION", "SYSTEM"):
		e.atLeast(event.RowsMove)
	case e.accept("INDEX", "KEY", "CONSTRAINT"):
		e.ifExists()
		if strings.EqualFold(e.next().text, "PRIMARY") {
			e.atLeast(event.RowsMove)
		}
	case e.accept("FOREIGN", "CHECK", "PERIOD"):
	default:
		e.atLeast(event.KeyMayChange)
		e.column()
	}
}

func (e *effects) rename() {
	switch {
	case e.accept("INDEX", "KEY"):
	case e.accept("COLUMN"):
		e.atLeast(event.KeyMayChange)
		e.column()
		e.accept("TO")
		e.columns = append(e.columns, e.next().text)
	default:
		e.atLeast(event.RowsMove) // from one name to another
	}
}

// column takes [COLUMN] [IF EXISTS] and the name of one.
func (e *effects) column() {
	e.accept("COLUMN")
	e.ifExists()
	e.columns = append(e.columns, e.next().text)
}

// ifExists takes IF EXISTS or IF NOT EXISTS.
func (l *lexer) ifExists() {
	if l.accept("IF") {
		l.accept("NOT")
		l.accept("EXISTS")
	}
}
