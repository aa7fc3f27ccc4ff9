package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/txbuffer"
)

// unitsInFlight bounds the units between dispatch and acknowledgement; their
// bytes are bounded by the ring and the output budget.
const unitsInFlight = 1024

// line is one run from a checkpoint to the first error or the stop. Each field
// has one writer: the goroutine named beside it.
type line struct {
	p     *Pipeline
	id    string // of no other line: the term, and its number in the process
	start checkpoint.Checkpoint

	ring  *txbuffer.Ring
	out   *budget
	free  chan *unit // units nobody uses
	work  chan *unit // dispatch → encode, any order
	order chan *unit // dispatch → send, order of the log

	acks   ackBook
	calls  mailbox // of the readers, run by dispatch
	chunks *budget // chunks of tables in memory
	merging
	rate      rate          // of the readers, in rows
	byteRate  rate          // of the readers, in bytes
	health    *health       // of the source, for the readers
	planning  *planning     // nil where the source cannot read tables
	unplanned chan struct{} // closed when the snapshot stage has ended
	progress  progress      // of snapshots

	stages []*stage // read, dispatch, send, save, encode…: for the watchdog

	readSeq  atomic.Uint64 // read: transactions put into the ring
	lastSeen atomic.Int64  // read: when the source was last heard of, unix nanoseconds
	stream   atomic.Value  // read: the source.Pulser that is open, for the watchdog
	readErr  error         // read: what ended the reading; it ends the line once all before it is delivered
}

// runLine goes from the stored checkpoint to the first error (returned), or to
// the soft stop (nil).
func (p *Pipeline) runLine(soft, hard context.Context) (err error) {
	soft, stop := p.lineContext(soft)
	defer stop()
	cp, err := p.openUntil(soft, hard)
	if errors.Is(err, errGivenUp) {
		return nil
	}
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
	p.begun++
	l := &line{
		p: p, id: fmt.Sprintf("%d.%d", cp.Term, p.begun), start: cp, ring: ring,
		out:       newBudget(p.cfg.OutputBytes),
		chunks:    newBudget(p.cfg.Snapshot.BufferBytes),
		merging:   newMerging(cp.Position, p.cfg.Snapshot.TouchedBytes),
		free:      make(chan *unit, unitsInFlight),
		work:      make(chan *unit, unitsInFlight),
		order:     make(chan *unit, unitsInFlight),
		unplanned: make(chan struct{}),
		health:    newHealth(&p.cfg.Snapshot),
	}
	for range unitsInFlight {
		l.free <- newUnit()
	}
	if src, ok := p.deps.Source.(source.Snapshotter); ok {
		if l.planning, l.marks, err = newPlanning(&p.cfg.Snapshot, &cp.Position, src); err != nil {
			return nil, err
		}
		l.progress.restore(l.planning.Marks.States)
		l.progress.scope(&l.planning.Marks.Scope)
		l.bridging = l.planning.bridging()
		l.view = viewOf(l.planning)
		l.redo.restore(l.planning.Marks.Due)
	}
	l.acks.open(cp)
	l.readSeq.Store(cp.Position.Seq)
	l.lastSeen.Store(time.Now().UnixNano())
	return l, nil
}

// run starts every goroutine of the line and joins them. Soft ends the reading;
// the others end when what was read has passed them.
func (l *line) run(soft, hard context.Context) error {
	ctx, cancel := context.WithCancelCause(hard)
	defer cancel(nil)
	g, ctx := errgroup.WithContext(ctx)
	read, dispatch, send, save, snap := l.stage("read"), l.stage("dispatch"), l.stage("send"), l.stage("save"), l.stage("snapshot")

	start := func(name string, f func() error) {
		g.Go(func() error { return l.p.guard(name, f) })
	}
	start("read", func() error { return l.read(ctx, soft, read) })
	start("dispatch", func() error { return l.dispatch(ctx, dispatch) })
	for range l.p.cfg.workers() {
		w := l.stage("encode")
		start("encode", func() error { return l.encode(ctx, w) })
	}
	start("send", func() error { return l.send(ctx, send) })
	start("save", func() error { return l.save(ctx, save) })
	start("snapshot", func() error { return l.snapshots(ctx, soft, snap) })
	start("watch", func() error { return l.watch(ctx) })
	err, joined := l.join(ctx, hard, g)
	if !joined {
		return err // the ring too is left alone: whoever hangs may hold it
	}
	if err == nil {
		err = l.readErr
	}
	if closeErr := l.ring.Close(context.Canceled); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	return err
}

// join waits for the stages, whatever ended the line: its work, an error, the
// watchdog, the hard stop. One that does not end in time after it was told to
// would be a second writer beside the next line: that stops the pipeline.
func (l *line) join(ctx, hard context.Context, g *errgroup.Group) (err error, joined bool) {
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	select {
	case err := <-done:
		return err, true
	case <-ctx.Done():
	}
	limit := time.NewTimer(max(l.p.cfg.StallAfter, closeTimeout))
	defer limit.Stop()
	stopped := hard.Done()
	for {
		select {
		case err := <-done:
			return err, true
		case <-stopped:
			limit.Reset(closeTimeout)
			stopped = nil
		case <-limit.C:
			return l.hangs(context.Cause(ctx)), false
		}
	}
}

// CodeHangs is the code of the error of a line that was left with a stage that
// does not end. Nothing may run beside it in this process.
const CodeHangs = "stage_hangs"

// hangs is the end of a line of which a stage does not end.
func (l *line) hangs(cause error) error {
	name := ""
	for i, s := range l.stages {
		if doing(s.state.Load()) != finished {
			name = l.stageName(i)
			break
		}
	}
	l.p.deps.Log.Error("stage does not end, the pipeline stops", "stage", name, "goroutines", goroutines())
	return &resilience.Error{
		Class: resilience.Fatal, Code: CodeHangs, Op: "end line", At: "stage " + name,
		Err:  fmt.Errorf("the stage does not end when it is told to; the line ended because of: %v", cause),
		Hint: "restart the process; the goroutine dump in the log shows where the stage hangs",
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
			if e, ok := l.p.deps.Sink.(Ender); ok && e.Ended() != nil {
				return e.Ended()
			}
		}
	}
}

func (l *line) pulses() []pulse {
	out := make([]pulse, 0, len(l.stages)+1)
	for i, s := range l.stages {
		out = append(out, pulse{stage: l.stageName(i), doing: doing(s.state.Load()), beats: s.beats.Load()})
	}
	l.addStream(&out[0])
	return append(out, l.sinkPulse())
}

// stageName tells the encoders apart.
func (l *line) stageName(i int) string {
	if l.stages[i].name == "encode" {
		return "encode " + strconv.Itoa(i)
	}
	return l.stages[i].name
}

// addStream adds what the open stream knows to the pulse of read: it may be
// busy inside one step for long, and waiting for the server is no stall.
func (l *line) addStream(read *pulse) {
	st, ok := l.stream.Load().(source.Pulser)
	if !ok || read.doing != working {
		return
	}
	progress, waiting := st.Pulse()
	read.beats += progress
	if waiting {
		read.doing = idle
	}
}

// sinkPulse is the sink as a stage: it works while batches are unacknowledged.
func (l *line) sinkPulse() pulse {
	p := pulse{stage: "sink", doing: idle}
	added, acked := l.acks.counts()
	if added > acked {
		p.doing = working
	}
	p.beats = acked
	if l.sinkRetrying() != nil {
		p.doing = retrying
	}
	return p
}

func (l *line) sinkRetrying() error {
	r, ok := l.p.deps.Sink.(Retrier)
	if !ok {
		return nil
	}
	return r.Retrying()
}

// Retrier is an optional interface of a sink that retries in place. Retrying is
// the error that it waits out, nil for none; meanwhile silence is no stall. It
// is called from any goroutine.
type Retrier interface{ Retrying() error }

// Idler is an optional interface of a sink that tells others how fresh it is.
// SourceIdle says that at that time the source had nothing after the transaction
// seq, which may not have been sent yet. It is called by the reader, at each
// heartbeat of an idle source, and must not block.
type Idler interface {
	SourceIdle(seq uint64, at time.Time)
}

// Ender is an optional interface of a sink whose line may end while no batch is
// under way. Ended is the error that ended it, nil while it goes on; it stays until
// Connect. It is called from any goroutine.
type Ender interface{ Ended() error }

func (l *line) stalled(name string) error {
	l.p.deps.Log.Error("stage makes no progress, the line restarts", "stage", name, "goroutines", goroutines())
	if o := l.p.deps.Observer.Stalled; o != nil {
		o(name)
	}
	return &resilience.Error{
		Class: resilience.Transient, Code: codeStalled, Op: "run line", At: "stage " + name,
		Err: errors.New("no progress for " + l.p.cfg.StallAfter.String() + " though there was work and room"),
	}
}

func goroutines() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// newEncoder makes the encoder of one worker.
func (l *line) newEncoder() format.Encoder {
	return l.p.deps.Encoder(&l.p.routes, l.start.Position.Flavor)
}

// fill adds what the running line knows to a status. The caller holds the
// status lock, so the line's own state is read through atomics only.
func (l *line) fill(s *Status) {
	s.ReadSeq = l.readSeq.Load()
	s.OutputBytes = l.out.held()
	st := l.ring.Stats()
	s.RingBytes, s.SpillBytes, s.SpilledTx = st.Bytes, st.SpillBytes, st.SpilledTxs
	s.LastEvent = time.Unix(0, l.lastSeen.Load())
	now := time.Now()
	s.LagSeconds = l.acks.lag(now).Seconds()
	s.Snapshot, s.SnapshotPlanning = l.progress.list(now)
	s.Gap = l.progress.gap()
	s.SnapshotPaused = l.p.snapshotsPaused.Load()
	if v := l.health.shown(now); v != nil && slices.ContainsFunc(s.Snapshot, func(t TableProgress) bool { return t.Reading }) {
		s.SnapshotSpeed, s.SnapshotSlowed = &v.ratio, v.why
	}
	if err := l.sinkRetrying(); err != nil && s.State == Running {
		s.State = Retrying
		s.explain(err)
	}
}
