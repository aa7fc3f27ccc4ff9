package pipeline

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/txbuffer"
)

// read assembles the source's events into the ring until soft ends. A lost
// connection is opened again right behind the last whole transaction; the
// unfinished one is dropped and comes again. Any other error, a panic too, ends
// the line once what was read before it is delivered, so that the position a person then sees
// is the one in front of the trouble. So does being displaced by another reader:
// the next line asks the sink first who the owner is, and a zombie stays away.
func (l *line) read(ctx, soft context.Context, s *stage) error {
	defer s.is(finished)
	asm := txbuffer.NewAssembler(l.start.Position, l.ring)
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(soft, func() { cancel(context.Cause(soft)) })()
	for {
		err := l.p.guard("read", func() error { return l.readStream(reading, asm, s) })
		if soft.Err() != nil {
			l.ring.CloseSoft()
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if resilience.ClassOf(err) != resilience.Transient || resilience.CodeOf(err) == source.CodeDisplaced {
			l.readErr = err
			l.ring.CloseSoft()
			return nil
		}
		s.is(retrying)
		if err := l.waitSource(reading, err); err != nil && soft.Err() == nil {
			return err
		}
	}
}

func (l *line) waitSource(ctx context.Context, cause error) error {
	l.p.deps.Log.Warn("source lost, connecting again", "err", cause)
	return l.p.wait(ctx, "source", l.p.sourceRetry, cause)
}

// readStream reads one connection to its end.
func (l *line) readStream(ctx context.Context, asm *txbuffer.Assembler, s *stage) error {
	s.is(working)
	failpoint.Hit("read.open")
	s.is(idle) // every step of opening waits for the server, and has a deadline
	st, err := l.p.deps.Source.Open(ctx, asm.Position())
	if err != nil {
		return err
	}
	defer st.Close()
	l.stream.Store(pulserOf(st))
	return l.pump(ctx, st, asm, s)
}

// pulserOf is the stream's own pulse, or one that never beats.
func pulserOf(st source.Stream) pulser {
	p, _ := st.(source.Pulser)
	return pulser{p}
}

// pulser lets streams of any type follow one another in an atomic.Value.
type pulser struct{ source.Pulser }

func (p pulser) Pulse() (progress uint64, waiting bool) {
	if p.Pulser == nil {
		return 0, false
	}
	return p.Pulser.Pulse()
}

func (l *line) pump(ctx context.Context, st source.Stream, asm *txbuffer.Assembler, s *stage) error {
	var ev event.Event
	heard := false
	idler, _ := l.p.deps.Sink.(Idler)
	for {
		s.is(working)
		if err := st.Next(ctx, &ev); err != nil {
			return err
		}
		ev.Received = time.Now()
		l.lastSeen.Store(ev.Received.UnixNano())
		s.beat()
		if !heard && ev.Kind != event.EvReset {
			heard = true
			l.p.status.set(Running, nil)
		}
		if err := l.refuse(ev.DDL); err != nil {
			return err
		}
		hitRead(ev.Kind)
		s.is(blocked) // should the ring be full
		finished, err := asm.Step(ctx, &ev)
		if err != nil {
			return err
		}
		if finished {
			l.readSeq.Store(asm.Seq())
			l.p.sourceRetry.Reset() // not before: it may break in the same transaction each time
		}
		if idler != nil && ev.Kind == event.EvHeartbeat {
			idler.SourceIdle(asm.Seq(), ev.Received)
		}
	}
}

// hitRead marks the steps at which a test may kill the reader.
func hitRead(k event.EventKind) {
	if !failpoint.Enabled {
		return
	}
	switch k {
	case event.EvReset:
		failpoint.Hit("read.reset")
	case event.EvBegin:
		failpoint.Hit("read.begin")
	case event.EvRows:
		failpoint.Hit("read.rows")
	case event.EvCommit:
		failpoint.Hit("read.commit")
	case event.EvRollback:
		failpoint.Hit("read.rollback")
	case event.EvDDL:
		failpoint.Hit("read.ddl")
	case event.EvHeartbeat:
		failpoint.Hit("read.heartbeat")
	}
}
