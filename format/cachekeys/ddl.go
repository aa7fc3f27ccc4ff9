package cachekeys

import (
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
)

// encodeDDL emits the generation of every table that the statement may have
// changed.
func (e *Encoder) encodeDDL(d *event.DDL, out format.Emitter) error {
	for _, n := range e.tables {
		if !concerns(d, n) {
			continue
		}
		if err := e.bump(n, out); err != nil {
			return err
		}
	}
	return nil
}

// concerns reports whether the statement may have changed the table. One that
// names no tables may have changed any, but for DROP DATABASE, whose text has
// the name of the database; a backquote in a name is doubled there.
func concerns(d *event.DDL, n name) bool {
	for i := range d.Tables {
		if d.Tables[i].Name == n.table && d.Tables[i].Database == n.database {
			return !d.Reread || d.Gap // a table that is only read again did not change
		}
	}
	for _, t := range d.Names {
		if strings.EqualFold(t.Name, n.table) && strings.EqualFold(t.Database, n.database) {
			return true
		}
	}
	switch {
	case len(d.Names) > 0 || d.Reread:
		return false
	case d.Kind == event.DDLDrop:
		return strings.Contains(strings.ToLower(d.SQL), strings.ToLower(n.database)) || strings.Contains(n.database, "`")
	}
	return true
}
