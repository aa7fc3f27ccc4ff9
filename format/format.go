// Package format turns transactions into records: what an Encoder and its
// output are. The envelopes live in sub-packages (format/debezium).
//
// Encoding is push and copies nothing it need not: an Encoder renders a record
// into memory of its own and emits it; whoever receives it takes what it wants
// before returning.
package format

import "github.com/cdcd-io/cdcd/event"

// Route is a destination of records: a topic. Pointers are comparable and the
// same for all encoders of a pipeline (see Routes), so a sink may keep its own
// state by Route.Index.
type Route struct {
	Topic string
	Index int // dense, from 0, in order of first use
}

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one message. All its bytes belong to the encoder and are valid
// only during Emit.
type Record struct {
	Route *Route
	// Key decides the partition. nil is a null key: the record goes to the one
	// partition its Route's name selects, so that keyless rows of a table stay
	// in order.
	Key   []byte
	Value []byte // nil is a tombstone
	// Millis is the record's time: the commit time of its transaction, in
	// milliseconds since the epoch.
	Millis int64
	// Ordinal numbers the row in its transaction, from 1; 0 for records that
	// are not rows (BEGIN and END, heartbeats). A row that needs several
	// records (a key change, a delete with tombstone) numbers them Part 1..Parts.
	Ordinal     uint64
	Part, Parts uint16
	Headers     []Header // the encoder's own, beside those of the sink
	// Broadcast sends a copy to every partition of the route (TRUNCATE).
	Broadcast bool
}

// Emitter receives records in order.
type Emitter interface {
	// Emit takes the record; it keeps none of its bytes. An error ends the
	// piece and the pipeline's line.
	Emit(r *Record) error
}

// Encoder renders pieces. One encoder serves one goroutine; encoders of one
// pipeline share nothing but their Routes. It renders every piece on its own,
// so pieces of one transaction may be rendered by several encoders at once.
type Encoder interface {
	// Encode emits the records of the piece in order. Errors are
	// resilience.Errors: Poison when a row cannot be rendered, naming table,
	// column and place.
	Encode(p *event.Piece, out Emitter) error
	// Heartbeat emits what tells consumers that a quiet pipeline lives; it may
	// emit nothing.
	Heartbeat(millis int64, out Emitter) error
}
