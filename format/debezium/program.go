package debezium

import (
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

// program is one table version, compiled: everything about its records that
// does not depend on the row.
type program struct {
	table  *event.Table
	route  *format.Route
	fields []field // captured columns in table order
	key    []field // columns of the key in key order; empty without one
	// keyColumns are those of the key as images show them, in table order; nil
	// until a row is too large for its topic.
	keyColumns []field

	// valueHead is all before the first image: the schema, if any, and `{"before":`.
	valueHead []byte
	// keyHead and tail stand around keys and behind values; empty without schemas.
	keyHead, tail []byte

	database []byte // `,"snapshot":"false","db":"…","sequence":null,"ts_us":`
	read     []byte // the same for rows of a snapshot
	name     []byte // `,"table":"…","server_id":`
}

// field is one column of a program.
type field struct {
	name      []byte // `{"id":` or `,"note":`
	col       int
	kind, alt event.Kind
	render    render
	digits    uint8 // fraction digits of temporal types
	width     uint8 // bytes of BIT
	nullable  bool
	inKey     bool
	labels    [][]byte // ENUM: with quotes, the error value first; SET: without
}

// compile is an error for tables that have no form, whatever the row.
func (e *Encoder) compile(t *event.Table) (*program, error) {
	topic := e.cfg.topicOf(t.Database, t.Name)
	p := &program{table: t, route: e.routes.Topic(topic)}
	columns := make([]int, 0, len(t.Columns))
	for i := range t.Columns {
		if !t.Columns[i].Excluded {
			columns = append(columns, i)
		}
	}
	all, err := e.compileFields(t, columns, false, &p.fields)
	if err != nil {
		return nil, err
	}
	key, err := e.compileFields(t, t.Key, true, &p.key)
	if err != nil {
		return nil, err
	}
	if e.cfg.Schemas {
		p.valueHead = valueSchema(e.connector, topic, all)
		p.keyHead = keySchema(topic, key)
		p.tail = []byte("}")
	}
	p.valueHead = append(p.valueHead, `{"before":`...)
	p.database = databaseFragment("false", t.Database)
	p.read = databaseFragment("incremental", t.Database)
	p.name = append(append([]byte(`,"table":`), quote(t.Name)...), `,"server_id":`...)
	return p, nil
}

func databaseFragment(snapshot, database string) []byte {
	b := append([]byte(`,"snapshot":"`), snapshot...)
	b = append(append(b, `","db":`...), quote(database)...)
	return append(b, `,"sequence":null,"ts_us":`...)
}

func (e *Encoder) compileFields(t *event.Table, columns []int, inKey bool, to *[]field) ([]schemaField, error) {
	var schema []schemaField
	for _, i := range columns {
		col := &t.Columns[i]
		if col.Excluded {
			return nil, tableError(t, col, "key_column_excluded", "records need the whole primary key",
				"capture the column, or leave out the table")
		}
		m, ok := e.cfg.mapColumn(col)
		if !ok {
			return nil, tableError(t, col, "unsupported_column_type", "the type has no form in this format",
				"exclude the column")
		}
		*to = append(*to, newField(len(*to) == 0, i, col, m, inKey))
		schema = append(schema, schemaField{col, m})
	}
	return schema, nil
}

func newField(first bool, index int, col *event.Column, m mapping, inKey bool) field {
	f := field{col: index, kind: m.kind, alt: m.alt, render: m.render, digits: uint8(col.Scale),
		width: uint8((col.Length + 7) / 8), nullable: col.Nullable, inKey: inKey}
	if f.alt == event.Absent {
		f.alt = f.kind
	}
	open := byte(',')
	if first {
		open = '{'
	}
	f.name = append(append([]byte{open}, quote(col.Name)...), ':')
	switch col.Type {
	case event.TypeEnum:
		f.labels = append(f.labels, []byte(`""`))
		for _, l := range col.Labels {
			f.labels = append(f.labels, quote(l))
		}
	case event.TypeSet:
		for _, l := range col.Labels {
			q := quote(l)
			f.labels = append(f.labels, q[1:len(q)-1])
		}
	}
	return f
}

func tableError(t *event.Table, col *event.Column, code, cause, hint string) error {
	return resilience.Errorf(resilience.Fatal, code, "encode table", "%s", cause).
		WithPlace("%s.%s, column %s", t.Database, t.Name, col.Name).WithHint("%s", hint)
}

// cacheSize bounds the programs of one generation. With schemas a program of a
// wide table takes some ten KiB.
const cacheSize = 512

// cache keeps the programs of recent table versions in two generations: a full
// one becomes the old one, and the one before it goes. What is used survives.
type cache struct {
	fresh, old map[*event.Table]*program
}

func (c *cache) get(t *event.Table) *program {
	p := c.fresh[t]
	if p == nil {
		if p = c.old[t]; p != nil {
			c.put(p)
		}
	}
	return p
}

func (c *cache) put(p *program) {
	if c.fresh == nil || len(c.fresh) >= cacheSize {
		c.fresh, c.old = make(map[*event.Table]*program), c.fresh
	}
	c.fresh[p.table] = p
}
