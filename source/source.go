// Package source is the door by which changes come in: what a driver for a
// kind of server must offer, and nothing of any server. Drivers live in
// sub-packages (source/mysql); only cmd/cdcd, bench and internal/testenv
// import them.
package source

import (
	"context"

	"github.com/cdcd-io/cdcd/event"
)

// Source opens streams of one server. It is safe for use by one goroutine.
type Source interface {
	// Start returns the position at which a first start begins: the end of the
	// server's log now. It is stored before the first row leaves.
	Start(ctx context.Context) (event.Position, error)
	// Open connects and starts to read right after from, which it does not
	// keep. It fails with a Fatal resilience.Error when the server can no
	// longer serve from there (purged, reset, another server), with a
	// Transient one when waiting may help.
	Open(ctx context.Context, from event.Position) (Stream, error)
}

// Stream yields the events of one connection in log order. It has no goroutine
// and no channel of its own: Next is pull, so that whoever does not call it
// holds the server back.
type Stream interface {
	// Next fills ev with the next event; what ev points to is valid until the
	// following call. A Transient error means: Close, wait, Open again from the
	// last finished transaction. ctx bounds the wait; a quiet but healthy
	// connection yields heartbeats.
	Next(ctx context.Context, ev *event.Event) error
	// Close ends the connection. Calling it twice is fine.
	Close() error
}

// CodeDisplaced is the code of the Transient error of a stream whose place at the
// server another reader took under our name. That may be our successor, or one
// who does not know yet that we are his: before the place is taken back, the
// sink must be asked who the owner is.
const CodeDisplaced = "reader_displaced"

// The codes of the Fatal errors of Open and Next that say that changes cannot be
// had any more: nothing but a new Start, and reading all tables anew, goes on.
const (
	// CodePurged: the log that follows the position was removed.
	CodePurged = "binlog_purged"
	// CodeReset: the log was lost or begun anew, and places in it mean others.
	CodeReset = "source_log_reset"
)

// Pulser is an optional interface of a Stream. One step of a stream may take
// long: whoever watches it asks here, from any goroutine, whether it moves.
type Pulser interface {
	// Pulse returns a count that rises with all that is received, and whether
	// the stream is waiting for the server, which it does no longer than its
	// own deadlines let it.
	Pulse() (progress uint64, waiting bool)
}
