package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// windowsAhead is how many chunks of one table may wait for the stream to pass
// their marks while the next one is read. A stream that lags must not hold small
// chunks back: their bytes are what counts, and have a budget of their own. This
// bounds what a key that the stream touches is looked up in.
const windowsAhead = 64

// rowCharge is what a row of a chunk in memory is charged beside its bytes: the
// merger finds rows by their keys once the stream touches one.
const rowCharge = 64

// leastChunkBytes is the least that a chunk may take, however small its rows were.
const leastChunkBytes = 64 << 10

// firstChunk is the number of rows a table's first chunk asks for; after it the
// time a chunk took says how many are right.
const firstChunk = 4000

// tableRead is the reading of one table in one line. The reader's goroutine owns
// it, except what is said to be dispatch's.
type tableRead struct {
	l      *line
	info   source.TableInfo // as it was when it was listed
	src    source.Snapshotter
	conn   source.ChunkReader
	cancel context.CancelCauseFunc // ends the reading

	key          []string         // the columns that chunks are cut by; none: it is read as a whole
	after, until []byte           // where the next chunk begins; where the table ended when it was begun
	where        string           // the condition on the rows
	rows         int              // to ask for
	rowSize      int              // bytes of a row in the last chunk; 0 before that
	prev         *snapshot.Window // of the chunk before; nil behind what has left for good
	open         int              // windows whose outcome was not taken

	// outcomes gets one for each window. It has room for all there may be, so
	// dispatch never waits.
	outcomes chan outcome

	asked  time.Time     // when the source was last asked how busy it is
	took   time.Duration // the last chunk, by the source
	readAt time.Time     // when that was read

	tries int // of a table that is read as a whole, which changed each time

	doubt keyDoubt // whether key is still the table's
	looks int      // how often that was asked since a chunk left
	first bool     // no chunk has left by this key: the next one is not read ahead

	state  snapshot.State // dispatch: what has left so far
	clears bool           // dispatch: op t is to leave before the first row
	now    bool           // dispatch: op t is to leave with the state, when that is stored for the first time
	gone   bool           // dispatch: the table does not exist, and its state is to be removed
	log    tableLog
}

// outcome is what became of a window.
type outcome struct {
	givenUp snapshot.Reason
	last    []byte // the key behind what has left
	end     bool   // all of the table has left
}

func (t *tableRead) name() string { return t.info.Database + "." + t.info.Name }

func (t *tableRead) id() snapshot.Name {
	return snapshot.Name{Database: t.info.Database, Table: t.info.Name}
}

// run reads the table to its end.
func (t *tableRead) run(ctx context.Context, retry *resilience.Retry) error {
	t.begin()
	defer t.l.progress.leave(t)
	for {
		end, err := t.next(ctx)
		switch {
		case err == nil:
			retry.Reset()
		case resilience.CodeOf(err) == source.CodeNoTable:
			return t.finish(ctx)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case doubts(err):
			t.doubt, end = keyLost, true
		case resilience.ClassOf(err) != resilience.Transient:
			return err
		default:
			t.l.p.deps.Log.Warn("chunk not read, trying again", "table", t.name(), "err", err)
			if err := retry.Wait(ctx, err); err != nil {
				return err
			}
			end = true // go back to what has left
		}
		done, err := t.settle(ctx, end)
		if done {
			t.log.ends(&t.state, time.Now())
		}
		if done || err != nil {
			return err
		}
		t.tell()
	}
}

// next reads one chunk, or all of a table that has no key to cut it by.
func (t *tableRead) next(ctx context.Context) (end bool, err error) {
	if err := t.pace(ctx); err != nil {
		return false, err
	}
	if t.doubt != keySure {
		if err := t.lookUp(ctx); err != nil {
			return false, err
		}
	}
	if len(t.key) == 0 {
		return true, t.whole(ctx)
	}
	return t.chunk(ctx)
}

// begin takes note that the reading begins; no window is open yet.
func (t *tableRead) begin() {
	t.l.progress.begin(t)
	now := time.Now()
	t.log.begins(t.l.p.deps.Log, t.l.progress.of(t, now), now)
}

// tell says now and then how far the table is.
func (t *tableRead) tell() {
	if now := time.Now(); t.log.due(now) {
		t.log.goesOn(t.l.progress.of(t, now), now)
	}
}

// chunk reads one chunk and gives it to the merger.
func (t *tableRead) chunk(ctx context.Context) (end bool, err error) {
	bytes, reserved := t.expect()
	if err := t.l.chunks.reserve(ctx, reserved); err != nil {
		return false, err
	}
	w, err := t.window(ctx)
	if err != nil {
		t.l.chunks.adjust(-reserved)
		return false, err
	}
	failpoint.Hit("snapshot.open")
	c, err := t.conn.Read(ctx, source.ChunkRequest{
		Database: t.info.Database, Table: t.info.Name, Seen: w.Seen, Fresh: w.Fresh,
		After: t.after, Until: t.until, Where: t.where, Rows: t.rows, Bytes: bytes,
	})
	failpoint.Hit("snapshot.read")
	t.l.chunks.adjust(charge(&c) - reserved)
	if err != nil {
		return false, errors.Join(err, t.l.calls.post(func() { t.drop(w) }))
	}
	t.fit(&c)
	t.took, t.readAt = c.Took, time.Now()
	t.l.rate.spend(c.Count, t.l.p.cfg.Snapshot.MaxRowsPerSecond, t.readAt)
	t.l.byteRate.spend(c.Bytes, t.l.p.cfg.Snapshot.MaxBytesPerSecond, t.readAt)
	if t.after == nil {
		t.until = c.Max
	}
	t.after, t.prev = c.Last, w
	return c.End, t.l.calls.post(func() { t.l.deliver(w, c) })
}

// expect is how many bytes the next chunk may have, and what is reserved for it:
// twice what rows like the last ones need, lest small chunks wait for memory that
// none of them takes.
func (t *tableRead) expect() (bytes int, reserve int64) {
	bytes, rows := t.l.p.cfg.Snapshot.ChunkBytes, t.rows
	if t.rowSize > 0 {
		bytes = min(bytes, max(leastChunkBytes, 2*rows*t.rowSize))
		rows = min(rows, bytes/t.rowSize+1)
	}
	return bytes, int64(bytes) + int64(rows)*rowCharge
}

// charge is the memory that a chunk takes until it is merged.
func charge(c *source.Chunk) int64 { return int64(c.Bytes) + int64(c.Count)*rowCharge }

// deliver gives a chunk to the merger, in the dispatch goroutine.
func (l *line) deliver(w *snapshot.Window, c source.Chunk) {
	p := l.reads[w]
	if p == nil { // given up meanwhile
		l.chunks.adjust(-charge(&c))
		return
	}
	p.held = charge(&c)
	l.merger.Read(w, c)
}

// drop takes a window back whose chunk could not be read.
func (t *tableRead) drop(w *snapshot.Window) {
	if t.l.reads[w] == nil {
		return
	}
	delete(t.l.reads, w)
	t.l.merger.Drop(w)
	t.outcomes <- outcome{givenUp: snapshot.ByEarlier, last: t.state.After}
}

// window opens a window in the merger.
func (t *tableRead) window(ctx context.Context) (*snapshot.Window, error) {
	reply := make(chan *snapshot.Window, 1)
	key, prev := t.key, t.prev
	err := t.l.calls.post(func() {
		w := t.l.merger.Open(t.info.Database, t.info.Name, key, prev)
		t.l.reads[w] = &pending{t: t}
		reply <- w
	})
	if err != nil {
		return nil, err
	}
	select {
	case w := <-reply:
		t.open++
		return w, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// fit sets the number of rows of the next chunk by the time that the last one
// took the source.
func (t *tableRead) fit(c *source.Chunk) {
	if c.Count > 0 {
		t.rowSize = max(1, c.Bytes/c.Count)
	}
	if c.Count < t.rows || c.Took <= 0 {
		return // it was cut by bytes, or by the table's end
	}
	cfg := &t.l.p.cfg.Snapshot
	want := float64(t.rows) * float64(cfg.ChunkTime) / float64(c.Took)
	want = min(want, 4*float64(t.rows)) // a cached page is no measure
	t.rows = max(1, min(int(want), cfg.ChunkRows))
}

// settle takes note of what became of the windows. It waits for all of them at
// the end, and for one when too many are open.
func (t *tableRead) settle(ctx context.Context, end bool) (done bool, err error) {
	for t.open > 0 {
		o, ok, err := t.outcome(ctx, end || t.first || t.open >= windowsAhead)
		if err != nil || !ok {
			return false, err
		}
		if o.givenUp != snapshot.NotGivenUp {
			return false, t.back(ctx, o)
		}
		t.log.left()
		t.looks, t.first = 0, false
		done = o.end
	}
	return done, nil
}

// outcome returns the next one; ok is false when there is none and wait is too.
func (t *tableRead) outcome(ctx context.Context, wait bool) (o outcome, ok bool, err error) {
	select {
	case o = <-t.outcomes:
		t.open--
		return o, true, nil
	default:
	}
	if !wait {
		return o, false, nil
	}
	select {
	case o = <-t.outcomes:
		t.open--
		return o, true, nil
	case <-ctx.Done():
		return o, false, context.Cause(ctx)
	}
}

// back returns to the place behind the last chunk that left. Windows behind one
// that was given up are given up too.
func (t *tableRead) back(ctx context.Context, o outcome) error {
	t.log.givenUp(o.givenUp)
	switch o.givenUp {
	case snapshot.ByBudget:
		t.rows = max(1, t.rows/2)
	case snapshot.ByTouch:
		if err := t.touched(ctx); err != nil {
			return err
		}
	case snapshot.ByKey:
		t.doubt = max(t.doubt, keyAsked)
	}
	for t.open > 0 {
		var err error
		if o, _, err = t.outcome(ctx, true); err != nil {
			return err
		}
	}
	t.after, t.prev = o.last, nil
	return nil
}

// finish stores that a table that is gone needs no reading any more.
func (t *tableRead) finish(ctx context.Context) error {
	t.l.p.deps.Log.Warn("table is gone, its snapshot ends", "table", t.name())
	for t.open > 0 {
		if _, _, err := t.outcome(ctx, true); err != nil {
			return err
		}
	}
	told := make(chan struct{})
	if err := t.l.calls.post(func() { t.l.close(t, false); close(told) }); err != nil {
		return err
	}
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close stores that nothing more of a table is read, in the dispatch goroutine.
func (l *line) close(t *tableRead, cancelled bool) {
	t.state.Done, t.state.Cancelled, t.state.Finished = !cancelled, cancelled, time.Now()
	l.states = append(l.states, t)
}
