package checkpoint

import (
	"context"
	"errors"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// Checkpoint is where a pipeline goes on from. The zero Checkpoint means that
// the pipeline never started.
type Checkpoint struct {
	Installation string // which installation of cdcd wrote it
	Pipeline     string
	// Generation counts rewinds: positions move forward only within one.
	Generation uint64
	Term       uint64 // of the writer
	Position   event.Position
	Sink       []byte // the sink's own part, opaque here
	Saved      time.Time
}

// IsZero reports whether the pipeline never started.
func (c Checkpoint) IsZero() bool { return c.Pipeline == "" }

// ErrNone is returned by Store.Load when nothing is stored.
var ErrNone = errors.New("no checkpoint stored")

// ErrFenced is wrapped by Store.Save when a newer term or generation wrote.
var ErrFenced = errors.New("a newer writer owns the checkpoint")

// Store keeps one checkpoint a pipeline. Save is atomic: a reader sees the old
// one or the new one. Safe for concurrent use.
type Store interface {
	// Load returns the checkpoint, or an error that wraps ErrNone. What is
	// corrupt, foreign or from a newer version is refused with a Fatal error.
	Load(ctx context.Context, pipeline string) (Checkpoint, error)
	// Save stores c durably. It refuses, wrapping ErrFenced, when the stored
	// one has a higher term or generation, and a step back within a generation.
	Save(ctx context.Context, c Checkpoint) error
}
