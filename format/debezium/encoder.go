package debezium

import (
	"sync/atomic"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

// Deps is what an Encoder is given.
type Deps struct {
	Source string           // name of the source; the prefix unless one is configured
	Flavor event.Flavor     // decides the name of the connector
	Routes *format.Routes   // shared by the encoders of a pipeline
	Stats  *Stats           // may be shared; nil counts nowhere
	Now    func() time.Time // nil is time.Now
}

// Stats counts what metrics show. All encoders of a pipeline may share one.
type Stats struct {
	// InvalidDates counts values that no calendar has, once each time one is
	// rendered (so twice for an update that keeps it).
	InvalidDates atomic.Uint64
}

// Encoder renders pieces as Debezium JSON. It implements [format.Encoder] and
// serves one goroutine.
type Encoder struct {
	cfg       Config
	connector string
	routes    *format.Routes
	stats     *Stats
	now       func() time.Time

	programs    cache
	transaction *format.Route // nil unless BEGIN and END are wanted
	heartbeat   *format.Route // nil unless heartbeats are wanted

	reader       event.RowReader
	rec          format.Record
	headers      [1]format.Header
	fault        fault
	invalidDates uint64

	// What rows share: the table version and the fragments of source.go.
	prog  *program
	tx    txFragments
	event eventFragments

	// Rendered records.
	key, oldKey, value []byte
}

var _ format.Encoder = (*Encoder)(nil)

// New returns an encoder; cfg must be valid.
func New(cfg Config, d Deps) *Encoder {
	if cfg.Prefix == "" {
		cfg.Prefix = sanitize(d.Source)
	}
	e := &Encoder{cfg: cfg, connector: d.Flavor.String(), routes: d.Routes, stats: d.Stats, now: d.Now}
	if e.now == nil {
		e.now = time.Now
	}
	if e.stats == nil {
		e.stats = new(Stats)
	}
	if cfg.TransactionMetadata {
		e.transaction = e.routes.Topic(cfg.Prefix + ".transaction")
	}
	if cfg.Heartbeat {
		e.heartbeat = e.routes.Topic("__debezium-heartbeat." + cfg.Prefix)
	}
	e.tx.constant = sourceConstant(cfg.Version, e.connector, cfg.Prefix)
	return e
}

// Encode emits the records of the piece: BEGIN before the first row and END
// behind the last where they are wanted, and the rows between in log order. A
// transaction without rows yields nothing, except for a TRUNCATE or DROP of
// captured tables. After an error the encoder may be used for other pieces.
func (e *Encoder) Encode(p *event.Piece, out format.Emitter) error {
	defer e.settle()
	if p.Tx.DDL != nil {
		if err := e.encodeDDL(p.Tx, out); err != nil {
			return err
		}
	}
	if p.Tx.Rows == 0 && len(p.Events) == 0 {
		return nil
	}
	e.startTx(p.Tx)
	if p.First {
		if err := e.emitBegin(p.Tx, out); err != nil {
			return err
		}
	}
	first := true // it may lie inside its event
	for c, err := range p.Rows(&e.reader) {
		if err == nil && (c.Row == 0 || first) {
			err = e.startEvent(c)
		}
		first = false
		if err == nil {
			err = e.encodeRow(c, out)
		}
		if err != nil {
			return err
		}
	}
	if p.Last {
		return e.emitEnd(p.Tx, out)
	}
	return nil
}

// keepBytes bounds what an encoder holds on to between pieces.
const keepBytes = 4 << 20

// settle publishes the counters and lets go of memory that a huge row took.
func (e *Encoder) settle() {
	if e.invalidDates > 0 {
		e.stats.InvalidDates.Add(e.invalidDates)
		e.invalidDates = 0
	}
	for _, b := range []*[]byte{&e.key, &e.oldKey, &e.value, &e.reader.Scratch} {
		if cap(*b) > keepBytes {
			*b = nil
		}
	}
}

// program returns the compiled table version.
func (e *Encoder) program(t *event.Table) (*program, error) {
	if e.prog != nil && e.prog.table == t {
		return e.prog, nil
	}
	p := e.programs.get(t)
	if p == nil {
		var err error
		if p, err = e.compile(t); err != nil {
			return nil, err
		}
		e.programs.put(p)
	}
	e.prog = p
	return p, nil
}

// emit sends one record of the current transaction.
func (e *Encoder) emit(out format.Emitter, route *format.Route, key, value []byte) error {
	e.rec.Route, e.rec.Key, e.rec.Value, e.rec.Millis = route, key, value, e.tx.millis
	return out.Emit(&e.rec)
}

// poison explains the fault at hand.
func (e *Encoder) poison(c *event.RowChange) error {
	return resilience.Errorf(resilience.Poison, e.fault.code, "encode row", "%s", e.fault.cause).
		WithPlace("%s.%s, column %s, row %d of the event at %s:%d, transaction %s", c.Table.Database, c.Table.Name,
			c.Table.Columns[e.fault.field.col].Name, c.Row, e.tx.file, c.Pos, e.tx.id).
		WithHint("%s", e.fault.remedy)
}
