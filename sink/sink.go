// Package sink is the door by which records leave: what a driver for a kind of
// destination must offer, and nothing of any destination. Drivers live in
// sub-packages; only cmd/cdcd, bench and internal/testenv import them.
package sink

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
)

// Sink delivers batches in order. One goroutine calls Connect, Send and Close;
// packers are called by one goroutine each.
//
// A line is one run from Connect to the first error. After a batch failed no
// new one is sent; the pipeline closes the line, waits, and calls Connect
// again, which says where to go on. Close ends the last line.
type Sink interface {
	// Connect makes this process, under this term, the one writer and returns
	// the checkpoint to go on from. cp is what the checkpoint store holds, the
	// zero Checkpoint at a first start. A sink that keeps the position itself
	// (Kafka) returns its own and refuses a cp ahead of it; one that must be
	// cut back (file) cuts to cp. Called again after an error: everything in
	// flight is forgotten first.
	//
	// Errors: Fenced when a newer term owns the destination; Fatal when going
	// on would lose or double changes; Transient else.
	Connect(ctx context.Context, term uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error)
	// Begin stores the start position, with its marks, of a first start or of a new
	// generation, before any row leaves. It is called once after a Connect that
	// returned a zero checkpoint, or one of an earlier generation.
	Begin(ctx context.Context, cp checkpoint.Checkpoint) error
	// Packer returns a new packer. Packers stay valid across Connect.
	Packer() Packer
	// Send takes over b.Packed and delivers it after everything sent before.
	// It may return before it is delivered; it blocks while too much is in
	// flight. done is called exactly once, on any goroutine: with nil once b
	// and all before it are durable, with the line's first error else.
	// Batches that end inside a transaction (b.Open) become durable with the
	// batch that ends it; their done may come earlier, when the sink holds no
	// memory of theirs any more, since a transaction may be larger than any
	// budget. The tracker does not pass them before that end is done too. idle says
	// that no further batch is waiting: what was held back to be delivered
	// together leaves now.
	Send(ctx context.Context, b Batch, idle bool, done func(Ack, error))
	// Close waits for every done to have been called, within ctx, and frees
	// everything. Calling it twice is fine.
	Close(ctx context.Context) error
}

// Ack says what a durable batch means for the checkpoint.
type Ack struct {
	// State is the sink's own part of the checkpoint behind this batch; nil
	// leaves that of the batch before. It is stored only together with the end
	// of a batch that is not Open.
	State []byte
}

// Batch is what one worker packed: a run of the log in order.
type Batch struct {
	Packed  Packed
	Ends    []event.Coord // ends of the transactions finished in this batch, in order; the sink may keep it until done
	Records int
	Bytes   int  // of Packed
	Open    bool // the last transaction of the batch goes on in the next one
	// Part is how much of that transaction is done at the end of an Open batch,
	// zero for one that must be delivered whole. A sink that delivers it in parts
	// stores it with the position before it.
	Part event.Partial
	// Newest is when the last transaction of the batch was committed, by the
	// source's clock; zero where the batch has none that the source committed.
	Newest time.Time
}

// Packed is what a Packer made; only its own sink understands it.
type Packed interface {
	Bytes() int // size in memory
}

// Packer turns records into whatever its sink sends, on the encoding worker's
// core: partitioning, framing, compression. One packer serves one goroutine.
type Packer interface {
	format.Emitter
	// Start says that the following records are those of p, or with nil that they
	// are of no transaction (heartbeats). Several pieces may follow one another
	// before Pack.
	Start(p *event.Piece)
	// Pack returns all that was emitted since the last Pack and starts anew.
	// After an error of Emit, call it too and drop the result.
	Pack() (Packed, error)
}
