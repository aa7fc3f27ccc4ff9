package mysql

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// Bounds of the cache of table versions. Over one of them it is emptied before
// the next transaction, whose table maps then are compiled anew: within one, the
// maps of a statement come before all of its rows, and none may be missing then.
const (
	maxTables          = 1 << 16
	maxDefinitionBytes = 32 << 20
)

// tables turns table maps into table versions. A version is known by the bytes
// of its definition, so the same definition is the same pointer, also when the
// server numbers its tables anew or the connection was lost.
type tables struct {
	filter   *filter
	charsets binlog.Charsets // of the server, once asked
	ids      map[uint64]*tableEntry
	versions map[string]*tableEntry
	latest   map[tableName]*event.Table // of captured tables
	bytes    int                        // of the definitions
	round    uint64                     // the current transaction
}

// tableEntry is one definition; table is nil where it is not captured.
type tableEntry struct {
	definition []byte
	table      *event.Table
	round      uint64 // transaction in which its map was last seen
}

func newTables(f *filter) *tables {
	t := &tables{filter: f}
	t.reset()
	return t
}

func (t *tables) reset() {
	t.ids, t.versions, t.latest = map[uint64]*tableEntry{}, map[string]*tableEntry{}, map[tableName]*event.Table{}
	t.bytes = 0
}

// begin starts a transaction: table ids are valid within one only.
func (t *tables) begin() {
	if len(t.ids) >= maxTables || len(t.versions) >= maxTables || t.bytes > maxDefinitionBytes {
		t.reset()
	}
	t.round++
}

// see takes a table map.
func (t *tables) see(body []byte, flavor event.Flavor) error {
	m, err := binlog.ParseTableMap(body)
	if err != nil {
		return err
	}
	e := t.ids[m.ID]
	if e == nil || !bytes.Equal(e.definition, m.Definition) {
		if e, err = t.entry(&m, body, flavor); err != nil {
			return err
		}
		t.ids[m.ID] = e
	}
	e.round = t.round
	return nil
}

// entry finds or compiles a definition.
func (t *tables) entry(m *binlog.TableMap, body []byte, flavor event.Flavor) (*tableEntry, error) {
	if e := t.versions[string(m.Definition)]; e != nil {
		if e.table != nil {
			t.latest[nameOf(e.table)] = e.table
		}
		return e, nil
	}
	e := &tableEntry{definition: bytes.Clone(m.Definition)}
	if t.filter.captured(string(m.Database), string(m.Name)) {
		var err error
		e.table, err = binlog.CompileTable(body, binlog.TableOptions{Flavor: flavor, Charsets: t.charsets, Excluded: t.filter.excluded})
		if err != nil {
			return nil, err
		}
	}
	t.bytes += len(e.definition)
	t.versions[string(e.definition)] = e
	if e.table != nil {
		t.latest[nameOf(e.table)] = e.table
	}
	return e, nil
}

func nameOf(t *event.Table) tableName { return tableName{t.Database, t.Name} }

// byID returns the table version of a table id in this transaction, nil where
// it is not captured; known is false where no table map was seen.
func (t *tables) byID(id uint64) (table *event.Table, known bool) {
	e := t.ids[id]
	if e == nil || e.round != t.round {
		return nil, false
	}
	return e.table, true
}

// in lists the captured tables of a database that were seen, by name.
func (t *tables) in(database string) []event.DDLTable {
	var list []event.DDLTable
	for n, table := range t.latest {
		if n.database == database {
			list = append(list, event.DDLTable{Database: n.database, Name: n.table, Table: table})
		}
	}
	slices.SortFunc(list, func(a, b event.DDLTable) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// forget drops the names that a statement removed; a later table of the name
// comes with a table map of its own.
func (t *tables) forget(s *binlog.Statement) {
	switch s.Kind {
	case binlog.StatementDropDatabase:
		for n := range t.latest {
			if n.database == s.Name {
				delete(t.latest, n)
			}
		}
	case binlog.StatementDropTable, binlog.StatementRenameTable:
		for _, n := range s.Tables {
			delete(t.latest, tableName{n.Database, n.Name})
		}
	}
}
