package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/source"
)

// Deps are the parts a pipeline is made of. The pipeline owns Source and Sink
// from Run on; Run closes the sink.
type Deps struct {
	Source source.Source
	// Encoder makes an encoder for one worker of a line that reads a server of
	// the given family.
	Encoder func(*format.Routes, event.Flavor) format.Encoder
	Sink    sink.Sink
	Store   checkpoint.Store
	// Term is this process's term when an elector granted one; 0 where one
	// process runs alone, which then counts its own.
	Term     uint64
	Observer Observer
	Log      *slog.Logger
}

// Pipeline is one source, one sink, and the line between them.
type Pipeline struct {
	cfg    Config
	deps   Deps
	routes format.Routes
	status status

	// The one retry of transient errors, with a memory for each door: an
	// acknowledgement heals the line's, an event the source's.
	lineRetry, sourceRetry *resilience.Retry

	requests        chan snapshotCall // of operators, to the running line
	snapshotsPaused atomic.Bool

	mu      sync.Mutex
	paused  chan struct{} // closed by Resume; nil while not paused
	stopRun func()        // ends the running line softly; nil while none runs

	completed bool   // nothing is left to do
	begun     uint64 // lines so far
	lost      error  // that changes are lost, until the next line has gone behind them; Run's goroutine only
}

// errPaused is the cause with which Pause ends a line.
var errPaused = errors.New("paused by an operator")

// New checks the configuration and returns a pipeline that has not started.
func New(cfg Config, d Deps) (*Pipeline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, resilience.Errorf(resilience.Fatal, "bad_config", "configure pipeline "+cfg.Name, "%w", err)
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	rc := resilience.DefaultRetryConfig()
	return &Pipeline{
		cfg: cfg, deps: d, requests: make(chan snapshotCall),
		lineRetry: resilience.NewRetry(rc), sourceRetry: resilience.NewRetry(rc),
	}, nil
}

// Run runs lines until soft ends (take no more, finish what is in hand, store
// the place, return nil) or hard ends (stop now), or until an error that
// waiting does not heal, which it returns. Transient errors are waited out for
// ever, in view: Status tells since when and why.
func (p *Pipeline) Run(soft, hard context.Context) error {
	err := p.lines(soft, hard)
	p.status.ended(err)
	closeErr := p.closeSink(hard)
	if err == nil {
		err = closeErr
	}
	return err
}

func (p *Pipeline) lines(soft, hard context.Context) error {
	stalls := stallCount{}
	for {
		if err := p.waitResumed(soft); err != nil {
			return nil
		}
		err := p.runLine(soft, hard)
		if hard.Err() != nil {
			return context.Cause(hard)
		}
		if err == nil && p.isComplete() {
			return nil
		}
		if err == nil {
			continue // paused, or told to stop
		}
		if p.bridges(err) && soft.Err() == nil {
			p.lost = err
			err = resilience.Errorf(resilience.Transient, "gap", "run line", "changes are lost, every table is read anew: %w", err)
		}
		if err = stalls.judge(err, p.status.ackedSeq()); !healing(err) {
			return err
		}
		if soft.Err() != nil {
			return nil // the next start goes on from the checkpoint
		}
		p.deps.Log.Warn("line ended, going on from the checkpoint", "err", err, "class", resilience.ClassOf(err))
		if err := p.wait(soft, "line", p.lineRetry, err); err != nil && soft.Err() == nil {
			return err
		}
	}
}

// healing reports whether waiting may help against an error.
func healing(err error) bool {
	c := resilience.ClassOf(err)
	return c == resilience.Transient || c == resilience.Unclassified
}

// wait sleeps before the next try; it returns the cause at once when waiting
// does not help.
func (p *Pipeline) wait(ctx context.Context, where string, r *resilience.Retry, cause error) error {
	if healing(cause) {
		p.status.retrying(cause)
		if o := p.deps.Observer.Retrying; o != nil {
			st := r.State()
			st.Attempts, st.LastError = st.Attempts+1, cause
			o(where, st)
		}
	}
	return r.Wait(ctx, cause)
}

// stallCount makes the error of a line that stalls twice without progress Fatal.
type stallCount struct {
	seen bool
	seq  uint64
}

func (s *stallCount) judge(err error, seq uint64) error {
	if resilience.CodeOf(err) != codeStalled {
		s.seen = false
		return err
	}
	if s.seen && s.seq == seq {
		return &resilience.Error{
			Class: resilience.Fatal, Code: "stalled_twice", Op: "run line", Err: err,
			Hint: "the goroutine dumps in the log show where it hangs; report them, then resume the pipeline",
		}
	}
	s.seen, s.seq = true, seq
	return err
}

// Pause ends the line softly and keeps the pipeline from starting another until
// Resume. It is not stored: a restarted process runs.
func (p *Pipeline) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		return
	}
	p.paused = make(chan struct{})
	if p.stopRun != nil {
		p.stopRun()
	}
}

// complete ends the pipeline softly: all that it was to do is done.
func (p *Pipeline) complete() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.completed = true
	if p.stopRun != nil {
		p.stopRun()
	}
}

func (p *Pipeline) isComplete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.completed
}

// Resume lets a paused pipeline go on.
func (p *Pipeline) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		close(p.paused)
		p.paused = nil
	}
}

func (p *Pipeline) waitResumed(soft context.Context) error {
	p.mu.Lock()
	ch := p.paused
	p.mu.Unlock()
	if ch == nil {
		return soft.Err()
	}
	p.status.paused()
	select {
	case <-ch:
		return soft.Err()
	case <-soft.Done():
		return soft.Err()
	}
}

// lineContext returns the soft context of one line, which Pause ends too.
func (p *Pipeline) lineContext(soft context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(soft)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopRun = func() { cancel(errPaused) }
	if p.paused != nil {
		p.stopRun()
	}
	return ctx, func() {
		p.mu.Lock()
		p.stopRun = nil
		p.mu.Unlock()
		cancel(nil)
	}
}

func (p *Pipeline) closeSink(hard context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(hard), closeTimeout)
	defer cancel()
	return p.guard("close", func() error { return p.deps.Sink.Close(ctx) })
}

// closeTimeout bounds the closing of a sink whose work is done or given up.
const closeTimeout = 10 * time.Second

// openUntil is open, given up when soft ends: nothing is in hand yet. That is no
// error then.
func (p *Pipeline) openUntil(soft, hard context.Context) (checkpoint.Checkpoint, error) {
	ctx, cancel := context.WithCancelCause(hard)
	defer cancel(nil)
	defer context.AfterFunc(soft, func() { cancel(context.Cause(soft)) })()
	var cp checkpoint.Checkpoint
	err := p.guard("open", func() (err error) {
		cp, err = p.open(ctx)
		return err
	})
	if soft.Err() != nil && (err == nil || healing(err)) {
		return cp, errGivenUp
	}
	return cp, err
}

// errGivenUp says that a line was told to end before it began.
var errGivenUp = errors.New("told to stop while connecting")

// open finds the place to go on from: what the store holds, corrected by what
// the sink holds, or, at a first start, the end of the source's log, which is
// stored before the first row leaves.
func (p *Pipeline) open(ctx context.Context) (checkpoint.Checkpoint, error) {
	mirror, err := p.deps.Store.Load(ctx, p.cfg.Name)
	if err != nil && !errors.Is(err, checkpoint.ErrNone) {
		return mirror, err
	}
	term := p.term(mirror)
	if err := p.claim(ctx, mirror, term); err != nil {
		return mirror, err
	}
	cp, err := p.deps.Sink.Connect(ctx, term, mirror)
	if err != nil {
		return cp, err
	}
	if cp.IsZero() {
		return p.firstStart(ctx, term)
	}
	cp.Term = term
	if p.lost != nil {
		return p.bridge(ctx, cp)
	}
	return cp, p.deps.Store.Save(ctx, cp)
}

// claim stores the term before the sink learns of it: a process that dies in
// between must find a higher one next time, or its own claim would fence it.
func (p *Pipeline) claim(ctx context.Context, stored checkpoint.Checkpoint, term uint64) error {
	if stored.IsZero() || stored.Term == term {
		return nil
	}
	stored.Term = term
	return p.deps.Store.Save(ctx, stored)
}

// term counts lines of a process that runs alone. The clock, in
// milliseconds, keeps it rising even when the stored checkpoint was lost.
func (p *Pipeline) term(stored checkpoint.Checkpoint) uint64 {
	if p.deps.Term != 0 {
		return p.status.ownTerm(p.deps.Term)
	}
	return p.status.ownTerm(max(stored.Term+1, uint64(time.Now().UnixMilli())))
}

func (p *Pipeline) firstStart(ctx context.Context, term uint64) (checkpoint.Checkpoint, error) {
	pos, err := p.deps.Source.Start(ctx)
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	cp := checkpoint.Checkpoint{
		Installation: p.cfg.Installation, Pipeline: p.cfg.Name, Generation: 1, Term: term,
		Position: pos, Saved: time.Now(),
	}
	if err := p.deps.Sink.Begin(ctx, cp); err != nil {
		return cp, err
	}
	gtids := "" // where they are off
	if pos.GTIDs != nil {
		gtids = pos.GTIDs.String()
	}
	p.deps.Log.Info("first start", "file", pos.File.Name, "offset", pos.Offset, "gtids", gtids)
	return cp, p.deps.Store.Save(ctx, cp)
}
