package pipeline

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/txbuffer"
)

// unitsInFlight bounds the units between dispatch and acknowledgement; their
// bytes are bounded by the ring and the output budget.
const unitsInFlight = 1024

// line is one run from a checkpoint to the first error or the stop. Each field
// has one writer: the goroutine named beside it.
type line struct {
	p     *Pipeline
	start checkpoint.Checkpoint

	ring  *txbuffer.Ring
	out   *budget
	free  chan *unit // units nobody uses
	work  chan *unit // dispatch → encode, any order
	order chan *unit // dispatch → send, order of the log

	acks   ackBook
	stages []*stage // read, dispatch, send, encode…: for the watchdog

	readSeq  atomic.Uint64 // read: transactions put into the ring
	lastSeen atomic.Int64  // read: when the source was last heard of, unix nanoseconds
}

// runLine goes from the stored checkpoint to the first error (returned), or to
// the soft stop (nil).
func (p *Pipeline) runLine(soft, hard context.Context) (err error) {
	soft, stop := p.lineContext(soft)
	defer stop()
	cp, err := p.open(hard)
	if err != nil {
		return err
	}
	l, err := p.newLine(cp)
	if err != nil {
		return err
	}
	p.status.saved(cp.Position.Clone()) // known from the start, not from the first save on
	p.status.running(l)
	if o := p.deps.Observer.LineStarted; o != nil {
		o()
	}
	err = l.run(soft, hard)
	if o := p.deps.Observer.LineEnded; o != nil {
		o(err)
	}
	return err
}

func (p *Pipeline) newLine(cp checkpoint.Checkpoint) (*line, error) {
	ring, err := txbuffer.NewRing(p.cfg.Buffer)
	if err != nil {
		return nil, err
	}
	l := &line{
		p: p, start: cp, ring: ring,
		out:   newBudget(p.cfg.OutputBytes),
		free:  make(chan *unit, unitsInFlight),
		work:  make(chan *unit, unitsInFlight),
		order: make(chan *unit, unitsInFlight),
	}
	for range unitsInFlight {
		l.free <- newUnit()
	}
	l.acks.open(cp)
	l.readSeq.Store(cp.Position.Seq)
	l.lastSeen.Store(time.Now().UnixNano())
	return l, nil
}

// run starts every goroutine of the line and joins them. Soft ends the reading;
// the others end when what was read has passed them.
func (l *line) run(soft, hard context.Context) (err error) {
	defer func() { err = errors.Join(err, l.ring.Close(context.Canceled)) }()
	ctx, cancel := context.WithCancelCause(hard)
	defer cancel(nil)
	g, ctx := errgroup.WithContext(ctx)
	read, dispatch, send := l.stage("read"), l.stage("dispatch"), l.stage("send")

	g.Go(func() error { return l.read(ctx, soft, read) })
	g.Go(func() error { return l.dispatch(ctx, dispatch) })
	for range l.p.cfg.workers() {
		w := l.stage("encode")
		g.Go(func() error { return l.encode(ctx, w) })
	}
	g.Go(func() error { return l.send(ctx, send) })
	g.Go(func() error { return l.save(ctx) })
	g.Go(func() error { return l.watch(ctx) })
	return l.join(g)
}

// join waits for the stages. One that does not end in time after the line's end
// would be a second writer beside the next line: that stops the pipeline.
func (l *line) join(g *errgroup.Group) error {
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	select {
	case err := <-done:
		return err
	case <-l.acks.stalled():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(closeTimeout):
		return &resilience.Error{
			Class: resilience.Fatal, Code: "stage_hangs", Op: "end line", At: "stage " + l.acks.hung(),
			Err:  errors.New("the stage does not end when it is told to"),
			Hint: "restart the process; the goroutine dump in the log shows where the stage hangs",
		}
	}
}

func (l *line) stage(name string) *stage {
	s := &stage{name: name}
	l.stages = append(l.stages, s)
	return s
}

const codeStalled = "stage_stalled"

// watch looks at the pulse of every stage once a second until the line ends.
func (l *line) watch(ctx context.Context) error {
	w := newWatchdog(l.p.cfg.StallAfter)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.acks.finished():
			return nil
		case now := <-tick.C:
			if name := w.step(now, l.pulses()); name != "" {
				return l.stalled(name)
			}
		}
	}
}

func (l *line) pulses() []pulse {
	out := make([]pulse, 0, len(l.stages)+1)
	for i, s := range l.stages {
		name := s.name
		if name == "encode" {
			name += " " + string(rune('0'+i%10))
		}
		out = append(out, pulse{stage: name, doing: doing(s.state.Load()), beats: s.beats.Load()})
	}
	return append(out, l.sinkPulse())
}

// sinkPulse is the sink as a stage: it works while batches are unacknowledged.
func (l *line) sinkPulse() pulse {
	p := pulse{stage: "sink", doing: idle}
	added, acked := l.acks.counts()
	if added > acked {
		p.doing = working
	}
	p.beats = acked
	if r, ok := l.p.deps.Sink.(Retrier); ok && r.Retrying() {
		p.doing = retrying
	}
	return p
}

// Retrier is an optional interface of a sink that retries in place: while
// Retrying, silence is no stall.
type Retrier interface{ Retrying() bool }

func (l *line) stalled(name string) error {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	l.p.deps.Log.Error("stage makes no progress, the line restarts", "stage", name, "goroutines", string(buf))
	if o := l.p.deps.Observer.Stalled; o != nil {
		o(name)
	}
	l.acks.hang(name)
	return &resilience.Error{
		Class: resilience.Transient, Code: codeStalled, Op: "run line", At: "stage " + name,
		Err: errors.New("no progress for " + l.p.cfg.StallAfter.String() + " though there was work and room"),
	}
}

// newEncoder makes the encoder of one worker.
func (l *line) newEncoder() format.Encoder { return l.p.deps.Encoder(&l.p.routes) }

// fill adds what the running line knows to a status. The caller holds the
// status lock, so the line's own state is read through atomics only.
func (l *line) fill(s *Status) {
	s.ReadSeq = l.readSeq.Load()
	s.OutputBytes = l.out.held()
	st := l.ring.Stats()
	s.RingBytes, s.SpillBytes, s.SpilledTx = st.Bytes, st.SpillBytes, st.SpilledTxs
	s.LastEvent = time.Unix(0, l.lastSeen.Load())
	s.LagSeconds = l.acks.lag(time.Now()).Seconds()
}
