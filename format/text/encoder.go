package text

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

// Encoder renders lines; each is the value of one record without its newline.
// The key is the text of the row's key, of which nothing is left out: two rows
// must not share one. It implements format.Encoder.
type Encoder struct {
	renderer // of the line
	key      renderer
	routes   *format.Routes
	byName   map[*event.Table]*table
	reader   event.RowReader
	rec      format.Record
}

var _ format.Encoder = (*Encoder)(nil)

// table is what the encoder keeps of a table version.
type table struct {
	route *format.Route
	name  string // made safe to print, as are those of the columns
	width int
	names []string
	key   []bool // by column
}

// maxTables bounds the cache of table versions.
const maxTables = 4096

// New returns an encoder. cfg must be valid.
func New(cfg Config, routes *format.Routes) *Encoder {
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	return &Encoder{
		renderer: renderer{max: cfg.MaxValue, colors: paletteFor(cfg.Color), location: cfg.Location},
		key:      renderer{max: math.MaxInt, location: cfg.Location},
		routes:   routes, byName: make(map[*event.Table]*table),
	}
}

// Encode implements format.Encoder.
func (e *Encoder) Encode(p *event.Piece, out format.Emitter) error {
	if p.First && (p.Tx.Rows > 0 || p.Tx.DDL != nil) {
		if err := e.emitTx(p.Tx, out); err != nil {
			return err
		}
	}
	width := widest(p.Tx)
	for row, err := range p.Rows(&e.reader) {
		if err == nil {
			err = e.emitRow(p.Tx, row, width, out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Heartbeat implements format.Encoder; people need none.
func (e *Encoder) Heartbeat(int64, format.Emitter) error { return nil }

// emitTx emits the line above a transaction and, below it, a DDL statement.
func (e *Encoder) emitTx(tx *event.Tx, out format.Emitter) error {
	e.b = append(e.b[:0], e.colors.dim...)
	e.b = append(e.b, "── "...)
	layout := time.DateTime
	if tx.Micros {
		layout += ".000000"
	}
	e.b = tx.Commit.In(e.location).AppendFormat(e.b, layout)
	e.b = append(e.b, " ── "...)
	e.b = append(e.b, tx.Key...)
	e.b = append(e.b, " ── "...)
	if tx.DDL == nil {
		e.b = appendCount(e.b, tx.Rows, "row")
	} else {
		e.b = append(e.b, "DDL"...)
	}
	e.b = append(e.b, e.colors.reset...)
	e.record(e.routes.Topic("transactions"), tx)
	if err := out.Emit(&e.rec); err != nil || tx.DDL == nil {
		return err
	}
	e.b = append(e.b[:0], ' ')
	e.paint(e.colors.other, "! ")
	e.appendText([]byte(strings.Join(strings.Fields(tx.DDL.SQL), " ")), 4*e.max)
	e.record(e.routes.Topic("transactions"), tx)
	return out.Emit(&e.rec)
}

func appendCount(b []byte, n uint64, noun string) []byte {
	b = strconv.AppendUint(b, n, 10)
	b = append(append(b, ' '), noun...)
	if n != 1 {
		b = append(b, 's')
	}
	return b
}

// record prepares the record of the line in e.b.
func (e *Encoder) record(route *format.Route, tx *event.Tx) {
	e.rec = format.Record{Route: route, Value: e.b, Millis: tx.Commit.UnixMilli()}
}

func (e *Encoder) emitRow(tx *event.Tx, row *event.RowChange, width int, out format.Emitter) error {
	t := e.table(row.Table)
	e.b, e.key.b = e.b[:0], e.key.b[:0]
	color, sign, err := e.sign(row)
	if err != nil {
		return err
	}
	e.b = append(e.b, ' ')
	e.paint(color, sign)
	e.b = append(e.b, ' ')
	e.paint(e.colors.table, t.name)
	for range width - t.width {
		e.b = append(e.b, ' ')
	}
	e.columns(t, row)
	e.record(t.route, tx)
	e.rec.Ordinal, e.rec.Part, e.rec.Parts = row.Ordinal+1, 1, 1
	if len(e.key.b) > 0 {
		e.rec.Key = e.key.b
	}
	return out.Emit(&e.rec)
}

func (e *Encoder) sign(row *event.RowChange) (color, sign string, err error) {
	switch row.Op {
	case event.Insert:
		return e.colors.insert, "+", nil
	case event.Read:
		return e.colors.insert, "=", nil
	case event.Update:
		return e.colors.update, "~", nil
	case event.Delete:
		return e.colors.delete, "-", nil
	}
	return "", "", resilience.Errorf(resilience.Poison, "unknown_operation", "render row", "operation %q", string(row.Op)).
		WithPlace("%s.%s", row.Table.Database, row.Table.Name)
}

// columns appends the key first, then of an update what changed, else all.
func (e *Encoder) columns(t *table, row *event.RowChange) {
	shown := row.After
	if shown == nil {
		shown = row.Before
	}
	changes := row.Before != nil && row.After != nil
	for _, i := range row.Table.Key {
		if changes && !same(&row.Before[i], &row.After[i]) {
			e.change(t, row, i)
		} else {
			e.value(t, row.Table, i, &shown[i])
		}
	}
	found := false
	for i := range row.Table.Columns {
		switch {
		case t.key[i] || shown[i].Kind == event.Absent:
		case !changes:
			e.value(t, row.Table, i, &shown[i])
		case !same(&row.Before[i], &row.After[i]):
			found = true
			e.change(t, row, i)
		case len(row.Table.Key) == 0: // only all values tell which row it is
			e.value(t, row.Table, i, &shown[i])
		}
	}
	e.noKey(row, found)
}

// noKey says of an update what a reader would else miss.
func (e *Encoder) noKey(row *event.RowChange, found bool) {
	if row.Op != event.Update || found {
		return
	}
	for _, i := range row.Table.Key {
		if !same(&row.Before[i], &row.After[i]) {
			return
		}
	}
	e.b = append(e.b, "  "...)
	e.paint(e.colors.dim, "(no visible change)")
}

// value appends "  name=value", and to the record's key when it is of the key.
func (e *Encoder) value(t *table, of *event.Table, i int, v *event.Value) {
	e.name(t, i)
	e.b = append(e.b, '=')
	e.appendValue(&of.Columns[i], v)
	e.addKey(t, of, i, v)
}

func (e *Encoder) name(t *table, i int) {
	color := e.colors.column
	if t.key[i] {
		color = e.colors.key
	}
	e.b = append(e.b, "  "...)
	e.paint(color, t.names[i])
}

// change appends "  name: old → new".
func (e *Encoder) change(t *table, row *event.RowChange, i int) {
	c := &row.Table.Columns[i]
	e.name(t, i)
	e.b = append(e.b, ": "...)
	if old := &row.Before[i]; old.Kind != event.Absent {
		e.tinted(e.colors.delete, c, old)
		e.b = append(e.b, ' ')
	}
	e.paint(e.colors.dim, "→")
	e.b = append(e.b, ' ')
	e.tinted(e.colors.insert, c, &row.After[i])
	e.addKey(t, row.Table, i, &row.After[i])
}

// tinted appends a value in a colour; NULL keeps its own.
func (e *Encoder) tinted(color string, c *event.Column, v *event.Value) {
	if v.Kind == event.Null {
		color = ""
	}
	e.b = append(e.b, color...)
	e.appendValue(c, v)
	if color != "" {
		e.b = append(e.b, e.colors.reset...)
	}
}

// addKey adds a value of the row's key to the key of the record.
func (e *Encoder) addKey(t *table, of *event.Table, i int, v *event.Value) {
	if !t.key[i] {
		return
	}
	k := &e.key
	if len(k.b) > 0 {
		k.b = append(k.b, ' ')
	}
	k.b = append(append(k.b, t.names[i]...), '=')
	k.appendValue(&of.Columns[i], v)
}

func same(a, b *event.Value) bool {
	return a.Kind == b.Kind && a.Num == b.Num && a.Scale == b.Scale && string(a.Bytes) == string(b.Bytes)
}

func (e *Encoder) table(v *event.Table) *table {
	if t := e.byName[v]; t != nil {
		return t
	}
	if len(e.byName) >= maxTables {
		clear(e.byName)
	}
	name := v.Database + "." + v.Name
	t := &table{route: e.routes.Topic(name), name: printable(name), width: utf8.RuneCountInString(name)}
	for i := range v.Columns {
		t.names = append(t.names, printable(v.Columns[i].Name))
		t.key = append(t.key, slices.Contains(v.Key, i))
	}
	e.byName[v] = t
	return t
}

// maxWidth bounds the column of table names.
const maxWidth = 40

// widest is the length of the longest table name of the transaction, so that
// what follows the names stands in one column.
func widest(tx *event.Tx) int {
	n := 0
	for _, t := range tx.Tables {
		n = max(n, utf8.RuneCountInString(t.Database)+1+utf8.RuneCountInString(t.Table))
	}
	return min(n, maxWidth)
}
