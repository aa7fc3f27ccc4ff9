package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// snapshots decides which tables a line reads, and owns the goroutines that read
// them. What an operator asks for comes in here.
type snapshots struct {
	l   *line
	src source.Snapshotter

	queue   []*tableRead          // to be read, in order
	covered snapshot.Scope        // to be stored once the queue is done
	failed  error                 // of a reader, met while a request was handled
	active  map[string]*tableRead // being read, by name
	ended   chan tableEnd         // from their goroutines
	wg      sync.WaitGroup
}

// tableEnd is the end of a goroutine that read a table.
type tableEnd struct {
	t   *tableRead
	err error
}

// snapshots reads tables until the line ends: those that the mode asks for, and
// those that an operator does. A chunk that has not left when the line ends is
// read again by the next one.
func (l *line) snapshots(ctx, soft context.Context, s *stage) error {
	defer s.is(finished)
	defer close(l.unplanned)
	src, ok := l.p.deps.Source.(source.Snapshotter)
	if !ok {
		return nil
	}
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(soft, func() { cancel(errLineEnds) })()
	l.calls.onClose(func() { cancel(errLineEnds) })

	sn := &snapshots{l: l, src: src, active: map[string]*tableRead{}, ended: make(chan tableEnd)}
	checker, err := sn.checker()
	if err != nil {
		return err
	}
	if l.health.checks() {
		sn.wg.Go(func() { l.health.watch(reading, checker) })
	}
	err = sn.run(reading)
	cancel(errLineEnds)
	sn.join()
	if ctx.Err() == nil && errors.Is(context.Cause(reading), errLineEnds) && errors.Is(err, errLineEnds) {
		return nil
	}
	return err
}

func (s *snapshots) run(ctx context.Context) error {
	if err := s.plan(ctx); err != nil {
		return err
	}
	s.l.progress.planned()
	for {
		if err := s.finished(); err != nil {
			return err
		}
		s.startNext(ctx)
		select {
		case e := <-s.ended:
			if err := s.end(e); err != nil {
				return err
			}
		case <-s.l.redo.wake:
			if err := s.redoAll(ctx); err != nil {
				return err
			}
		case q := <-s.l.p.requests:
			q.reply <- s.handle(ctx, q.SnapshotRequest)
			if s.failed != nil {
				return s.failed
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// end takes note of a goroutine that has ended.
func (s *snapshots) end(e tableEnd) error {
	delete(s.active, e.t.name())
	if errors.Is(e.err, errCancelled) {
		return nil
	}
	if e.err == nil {
		s.l.planning.Marks.States[e.t.id()] = e.t.state
	}
	return e.err
}

// finished stores, once no table of the plan is left to be read, what the plan
// covered, so that a later one reads none of them again.
func (s *snapshots) finished() error {
	if len(s.active)+len(s.queue) > 0 || s.l.redo.waits() {
		return nil
	}
	was := &s.l.planning.Marks.Scope
	if !s.covered.Equal(*was) {
		covered := s.covered
		mark, err := covered.Mark()
		if err != nil {
			return err
		}
		if err := s.l.calls.post(func() { s.l.marks, s.l.view.Marks.Scope = append(s.l.marks, mark), covered }); err != nil {
			return err
		}
		*was = s.covered
		s.l.progress.scope(was)
	}
	if s.l.p.cfg.Snapshot.Mode == SnapshotOnly {
		s.l.p.complete()
	}
	return nil
}

// join waits for the goroutines, which ctx has ended.
func (s *snapshots) join() {
	go func() { s.wg.Wait(); close(s.ended) }()
	for range s.ended {
	}
}

// plan asks the source which tables there are, until it answers, and queues
// those that are to be read.
func (s *snapshots) plan(ctx context.Context) error {
	s.covered = s.l.planning.Marks.Scope
	if s.l.planning.idle() {
		return nil
	}
	retry := resilience.NewRetry(resilience.DefaultRetryConfig())
	for {
		tables, err := s.src.Tables(ctx)
		if err == nil {
			return s.enter(tables)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.l.p.deps.Log.Warn("tables not listed, trying again", "err", err)
		if err := retry.Wait(ctx, err); err != nil {
			return err
		}
	}
}

// enter queues the tables that are to be read.
func (s *snapshots) enter(tables []source.TableInfo) error {
	p := s.l.planning
	p.Tables, p.Now = tables, time.Now()
	plan := p.Plan()
	s.covered = plan.Finished
	for _, n := range plan.Missing {
		s.l.p.deps.Log.Warn("table is gone, its snapshot ends", "table", n.Database+"."+n.Table)
		t := s.newRead(source.TableInfo{Database: n.Database, Name: n.Table}, p.Marks.States[n])
		if err := s.l.calls.post(func() { s.l.close(t, false) }); err != nil {
			return err
		}
	}
	if err := s.empty(plan.Emptied); err != nil {
		return err
	}
	for _, j := range plan.Jobs {
		t := s.newRead(j.Table, j.State)
		t.clears, t.first = j.Clear, j.Clear
		t.now = j.Now
		if err := s.enqueue(t, j.Begun); err != nil {
			return err
		}
	}
	return s.l.calls.post(func() {
		s.l.bridging = false
		for _, x := range p.Marks.Due {
			s.l.redone(x.Name, 0)
		}
	})
}

// empty tells of tables that changes were lost of and that are not read.
func (s *snapshots) empty(jobs []snapshot.Job) error {
	for _, j := range jobs {
		t := s.newRead(j.Table, j.State)
		t.now, t.gone = true, j.State.Run == 0
		if t.gone {
			t.state.Cause, t.state.Run = snapshot.Gap, s.l.planning.Marks.NextRun()
			delete(s.l.planning.Marks.States, t.id())
		} else {
			s.l.planning.Marks.States[t.id()] = t.state
		}
		if err := s.l.calls.post(func() { s.l.states = append(s.l.states, t) }); err != nil {
			return err
		}
	}
	return nil
}

// enqueue enters a table to be read; that it is, is stored before its first row
// leaves.
func (s *snapshots) enqueue(t *tableRead, stored bool) error {
	s.queue = append(s.queue, t)
	s.l.planning.Marks.States[t.id()] = t.state
	s.l.progress.note(t)
	if stored {
		return nil
	}
	return s.l.calls.post(func() { s.l.states = append(s.l.states, t) })
}

func (s *snapshots) newRead(info source.TableInfo, state snapshot.State) *tableRead {
	return &tableRead{
		l: s.l, src: s.src, info: info, key: info.Key, state: state, where: state.Where, after: state.After, until: state.Until,
		rows: min(firstChunk, s.l.p.cfg.Snapshot.ChunkRows), outcomes: make(chan outcome, windowsAhead+1),
	}
}

// startNext begins to read as many tables as may be read at once.
func (s *snapshots) startNext(ctx context.Context) {
	for len(s.active) < s.l.p.cfg.Snapshot.Readers && len(s.queue) > 0 {
		t := s.queue[0]
		s.queue = s.queue[1:]
		s.active[t.name()] = t
		reading, cancel := context.WithCancelCause(ctx)
		t.cancel = cancel
		s.wg.Go(func() {
			err := s.read(reading, t)
			cancel(nil)
			s.ended <- tableEnd{t, err}
		})
	}
}

func (s *snapshots) read(ctx context.Context, t *tableRead) error {
	conn, err := s.src.OpenReader(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	t.conn = conn
	return t.run(ctx, resilience.NewRetry(resilience.DefaultRetryConfig()))
}

// SnapshotRequest is what an operator asks about snapshots.
type SnapshotRequest struct {
	// Verb is start, pause, resume or cancel. Pausing is not stored: a restarted
	// process goes on.
	Verb string `json:"verb"`
	// Tables are the tables to start or cancel, as database.table; none: all.
	Tables []string `json:"tables,omitempty"`
	// Where is an SQL condition on the rows of a start; "" takes the configured one.
	Where string `json:"where,omitempty"`
}

type snapshotCall struct {
	SnapshotRequest
	reply chan error
}

var errCancelled = errors.New("the snapshot was cancelled")

// Snapshot does what an operator asks for. A start is accepted when the tables
// are known; it is durable with the next checkpoint.
func (p *Pipeline) Snapshot(ctx context.Context, r SnapshotRequest) error {
	switch r.Verb {
	case "pause", "resume":
		p.snapshotsPaused.Store(r.Verb == "pause")
		return nil
	}
	q := snapshotCall{r, make(chan error, 1)}
	select {
	case p.requests <- q:
		return <-q.reply
	case <-ctx.Done():
		return resilience.Errorf(resilience.Transient, "not_running", "ask for a snapshot", "pipeline %s reads nothing now", p.cfg.Name).
			WithHint("see cdcd status; a pipeline that is paused or stopped takes no requests")
	}
}

func (s *snapshots) handle(ctx context.Context, r SnapshotRequest) error {
	switch r.Verb {
	case "start":
		return s.request(ctx, r)
	case "cancel":
		return s.cancel(ctx, r)
	}
	return badRequest("unknown verb %q: start, pause, resume or cancel", r.Verb)
}

func badRequest(format string, args ...any) error {
	return resilience.Errorf(resilience.Fatal, "bad_request", "ask for a snapshot", format, args...)
}

// request enters tables to be read from their beginning.
func (s *snapshots) request(ctx context.Context, r SnapshotRequest) error {
	all, err := s.src.Tables(ctx)
	if err != nil {
		return err
	}
	var chosen []source.TableInfo
	for _, info := range all {
		if name := info.Database + "." + info.Name; len(r.Tables) == 0 || slices.Contains(r.Tables, name) {
			chosen = append(chosen, info)
		}
	}
	if missing := unknown(r.Tables, all); len(missing) > 0 {
		return unknownTables(missing, all)
	}
	if i := slices.IndexFunc(chosen, func(t source.TableInfo) bool { return r.Where != "" && len(t.Key) == 0 }); i >= 0 {
		return badRequest("%s.%s has no key to cut chunks by: it is read as a whole, or not at all", chosen[i].Database, chosen[i].Name)
	}
	for _, info := range chosen {
		if err := s.stop(ctx, info.Database+"."+info.Name, nil); err != nil {
			return err
		}
		state, err := s.l.planning.Request(&info, r.Where)
		if err != nil {
			return err
		}
		if err := s.enqueue(s.newRead(info, state), false); err != nil {
			return err
		}
	}
	return nil
}

func unknown(names []string, tables []source.TableInfo) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return slices.ContainsFunc(tables, func(t source.TableInfo) bool { return t.Database+"."+t.Name == n })
	})
}

// cancel ends the reading of tables; what has left stays.
func (s *snapshots) cancel(ctx context.Context, r SnapshotRequest) error {
	names, reading := r.Tables, s.reading()
	if len(names) == 0 {
		names = reading
	}
	if err := notRead(names, reading); err != nil {
		return err
	}
	for _, n := range names {
		if err := s.stop(ctx, n, func(t *tableRead) { s.l.close(t, true) }); err != nil {
			return err
		}
	}
	return nil
}

// reading names the tables that are read or to be read.
func (s *snapshots) reading() []string {
	names := slices.Sorted(maps.Keys(s.active))
	for _, t := range s.queue {
		names = append(names, t.name())
	}
	return names
}

// stop ends the reading of a table, if it is read or to be read, forgets its
// chunks, and then has dispatch call last.
func (s *snapshots) stop(ctx context.Context, name string, last func(*tableRead)) error {
	i := slices.IndexFunc(s.queue, func(t *tableRead) bool { return t.name() == name })
	t := s.active[name]
	switch {
	case i >= 0:
		t = s.queue[i]
		s.queue = slices.Delete(s.queue, i, i+1)
	case t != nil:
		t.cancel(errCancelled)
		for s.active[name] != nil {
			select {
			case e := <-s.ended:
				if err := s.end(e); err != nil {
					s.failed = err // of another table perhaps: it ends the line
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	default:
		return nil
	}
	return s.l.calls.post(func() {
		s.l.forget(t)
		if last != nil {
			last(t)
		}
	})
}
