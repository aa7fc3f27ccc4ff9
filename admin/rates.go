package admin

import (
	"sync"
	"time"
)

// ratesWindow is the number of samples, one a second, that a rate looks back on.
const ratesWindow = 10

type sample struct {
	at           time.Time
	transactions uint64
	rows         uint64
}

// rates tells how fast pipelines were during the last seconds.
type rates struct {
	mu   sync.Mutex
	last map[string][]sample // oldest first, at most ratesWindow
}

func newRates() *rates { return &rates{last: map[string][]sample{}} }

func (r *rates) add(name string, s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.last[name]
	if n := len(w); n > 0 && (s.transactions < w[n-1].transactions || s.rows < w[n-1].rows) {
		w = w[:0] // the pipeline was built anew, or rewound
	}
	if len(w) == ratesWindow {
		copy(w, w[1:])
		w = w[:ratesWindow-1]
	}
	r.last[name] = append(w, s)
}

// of returns transactions and rows per second.
func (r *rates) of(name string) (tx, rows float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.last[name]
	if len(w) < 2 {
		return 0, 0
	}
	a, b := w[0], w[len(w)-1]
	secs := b.at.Sub(a.at).Seconds()
	if secs <= 0 {
		return 0, 0
	}
	return float64(b.transactions-a.transactions) / secs, float64(b.rows-a.rows) / secs
}
