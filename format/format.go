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
	// Oversize is set where an emitter had no room for the row (see Oversize):
	// the size in bytes that the whole record would have had. This one then holds
	// the columns of the key only.
	Oversize int
	Headers  []Header // the encoder's own, beside those of the sink
	// Broadcast sends a copy to every partition of the route (TRUNCATE).
	Broadcast bool
}

// Emitter receives records in order.
type Emitter interface {
	// Emit takes the record; it keeps none of its bytes. An error ends the
	// piece and the pipeline's line, but for Oversize.
	Emit(r *Record) error
}

// Oversize is the error of an Emitter that has no room for the record of a row,
// took nothing of it, and takes another in its place: with the same key, the
// columns of the key only, and Record.Oversize set to Bytes. For an encoder that
// has no such form it is an error like any other.
type Oversize struct {
	Bytes int   // of the record with all that belongs to it
	Err   error // what the pipeline stops with if nothing smaller comes
}

// Error implements error.
func (o *Oversize) Error() string { return o.Err.Error() }

// Unwrap returns the error with its class and hint.
func (o *Oversize) Unwrap() error { return o.Err }

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
