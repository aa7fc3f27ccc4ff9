package pipeline

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/sink"
)

// send gives the rendered units to the sink in the order of the log.
func (l *line) send(ctx context.Context, s *stage) error {
	defer s.is(finished)
	for {
		u, err := l.nextRendered(ctx, s)
		if err != nil {
			return err
		}
		if u == nil {
			l.acks.sendEnded()
			return l.drain(ctx)
		}
		if u.err != nil {
			return l.sendError(ctx, u.err)
		}
		s.is(blocked)
		l.give(ctx, u)
		s.beat()
	}
}

// nextRendered returns the next unit once its worker is done; nil at the end.
func (l *line) nextRendered(ctx context.Context, s *stage) (*unit, error) {
	s.is(idle)
	select {
	case u, ok := <-l.order:
		if !ok {
			return nil, nil
		}
		select {
		case <-u.done:
			return u, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *line) give(ctx context.Context, u *unit) {
	b := sink.Batch{Packed: u.packed, Ends: u.ends, Bytes: u.packed.Bytes(), Open: u.open, Part: u.part, Newest: u.newest}
	ticket := l.acks.add(u)
	u.sent = time.Now()
	lastWaiting := len(l.order) == 0 && l.ring.Stats().Queued == 0
	failpoint.Hit("send.before")
	l.p.deps.Sink.Send(ctx, b, lastWaiting, func(a sink.Ack, err error) {
		l.acknowledged(u, ticket, a, err)
	})
	failpoint.Hit("send.after")
}

// acknowledged runs on the sink's goroutine, once a unit.
func (l *line) acknowledged(u *unit, ticket checkpoint.Ticket, a sink.Ack, err error) {
	failpoint.Hit("send.ack")
	l.acks.done(ticket, a.State, err)
	if err != nil {
		return // the line is over, its units with it
	}
	l.p.status.acked(u.rows)
	l.p.lineRetry.Reset()
	if o := l.p.deps.Observer.UnitDone; o != nil {
		st := u.stats()
		st.Done = time.Now()
		o(st)
	}
	l.out.adjust(-u.reserved)
	u.reset()
	l.free <- u
}

// sendError lets what is in flight land before the error ends the line, so that
// a record that can never pass does not take the ones before it along.
func (l *line) sendError(ctx context.Context, cause error) error {
	l.acks.sendEnded()
	if err := l.drain(ctx); err != nil {
		return err
	}
	return cause
}

// drain waits until everything sent is acknowledged, or one was refused.
func (l *line) drain(ctx context.Context) error {
	select {
	case <-l.acks.finished():
		return l.acks.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
