package pipeline

import (
	"context"
	"sync"
)

// budget bounds bytes in flight. Any goroutine may reserve, adjust and release.
// What turns out larger than reserved overdraws the budget, and the next
// reservation waits for it: whoever holds memory is never blocked.
type budget struct {
	mu    sync.Mutex
	limit int64
	used  int64
	freed chan struct{} // closed when used falls; nil while nobody waits for that
}

func newBudget(limit int64) *budget { return &budget{limit: limit} }

// reserve takes n bytes, waiting until they fit. A reservation is granted
// whatever its size when nothing else is held.
func (b *budget) reserve(ctx context.Context, n int64) error {
	for {
		freed := b.try(n)
		if freed == nil {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// try takes n bytes if they fit, and returns nil; else what tells when to try again.
func (b *budget) try(n int64) (freed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used <= 0 || b.used+n <= b.limit {
		b.used += n
		return nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed
}

// adjust changes what is held by delta, without waiting.
func (b *budget) adjust(delta int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += delta
	if delta < 0 && b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
