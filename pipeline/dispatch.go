package pipeline

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/failpoint"
)

// piecesPerUnit bounds a unit of tiny transactions.
const piecesPerUnit = 4096

// dispatcher cuts the log into units. Transactions without records do not make
// a unit of their own at once: their ends wait for the next unit with records,
// or for the idle interval.
type dispatcher struct {
	l         *line
	s         *stage
	cur       *unit     // being filled, nil when none
	quietTill time.Time // when a unit of quiet ends only must leave
	beatAt    time.Time // when the next heartbeat record is due
	inside    bool      // the last piece taken does not end its transaction
}

func (l *line) dispatch(ctx context.Context, s *stage) error {
	defer close(l.order)
	defer l.leave()
	defer l.calls.close()
	defer close(l.work)
	defer s.is(finished)
	d := &dispatcher{l: l, s: s}
	if h := l.p.cfg.HeartbeatInterval; h > 0 {
		d.beatAt = time.Now().Add(h)
	}
	for {
		err := d.step(ctx)
		if errors.Is(err, io.EOF) {
			return d.end(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// end hands on what is in hand when the stream is over.
func (d *dispatcher) end(ctx context.Context) error {
	if !d.inside {
		if err := d.merge(ctx); err != nil {
			return err
		}
	}
	return d.flush(ctx)
}

// step waits for a piece, or for a due time, and sends what is ready on.
func (d *dispatcher) step(ctx context.Context) error {
	if !d.inside {
		if err := d.merge(ctx); err != nil {
			return err
		}
	}
	if due := d.dueTime(); !due.IsZero() && !time.Now().Before(due) {
		if err := d.due(ctx); err != nil { // however many pieces wait
			return err
		}
	}
	d.s.is(idle)
	p, err := d.next(ctx)
	if err != nil {
		return err
	}
	d.s.is(working)
	d.s.beat()
	if p == nil {
		return d.due(ctx)
	}
	if err := d.take(ctx, p); err != nil {
		return err
	}
	return d.gather(ctx)
}

// next waits for a piece until the next due time, or until a reader of tables
// asks for something; nil, nil when that came first.
func (d *dispatcher) next(ctx context.Context) (*event.Piece, error) {
	if d.inside {
		return d.l.ring.Next(ctx)
	}
	if d.l.bridging {
		return nil, d.awaitPlan(ctx)
	}
	if p, err := d.l.ring.TryNext(); p != nil || err != nil {
		return p, err
	}
	if d.cur != nil && len(d.cur.pieces) > 0 { // rows of chunks, and no change to leave with
		if err := d.flush(ctx); err != nil {
			return nil, err
		}
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	if due := d.dueTime(); !due.IsZero() {
		defer time.AfterFunc(time.Until(due), cancel).Stop()
	}
	defer d.l.calls.await(cancel)()
	p, err := d.l.ring.Next(wait)
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		return nil, nil
	}
	return p, err
}

// awaitPlan waits until the plan of snapshots asks for something. Behind changes
// that were lost it says which tables are to be told of that first.
func (d *dispatcher) awaitPlan(ctx context.Context) error {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	defer d.l.calls.await(cancel)()
	select {
	case <-wait.Done():
	case <-d.l.unplanned:
		return io.EOF
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// dueTime is when the next unit without pieces must leave. Inside a transaction
// there is none: a unit that is not open says that none is, and a sink ends its
// own transaction behind it.
func (d *dispatcher) dueTime() time.Time {
	if d.inside {
		return time.Time{}
	}
	due := d.beatAt
	if d.cur != nil && (due.IsZero() || d.quietTill.Before(due)) {
		due = d.quietTill
	}
	return due
}

func (d *dispatcher) due(ctx context.Context) error {
	now := time.Now()
	if !d.beatAt.IsZero() && !now.Before(d.beatAt) {
		if err := d.unit(ctx); err != nil {
			return err
		}
		d.cur.heartbeat = true
		d.beatAt = now.Add(d.l.p.cfg.HeartbeatInterval)
		return d.flush(ctx)
	}
	if d.cur != nil && !now.Before(d.quietTill) {
		return d.flush(ctx)
	}
	return nil
}

// gather takes what the ring has at hand, without waiting, until the unit is full.
func (d *dispatcher) gather(ctx context.Context) error {
	for {
		if d.cur != nil && (d.cur.raw >= d.l.p.cfg.UnitBytes || len(d.cur.ends) >= piecesPerUnit) {
			return d.flush(ctx)
		}
		p, err := d.l.ring.TryNext()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if p == nil {
			break
		}
		if err := d.take(ctx, p); err != nil {
			return err
		}
	}
	if d.cur != nil && len(d.cur.pieces) > 0 {
		return d.flush(ctx)
	}
	return nil
}

// take puts the piece into a unit. A transaction of several pieces has units of
// its own: if a unit could end one and begin the next, a run of large
// transactions would have no unit behind which nothing is open, so no position
// that may be stored and no end of a Kafka transaction.
func (d *dispatcher) take(ctx context.Context, p *event.Piece) error {
	d.l.merger.Pass(p)
	if p.Tx.DDL != nil {
		if err := d.altered(p.Tx); err != nil {
			return err
		}
	}
	return d.put(ctx, p)
}

func (d *dispatcher) put(ctx context.Context, p *event.Piece) error {
	if !d.inside && !p.Last {
		if err := d.flush(ctx); err != nil {
			return err
		}
	}
	if err := d.unit(ctx); err != nil {
		return err
	}
	ends := d.inside && p.Last
	d.inside = !p.Last
	if quiet(p) {
		d.cur.skip(p)
		return nil
	}
	d.cur.add(p)
	if ends {
		return d.flush(ctx)
	}
	return nil
}

// unit makes sure that there is one to fill.
func (d *dispatcher) unit(ctx context.Context) error {
	if d.cur != nil {
		return nil
	}
	d.s.is(blocked)
	defer d.s.is(working)
	select {
	case d.cur = <-d.l.free:
		d.quietTill = time.Now().Add(d.l.p.cfg.IdleInterval)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// flush reserves the unit's output and hands it to the workers and, in order,
// to send. Both channels have room for every unit there is.
func (d *dispatcher) flush(ctx context.Context) error {
	u := d.cur
	if u == nil {
		return nil
	}
	d.cur = nil
	d.s.is(blocked)
	u.reserved = outputGuess(u.raw)
	if err := d.l.out.reserve(ctx, u.reserved); err != nil {
		return err
	}
	failpoint.Hit("dispatch.unit")
	d.l.p.status.read(u.rows)
	if o := d.l.p.deps.Observer.UnitRead; o != nil {
		o(u.stats())
	}
	d.l.order <- u
	d.l.work <- u
	return nil
}

// outputGuess is how large, in bytes, a unit is expected to become. Rendered rows
// are several times their raw size, and what the packer keeps of them after
// compression at most about twice. What it really was is corrected after packing.
func outputGuess(raw int) int64 { return 2*int64(raw) + 4<<10 }
