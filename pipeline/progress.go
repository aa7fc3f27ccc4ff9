package pipeline

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/cdcd-io/cdcd/snapshot"
)

// TableProgress is how far the snapshot of one table is.
type TableProgress struct {
	Table string `json:"table"`
	// Reading says that a reader is at it now. A table that is not read, done or
	// cancelled waits for its turn.
	Reading   bool `json:"reading,omitempty"`
	Done      bool `json:"done"`
	Cancelled bool `json:"cancelled,omitempty"`
	// Rows and Bytes were delivered or found changed meanwhile; Estimate is the
	// number of rows that the source guesses the table has.
	Rows     uint64    `json:"rows"`
	Bytes    uint64    `json:"bytes"`
	Estimate uint64    `json:"estimate"`
	Started  time.Time `json:"started"` // of the first start, maybe in an earlier process
	// RowsPerSecond is how fast it was of late, by this process. LeftSeconds
	// guesses how long the rest takes at that speed; absent while nothing tells.
	RowsPerSecond float64  `json:"rows_per_second,omitempty"`
	LeftSeconds   *float64 `json:"left_seconds,omitempty"`
	// Held is why the next chunk waits, "" while it does not.
	Held string `json:"held,omitempty"`
}

// Ended reports that nothing more of the table is read.
func (t TableProgress) Ended() bool { return t.Done || t.Cancelled }

// Fraction guesses how much of the table is read, from 0 to 1.
func (t TableProgress) Fraction() float64 {
	if t.Done {
		return 1
	}
	if t.Estimate == 0 {
		return 0
	}
	return min(0.99, float64(t.Rows)/float64(t.Estimate))
}

// guess adds what a speed says about a table that is being read. One that is
// larger than the source guessed counts as nearly read.
func (t *TableProgress) guess(rowsPerSecond float64) {
	t.RowsPerSecond = rowsPerSecond
	if f := t.Fraction(); f > 0 && rowsPerSecond > 0 {
		left := float64(t.Rows) * (1 - f) / f / rowsPerSecond
		t.LeftSeconds = &left
	}
}

// speedSpan is how far back a speed looks, at least; at most twice as far.
const speedSpan = 30 * time.Second

// speed measures rows per second over the last while, so that neither a stop
// nor a pause of long ago counts.
type speed struct{ base, mid speedMark }

type speedMark struct {
	at   time.Time
	rows uint64
}

func newSpeed(now time.Time, rows uint64) speed {
	return speed{speedMark{now, rows}, speedMark{now, rows}}
}

// note takes down that so many rows were read by now.
func (s *speed) note(now time.Time, rows uint64) {
	if now.Sub(s.mid.at) >= speedSpan {
		s.base, s.mid = s.mid, speedMark{now, rows}
	}
}

// of is the speed by now; 0 while it is too early to tell.
func (s *speed) of(now time.Time, rows uint64) float64 {
	took := now.Sub(s.base.at)
	if s.base.at.IsZero() || took < time.Second || rows <= s.base.rows {
		return 0
	}
	return float64(rows-s.base.rows) / took.Seconds()
}

// progress is what the line knows of its snapshots. Dispatch and the readers
// write, Status reads.
type progress struct {
	mu     sync.Mutex
	tables map[string]*tableEntry
	plans  bool // there may be more to read than what is noted
	lost   *GapStatus
}

type tableEntry struct {
	t     *tableRead // nil as long as only the checkpoint tells of the table
	shown TableProgress
	speed speed
}

// entry is that of the table. A reading that begins anew has nothing from the
// one before.
func (p *progress) entry(t *tableRead) *tableEntry {
	if p.tables == nil {
		p.tables = map[string]*tableEntry{}
	}
	e := p.tables[t.name()]
	if e == nil || e.t != t {
		e = &tableEntry{t: t}
		p.tables[t.name()] = e
	}
	return e
}

// restore takes down what the checkpoint says of tables, before anything else.
func (p *progress) restore(states map[snapshot.Name]snapshot.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = true
	p.tables = make(map[string]*tableEntry, len(states))
	for n, s := range states {
		if emptied(&s) {
			continue
		}
		name := n.Database + "." + n.Table
		p.tables[name] = &tableEntry{shown: shown(name, &s, 0)}
	}
}

// scope takes down what the planning covered.
func (p *progress) scope(s *snapshot.Scope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost = nil; s.Loss != nil {
		p.lost = &GapStatus{Loss: *s.Loss, Closed: !s.Bridging()}
	}
}

// gap is the last loss of changes; it is not changed any more.
func (p *progress) gap() *GapStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// planned takes down that all tables that are to be read are noted.
func (p *progress) planned() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = false
}

// note takes down what is stored of a table. The caller owns its state.
func (p *progress) note(t *tableRead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entry(t).note(time.Now())
}

// emptied reports whether the state is that of a table that is excluded, of which
// nothing but a truncate event has left.
func emptied(s *snapshot.State) bool { return s.Cause == snapshot.Gap && s.Cancelled && s.Rest }

// forget takes down that nothing is known of the table any more.
func (p *progress) forget(t *tableRead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tables, t.name())
}

func (e *tableEntry) note(now time.Time) {
	t := e.t
	e.speed.note(now, t.state.Rows)
	reading, held := e.shown.Reading, e.shown.Held
	e.shown = shown(t.name(), &t.state, t.info.Rows)
	e.shown.Reading, e.shown.Held = reading, held
}

// shown is what a state says.
func shown(table string, s *snapshot.State, estimate uint64) TableProgress {
	return TableProgress{
		Table: table, Done: s.Done, Cancelled: s.Cancelled, Rows: s.Rows, Bytes: s.Bytes,
		Estimate: max(estimate, s.Rows), Started: s.Started,
	}
}

// begin takes down that a reader has come to the table, which was noted. Its
// state is dispatch's already.
func (p *progress) begin(t *tableRead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entry(t)
	e.speed, e.shown.Reading = newSpeed(time.Now(), e.shown.Rows), true
}

// held takes down why the reader of the table waits.
func (p *progress) held(t *tableRead, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entry(t).shown.Held = why
}

// leave takes down that the reader has left.
func (p *progress) leave(t *tableRead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entry(t).shown.Reading = false
}

// of is how far the table is.
func (p *progress) of(t *tableRead, now time.Time) TableProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.entry(t).at(now)
}

func (e *tableEntry) at(now time.Time) TableProgress {
	s := e.shown
	s.Reading = s.Reading && !s.Ended()
	if s.Reading {
		s.guess(e.speed.of(now, s.Rows))
	}
	return s
}

// list returns the tables by name, and whether more may come.
func (p *progress) list(now time.Time) (tables []TableProgress, planning bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]TableProgress, 0, len(p.tables))
	for _, e := range p.tables {
		out = append(out, e.at(now))
	}
	slices.SortFunc(out, func(a, b TableProgress) int { return cmp.Compare(a.Table, b.Table) })
	return out, p.plans
}
