package txbuffer

import (
	"context"
	"strconv"

	"github.com/cdcd-io/cdcd/event"
)

// Store keeps the rows of the one open transaction. [Ring] is the one the
// daemon uses. When an error is ctx's own, the call had no effect and may be
// repeated; after any other the store is of no use.
type Store interface {
	// Append copies raw and its body to the end of the open transaction.
	Append(ctx context.Context, raw *event.RawRows) error
	// Commit copies tx, which describes the open transaction completely, and
	// hands both on; the next Append opens another transaction.
	Commit(ctx context.Context, tx *event.Tx) error
	// Drop forgets the open transaction.
	Drop() error
}

// Assembler groups the events of a stream into transactions. It is a plain
// step function: it has no clock, lock or goroutine, and whatever waits or
// fails does so in its Store. One goroutine owns it.
type Assembler struct {
	store  Store
	pos    event.Position // after the last finished transaction
	last   event.Coord    // the same place, for transactions that come without Begin
	open   bool           // between Begin and the end
	tx     event.Tx       // the open transaction as far as it is known
	gtid   event.GTID     // of the open transaction
	tables tableCounts
	keys   keyText
}

// NewAssembler returns an assembler for a stream that was opened at from, which
// it clones. Seq goes on from from.Seq.
func NewAssembler(from event.Position, store Store) *Assembler {
	a := &Assembler{store: store, pos: from.Clone()}
	file := a.pos.File
	a.last = event.Coord{File: &file, Offset: a.pos.Offset, Seq: a.pos.Seq}
	return a
}

// Position returns a copy of the position after the last finished transaction:
// where the source is to be opened again after its connection broke.
func (a *Assembler) Position() event.Position { return a.pos.Clone() }

// Seq is the number of the last finished transaction.
func (a *Assembler) Seq() uint64 { return a.pos.Seq }

// Step takes the next event, which it does not keep, and reports whether it
// finished a transaction. When the error is ctx's own, nothing was stored and
// the step may be repeated with the same event; after any other error the
// assembler and its store are to be given up.
func (a *Assembler) Step(ctx context.Context, ev *event.Event) (finished bool, err error) {
	switch ev.Kind {
	case event.EvRows:
		return false, a.rows(ctx, ev)
	case event.EvBegin:
		return false, a.begin(ev)
	case event.EvCommit:
		return a.commit(ctx, ev)
	case event.EvRollback:
		return a.rollback(ctx, ev)
	case event.EvDDL:
		return a.ddl(ctx, ev)
	case event.EvHeartbeat:
		return a.heartbeat(ctx, ev)
	case event.EvReset:
		a.reset()
		return false, a.store.Drop()
	}
	return false, orderError(ev, "event of unknown kind "+strconv.Itoa(int(ev.Kind)))
}

func (a *Assembler) begin(ev *event.Event) error {
	if a.open {
		return orderError(ev, "a transaction begins inside another one")
	}
	a.start(ev.Coord, ev.GTID)
	a.describe(ev)
	return nil
}

func (a *Assembler) rows(ctx context.Context, ev *event.Event) error {
	if !a.open {
		return orderError(ev, "rows outside a transaction")
	}
	raw := &ev.Raw
	n, err := raw.Table.Layout.Count(raw.Type, raw.Body)
	if err != nil {
		return countError(raw, a.tx.Begin.File, err)
	}
	if n == 0 {
		return nil
	}
	count := a.tables.of(raw.Table)
	raw.Rows, raw.Ordinal, raw.TableOrdinal = n, a.tx.Rows, count.Rows
	if a.wanted(raw) {
		if err := a.store.Append(ctx, raw); err != nil {
			return err
		}
	}
	count.Rows += uint64(n)
	a.tx.Rows += uint64(n)
	return nil
}

// wanted reports whether any of the rows still has to be delivered. They are
// counted in either case.
func (a *Assembler) wanted(raw *event.RawRows) bool {
	return raw.Ordinal+uint64(raw.Rows) > a.pos.Partial.Rows
}

func (a *Assembler) commit(ctx context.Context, ev *event.Event) (bool, error) {
	if !a.open {
		return false, orderError(ev, "a commit outside a transaction")
	}
	return a.finish(ctx, ev, ev.Coord, a.pos.Seq+1)
}

// rollback drops the rows. With a GTID it is a transaction like any other, an
// empty one; without, it only moves the position.
func (a *Assembler) rollback(ctx context.Context, ev *event.Event) (bool, error) {
	if !a.open {
		return false, orderError(ev, "a rollback outside a transaction")
	}
	if err := a.store.Drop(); err != nil {
		return false, err
	}
	a.tables.reset()
	a.tx.Rows = 0
	if ev.Coord.GTID.IsZero() {
		a.tx.Silent = true
		return a.finish(ctx, ev, ev.Coord, a.pos.Seq)
	}
	return a.finish(ctx, ev, ev.Coord, a.pos.Seq+1)
}

func (a *Assembler) ddl(ctx context.Context, ev *event.Event) (bool, error) {
	if a.tx.Rows > 0 {
		return false, orderError(ev, "a DDL statement inside a transaction with rows")
	}
	if !a.open {
		a.start(a.last, ev.Coord.GTID)
	}
	a.tx.DDL = ev.DDL
	return a.finish(ctx, ev, ev.Coord, a.pos.Seq+1)
}

// heartbeat moves the position of an idle stream. Inside a transaction it is a
// sign of life and nothing more: the position moves at transaction ends only.
func (a *Assembler) heartbeat(ctx context.Context, ev *event.Event) (bool, error) {
	if a.open && !a.tx.Silent {
		return false, nil
	}
	a.start(a.last, event.GTID{})
	a.tx.Silent = true
	end := ev.Coord
	end.GTID = event.GTID{}
	return a.finish(ctx, ev, end, a.pos.Seq)
}

// start opens a transaction of which nothing but its beginning is known.
func (a *Assembler) start(at event.Coord, g event.GTID) {
	a.open, a.gtid = true, g
	at.GTID, at.Seq = event.GTID{}, a.pos.Seq
	a.tables.reset()
	a.tx = event.Tx{Begin: at}
}

// describe takes over what ev tells about its transaction: some servers say it
// at the beginning, some at the end. What came first holds.
func (a *Assembler) describe(ev *event.Event) {
	if a.tx.ServerID == 0 {
		a.tx.ServerID = ev.ServerID
	}
	if a.tx.Thread == 0 {
		a.tx.Thread = ev.Thread
	}
	if a.tx.Commit.IsZero() {
		a.tx.Commit, a.tx.Micros = ev.Time, ev.Micros
	}
	if !ev.Received.IsZero() {
		a.tx.Received = ev.Received
	}
}

// finish hands the open transaction on and moves the position to its end.
func (a *Assembler) finish(ctx context.Context, ev *event.Event, end event.Coord, seq uint64) (bool, error) {
	a.describe(ev)
	end.Seq = seq
	if end.File == nil {
		end.File = a.last.File
	}
	a.tx.End, a.tx.Tables = end, a.tables.counts
	if a.tx.Key == "" {
		a.tx.Key = a.key(end)
	}
	if seq > a.pos.Seq {
		if err := a.goOn(); err != nil {
			return false, err
		}
	}
	if err := a.store.Commit(ctx, &a.tx); err != nil {
		return false, err
	}
	a.pos.Advance(end)
	a.last = end
	a.reset()
	return true, nil
}

// goOn lets a transaction that is done in part go on where it was left. It must
// be the same one with the same captured rows, or others would be left out.
func (a *Assembler) goOn() error {
	part := a.pos.Partial
	if !part.IsZero() && !part.Of(&a.tx) {
		return partialError(part, &a.tx)
	}
	a.tx.Done = part.Rows
	return nil
}

func (a *Assembler) key(end event.Coord) string {
	g := a.gtid
	if g.IsZero() {
		g = end.GTID
	}
	if g.IsZero() {
		return a.keys.place(a.tx.Begin)
	}
	return a.keys.gtid(g)
}

func (a *Assembler) reset() {
	a.open, a.gtid, a.tx = false, event.GTID{}, event.Tx{}
	a.tables.reset()
}
