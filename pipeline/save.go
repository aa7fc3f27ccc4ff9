package pipeline

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// save brings the checkpoint store up to date at each interval and once at the
// end. It also ends the line when the sink refused a batch.
func (l *line) save(ctx context.Context, s *stage) error {
	defer s.is(finished)
	tick := time.NewTicker(l.p.cfg.SaveInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := l.store(ctx, s); err != nil {
				return err
			}
		case <-l.acks.finished():
			if err := l.acks.failure(); err != nil {
				return err
			}
			return l.store(ctx, s)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// store saves what is safe, if it moved. A store that cannot be reached for now
// does not hold the line back: the sink goes on and the next save covers more.
func (l *line) store(ctx context.Context, s *stage) error {
	cp, moved := l.acks.safe()
	if !moved {
		return nil
	}
	began := time.Now()
	s.is(working)
	failpoint.Hit("save.before")
	err := l.p.deps.Store.Save(ctx, cp)
	failpoint.Hit("save.after")
	s.is(idle)
	s.beat()
	if resilience.ClassOf(err) == resilience.Transient {
		l.p.deps.Log.Warn("checkpoint not stored, trying again at the next interval", "err", err)
		l.acks.unsaved()
		return nil
	}
	if err != nil {
		return err
	}
	l.p.status.saved(cp.Position)
	if o := l.p.deps.Observer.Saved; o != nil {
		o(time.Since(began))
	}
	return nil
}
