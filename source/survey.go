package source

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// Survey is how a position lies in the log as the server keeps it now.
type Survey struct {
	Taken time.Time // when the source was asked
	// BehindBytes is how much of the log lies after the position.
	BehindBytes uint64
	// Expires says whether the server purges its log by itself; then PurgeIn is
	// the least time until it may remove the file that the position is in.
	Expires bool
	PurgeIn time.Duration
	// Purged says that the file is gone; PurgeIn is 0 then.
	Purged bool
}

// Surveyor is the optional interface by which a source tells how far behind a
// position is and how long it can still be read. It uses a connection of its
// own, asks nothing that costs the server anything, and is called every half
// minute or so on a driver that opens no stream.
type Surveyor interface {
	Survey(ctx context.Context, at event.Position) (Survey, error)
}
