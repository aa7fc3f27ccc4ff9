package pipeline

import (
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/sink"
)

// unit is a run of the log that one worker encodes: at most about UnitBytes of
// raw rows, from many small transactions or from a part of a large one. Units
// are reused; they travel by pointer from dispatch to a worker and, in the
// order of the log, to send.
type unit struct {
	pieces    []*event.Piece
	ends      []event.Coord // of the transactions that end in this unit
	raw       int           // bytes of raw rows
	rows      uint64
	reserved  int64         // of the output budget
	heartbeat bool          // emit a heartbeat record after the pieces
	open      bool          // the last transaction goes on in the next unit
	part      event.Partial // how much of that is done at the end of this one

	// oldest and newest are the commit times of the first and last
	// transaction; received is when the first one had been read.
	oldest, newest, received time.Time

	packed sink.Packed
	err    error
	done   chan struct{} // gets one token when packed or err is set
	sent   time.Time
}

func newUnit() *unit { return &unit{done: make(chan struct{}, 1)} }

// reset makes u ready for reuse. Its ends are not reused: the sink may hold them.
func (u *unit) reset() {
	clear(u.pieces)
	*u = unit{pieces: u.pieces[:0], done: u.done}
}

// add takes a piece that carries records.
func (u *unit) add(p *event.Piece) {
	u.pieces = append(u.pieces, p)
	u.raw += p.Bytes
	var end uint64 // number of the row behind the last
	for i := range p.Events {
		ev := &p.Events[i]
		u.rows += uint64(ev.Rows)
		end = ev.Ordinal + uint64(ev.Rows)
	}
	u.open, u.part = !p.Last, event.Partial{}
	if u.open {
		u.part = p.Tx.Part(end)
	}
	u.note(p)
}

// skip takes the end of a transaction that yields no records.
func (u *unit) skip(p *event.Piece) {
	u.note(p)
	p.Release()
}

func (u *unit) note(p *event.Piece) {
	if u.received.IsZero() && !p.Tx.Silent {
		u.oldest, u.received = p.Tx.Commit, p.Tx.Received
	}
	if !p.Tx.Silent {
		u.newest = p.Tx.Commit
	}
	if p.Last {
		u.ends = append(u.ends, p.Tx.End)
	}
}

// place names the transactions of the unit's pieces.
func (u *unit) place() string {
	if len(u.pieces) == 0 {
		return ""
	}
	first, last := u.pieces[0].Tx.Key, u.pieces[len(u.pieces)-1].Tx.Key
	if first == last {
		return "transaction " + first
	}
	return "transactions " + first + " to " + last
}

// quiet reports whether the piece yields no records.
func quiet(p *event.Piece) bool { return p.Tx.Rows == 0 && p.Tx.DDL == nil }
