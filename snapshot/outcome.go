package snapshot

import (
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/source"
)

// Reason says why a window was given up.
type Reason uint8

// The reasons. NotGivenUp is that of a merged window.
const (
	NotGivenUp Reason = iota
	// ByDDL: a definition may have changed, or a table was emptied.
	ByDDL
	// ByBudget: more keys were touched during the read than memory may be
	// spent on; a smaller chunk is read faster.
	ByBudget
	// ByEarlier: the window before of the same table was given up or dropped, and
	// chunks leave in the order of the key.
	ByEarlier
	// ByTouch: a row of a table that is read as a whole was changed.
	ByTouch
	// ByKey: the key's columns are not those that were asked for, or are missing in
	// rows of the stream. The table must be looked at anew.
	ByKey
	// ByRows: rows of the chunk or of the stream could not be read, or only a
	// part of a transaction went by.
	ByRows
	// ByLog: the chunk's High is no place in the log that the stream reads.
	ByLog
)

// String names the reason in snake_case, for logs and metrics.
func (r Reason) String() string {
	return [...]string{"", "ddl", "budget", "earlier", "touched", "key", "rows", "log"}[r]
}

// Outcome is what became of a window.
type Outcome struct {
	Window          *Window
	Database, Table string
	// Reason is why the window was given up: the chunk is to be read again, in
	// a new window. NotGivenUp: it was merged, and what follows is set.
	Reason Reason
	// Err is why reading again cannot help, nil nearly always.
	Err error
	// Chunk is what was read, without its rows.
	Chunk source.Chunk
	// Rows are the rows of the chunk that the stream did not touch, in key
	// order, with ordinals; they may share memory. The other ones have left as
	// changes.
	Rows          []event.RawRows
	Kept, Dropped int // rows
	Bytes         int // of the bodies of Rows
}

// Merged reports whether the chunk's rows are to leave.
func (o *Outcome) Merged() bool { return o.Reason == NotGivenUp }
