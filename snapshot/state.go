package snapshot

import (
	"slices"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// State is how far the reading of one table is. It is stored as a mark together
// with the rows it speaks of, and read back when the pipeline starts.
type State struct {
	// Run numbers the planning or the request that this reading belongs to, from
	// 1. States of runs before the last gap in the stream do not count.
	Run   uint64
	Cause Cause
	// Key names the columns by which the table is read. When the table has
	// another key, After means nothing and the reading starts over.
	Key []string
	// Where is the condition that rows must meet, "" for all.
	Where string
	// Rest says that the whole table is still to be read when this reading of
	// some rows has ended: it was asked for before that was due. With Cancelled
	// and the cause Gap the table is excluded, and was emptied only.
	Rest bool
	// After and Until are the bounds of what is left, as in source.ChunkRequest.
	After, Until Bound
	// Rows, Bytes and Chunks count what was read; Dropped are those of the rows
	// that left as changes of the stream instead.
	Rows, Dropped, Bytes, Chunks uint64
	Started                      time.Time // in UTC, whole milliseconds
	Finished                     time.Time // zero until Done or Cancelled
	Done                         bool      // all rows were read
	Cancelled                    bool      // the rest is not wanted
}

// Bound is the place of a key in the order of its table: opaque UTF-8 text of
// the source, nil for none.
type Bound []byte

// Cause says why a table is read.
type Cause string

// The causes.
const (
	Initial   Cause = "initial"   // the pipeline has started
	Included  Cause = "included"  // the configuration includes the table now
	Gap       Cause = "gap"       // changes were lost: the table begins with a truncate event
	Requested Cause = "requested" // by an operator
	Altered   Cause = "altered"   // DDL changed rows without row events
)

// Ended reports that nothing is left to be read.
func (s *State) Ended() bool { return s.Done || s.Cancelled }

// With returns the state after a merged chunk, at the time now.
func (s State) With(o *Outcome, now time.Time) State {
	c := &o.Chunk
	if s.After == nil {
		s.Until = slices.Clone(Bound(c.Max))
	}
	s.After = slices.Clone(Bound(c.Last))
	s.Chunks++
	s.Rows += uint64(o.Kept + o.Dropped)
	s.Dropped += uint64(o.Dropped)
	s.Bytes += uint64(c.Bytes)
	if c.End {
		s.Done, s.Finished = true, stamp(now)
	}
	return s
}

// Over returns the state of the same reading, begun anew by that key. The number
// of chunks goes on, by which what leaves is told apart.
func (s State) Over(key []string) State {
	return State{Run: s.Run, Cause: s.Cause, Key: key, Where: s.Where, Rest: s.Rest, Chunks: s.Chunks, Started: s.Started}
}

// Part returns the state after some more rows of a table that leaves as a whole,
// at the time now; end says that they are the last. Until then a restart begins
// with the first again.
func (s State) Part(rows uint64, bytes int, end bool, now time.Time) State {
	s.Chunks++
	s.Rows += rows
	s.Bytes += uint64(bytes)
	if end {
		s.Done, s.Finished = true, stamp(now)
	}
	return s
}

// Mark returns the mark that stores the state of the table. It fails on what
// cannot be stored.
func (s *State) Mark(database, table string) (*event.Mark, error) {
	value, err := s.Encode()
	if err != nil {
		return nil, err
	}
	return &event.Mark{Key: MarkKey(database, table), Value: value}, nil
}

// stamp brings a time into the form in which it is stored.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Cancel ends the reading at the time now; what has left stays.
func (s State) Cancel(now time.Time) State {
	s.Cancelled, s.Finished = true, stamp(now)
	return s
}
