package pipeline

import (
	"context"
	"sync"
)

// budget bounds bytes in flight. One goroutine reserves, in order; any may
// adjust and release. What turns out larger than reserved overdraws the budget,
// and the next reservation waits for it: whoever holds memory is never blocked.
type budget struct {
	mu    sync.Mutex
	limit int64
	used  int64
	freed chan struct{} // has a token when used fell
}

func newBudget(limit int64) *budget {
	return &budget{limit: limit, freed: make(chan struct{}, 1)}
}

// reserve takes n bytes, waiting until they fit. A reservation is granted
// whatever its size when nothing else is held.
func (b *budget) reserve(ctx context.Context, n int64) error {
	for !b.try(n) {
		select {
		case <-b.freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (b *budget) try(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > 0 && b.used+n > b.limit {
		return false
	}
	b.used += n
	return true
}

// adjust changes what is held by delta, without waiting.
func (b *budget) adjust(delta int64) {
	b.mu.Lock()
	b.used += delta
	b.mu.Unlock()
	if delta < 0 {
		select {
		case b.freed <- struct{}{}:
		default:
		}
	}
}

func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
