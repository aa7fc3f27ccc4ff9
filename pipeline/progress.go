package pipeline

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// TableProgress is how far the snapshot of one table is.
type TableProgress struct {
	Table string `json:"table"`
	Done  bool   `json:"done"`
	// Rows and Bytes were delivered or found untouched; Estimate is the number of
	// rows that the source guesses the table has.
	Rows     uint64    `json:"rows"`
	Bytes    uint64    `json:"bytes"`
	Estimate uint64    `json:"estimate"`
	Started  time.Time `json:"started"`
}

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

// progress is what the line knows of its snapshots. Dispatch writes, Status reads.
type progress struct {
	mu     sync.Mutex
	tables map[string]TableProgress
}

func (p *progress) note(t *tableRead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tables == nil {
		p.tables = map[string]TableProgress{}
	}
	p.tables[t.name()] = TableProgress{
		Table: t.name(), Done: t.state.Done, Rows: t.state.Rows, Bytes: t.state.Bytes,
		Estimate: max(t.info.Rows, t.state.Rows), Started: t.state.Started,
	}
}

// list returns the tables by name.
func (p *progress) list() []TableProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]TableProgress, 0, len(p.tables))
	for _, t := range p.tables {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b TableProgress) int { return cmp.Compare(a.Table, b.Table) })
	return out
}

// Left guesses how long the rest will take; ok is false while nothing says so.
func (t TableProgress) Left(now time.Time) (left time.Duration, ok bool) {
	f := t.Fraction()
	if f <= 0 || t.Started.IsZero() || t.Done {
		return 0, false
	}
	return time.Duration(float64(now.Sub(t.Started)) * (1 - f) / f).Round(time.Second), true
}
