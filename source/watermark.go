package source

import (
	"context"

	"github.com/cdcd-io/cdcd/event"
)

// Watermark tells what a server shows to those who read its tables. The log runs
// ahead of that: a commit is in the log, and with the stream, before a SELECT sees
// it. It has a connection of its own; one goroutine uses it.
type Watermark interface {
	// Ask asks the server once, and may connect first. Transient errors pass; a
	// Fatal one says that this server does not tell.
	Ask(ctx context.Context) (Shown, error)
	// Close ends the connection. Calling it twice is fine, and so is Ask after it.
	Close() error
}

// Shown is the answer of a Watermark. What has shown once goes on to show, for
// every SELECT that begins later. It does not change, and may be kept.
type Shown interface {
	// End reports whether the transaction that ends there shows.
	End(end event.Coord) bool
	// Position reports whether everything up to there shows.
	Position(p *event.Position) bool
}
