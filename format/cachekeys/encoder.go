package cachekeys

import (
	"errors"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

// GenerationRoute is the route of generation keys. No template has this text.
const GenerationRoute = "gen:{}"

// Encoder renders keys. It implements [format.Encoder] and serves one goroutine.
type Encoder struct {
	cfg    Config
	routes *format.Routes
	// rules are those of each table, in the order of the configuration.
	rules      map[name][]*parsed
	tables     []name // each table once, in the order of the configuration
	generation *format.Route

	programs map[*event.Table]*program
	events   []event.RawRows // of a piece, those that are decoded
	reader   event.RowReader
	rec      format.Record

	buf  []byte // keys of a row
	cuts []cut

	piece uint64 // number of the piece at hand
}

var _ format.Encoder = (*Encoder)(nil)

type name struct{ database, table string }

// program is a table version with its rules.
type program struct {
	rules []*compiled
	// bumped is the last piece in which the generation stood for the rows, so
	// that it is emitted once in each.
	bumped uint64
}

// cut is a key in Encoder.buf.
type cut struct {
	route    *format.Route
	from, to int
}

// New returns an encoder; cfg must be valid.
func New(cfg Config, routes *format.Routes) *Encoder {
	e := &Encoder{cfg: cfg, routes: routes, rules: map[name][]*parsed{}, programs: map[*event.Table]*program{},
		generation: routes.Topic(GenerationRoute)}
	for i := range cfg.Keys {
		p, err := parseRule(&cfg.Keys[i])
		if err != nil {
			panic("cachekeys: the configuration was not validated: " + err.Error())
		}
		n := name{p.database, p.table}
		if e.rules[n] == nil {
			e.tables = append(e.tables, n)
		}
		e.rules[n] = append(e.rules[n], p)
	}
	return e
}

// Encode emits the keys of the piece. After an error the encoder may be used
// for other pieces.
func (e *Encoder) Encode(p *event.Piece, out format.Emitter) error {
	e.piece++
	e.rec = format.Record{Millis: p.Tx.Commit.UnixMilli()}
	if p.Tx.DDL != nil && p.First {
		if err := e.encodeDDL(p.Tx.DDL, out); err != nil {
			return err
		}
	}
	if err := e.choose(p, out); err != nil {
		return err
	}
	chosen := event.Piece{Tx: p.Tx, Events: e.events}
	for row, err := range chosen.Rows(&e.reader) {
		if err == nil {
			err = e.encodeRow(p.Tx, row, out)
		}
		if err != nil {
			return err
		}
	}
	e.settle()
	return nil
}

// Heartbeat implements [format.Encoder]; there is nothing to delete.
func (e *Encoder) Heartbeat(int64, format.Emitter) error { return nil }

// choose collects the events whose rows are decoded, and emits generations in
// place of the rows of huge transactions.
func (e *Encoder) choose(p *event.Piece, out format.Emitter) error {
	e.events = e.events[:0]
	for i := range p.Events {
		ev := &p.Events[i]
		if ev.Op == event.Read {
			continue
		}
		prog, err := e.program(ev.Table)
		if err != nil {
			return err
		}
		switch {
		case prog.rules == nil:
		case prog.bumped == e.piece:
		case e.huge(p.Tx, ev.Table):
			prog.bumped = e.piece
			if err := e.bump(name{ev.Table.Database, ev.Table.Name}, out); err != nil {
				return err
			}
		default:
			e.events = append(e.events, *ev)
		}
	}
	return nil
}

func (e *Encoder) huge(tx *event.Tx, t *event.Table) bool {
	if tx.Rows <= e.cfg.GenerationAbove {
		return false
	}
	for i := range tx.Tables {
		if c := &tx.Tables[i]; c.Table == t.Name && c.Database == t.Database {
			return c.Rows > e.cfg.GenerationAbove
		}
	}
	return false
}

// bump emits the generation key of a table.
func (e *Encoder) bump(n name, out format.Emitter) error {
	e.buf = cachekey.AppendGeneration(e.buf[:0], n.database, n.table)
	e.rec.Route, e.rec.Key = e.generation, e.buf
	e.rec.Ordinal, e.rec.Part, e.rec.Parts = 0, 0, 0
	return out.Emit(&e.rec)
}

// encodeRow emits the keys of one row, each once.
func (e *Encoder) encodeRow(tx *event.Tx, row *event.RowChange, out format.Emitter) error {
	prog, err := e.program(row.Table)
	if err != nil {
		return err
	}
	e.buf, e.cuts = e.buf[:0], e.cuts[:0]
	for _, r := range prog.rules {
		if !r.concerns(row) {
			continue
		}
		for _, image := range [...][]event.Value{row.Before, row.After} {
			if image == nil {
				continue
			}
			if err := e.render(r, image); err != nil {
				return e.poison(tx, row, r, image, err)
			}
		}
	}
	return e.emit(row, out)
}

// render appends the key of the image, unless it is there already.
func (e *Encoder) render(r *compiled, image []event.Value) error {
	if r.where != nil && !r.where.mayHold(image) {
		return nil
	}
	from := len(e.buf)
	var ok bool
	var err error
	if e.buf, ok, err = r.key.Append(e.buf, image); err != nil || !ok {
		return err
	}
	for _, c := range e.cuts {
		if string(e.buf[c.from:c.to]) == string(e.buf[from:]) {
			e.buf = e.buf[:from]
			return nil
		}
	}
	e.cuts = append(e.cuts, cut{r.route, from, len(e.buf)})
	return nil
}

func (e *Encoder) emit(row *event.RowChange, out format.Emitter) error {
	e.rec.Ordinal, e.rec.Parts = row.Ordinal+1, uint16(len(e.cuts))
	for i, c := range e.cuts {
		e.rec.Route, e.rec.Key, e.rec.Part = c.route, e.buf[c.from:c.to:c.to], uint16(i+1)
		if err := out.Emit(&e.rec); err != nil {
			return err
		}
	}
	return nil
}

// keepBytes bounds what an encoder holds on to between pieces.
const keepBytes = 4 << 20

func (e *Encoder) settle() {
	for _, b := range []*[]byte{&e.buf, &e.reader.Scratch} {
		if cap(*b) > keepBytes {
			*b = nil
		}
	}
}

// maxPrograms bounds the cache of table versions.
const maxPrograms = 4096

// program returns the table version with its rules; a version that a rule does
// not fit is an error each time.
func (e *Encoder) program(t *event.Table) (*program, error) {
	if p := e.programs[t]; p != nil {
		return p, nil
	}
	p := &program{}
	for _, r := range e.rules[name{t.Database, t.Name}] {
		c, err := r.compile(t)
		if err != nil {
			return nil, err
		}
		c.route = e.routes.Topic(r.template.String())
		p.rules = append(p.rules, c)
	}
	if len(e.programs) >= maxPrograms {
		clear(e.programs)
	}
	e.programs[t] = p
	return p, nil
}

// poison explains a row without a key.
func (e *Encoder) poison(tx *event.Tx, row *event.RowChange, r *compiled, image []event.Value, cause error) error {
	code, hint := "cache_key_row", "report it; until then leave out the key"
	if errors.Is(cause, cachekey.ErrAbsent) {
		code, hint = "cache_key_absent", "set binlog_row_image=FULL on the source; keys of rows that were written before are lost: empty the cache"
	}
	var column string
	for _, i := range r.key.Columns() {
		if k := image[i].Kind; k == event.Absent || k == event.Null || column == "" {
			column = row.Table.Columns[i].Name
		}
	}
	return resilience.Errorf(resilience.Poison, code, "render cache key", "%w", cause).
		WithPlace("%q of %s.%s, column %s, row %d of the event at offset %d, transaction %s", r.key.Template(), row.Table.Database,
			row.Table.Name, column, row.Row, row.Pos, tx.Key).WithHint("%s", hint)
}
