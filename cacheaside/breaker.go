package cacheaside

import (
	"math/rand/v2"
	"sync"
	"time"
)

// breaker keeps requests from a server that failed several times in a row. After
// a pause one request may try; what becomes of it decides.
type breaker struct {
	failures int
	pause    time.Duration

	mu    sync.Mutex
	inRow int
	until time.Time // open until then; zero while closed
	trial bool      // one request is trying
}

// allow reports whether a request may go. One that may must call report.
func (b *breaker) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return true
	}
	if b.trial || now.Before(b.until) {
		return false
	}
	b.trial = true
	return true
}

// open reports whether requests are kept away.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero()
}

// report tells how a request went and returns true if that opened the breaker.
func (b *breaker) report(failed bool, now time.Time) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasTrial := b.trial
	b.trial = false
	if !failed {
		// A late answer to a request from before the breaker opened says less
		// than the failures behind it.
		if b.until.IsZero() || wasTrial {
			b.inRow, b.until = 0, time.Time{}
		}
		return false
	}
	b.inRow++
	if b.inRow < b.failures {
		return false
	}
	opened = b.until.IsZero()
	b.until = now.Add(b.pause/2 + rand.N(b.pause+1))
	return opened
}

// dropped takes back allow for a request of which nothing was learnt.
func (b *breaker) dropped() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trial = false
}
