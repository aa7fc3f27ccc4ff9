package cacheaside

import (
	"context"
	"errors"
	"sync"
	"time"
)

var (
	errQueueFull = errors.New("too many loads are waiting")
	errQueueWait = errors.New("waited too long for other loads")
)

// limiter bounds how many loads run at once. Those beyond wait in a bounded
// queue, first come first served.
type limiter struct {
	maxQueue int
	wait     time.Duration

	mu      sync.Mutex
	running int
	queue   []*turn
}

type turn struct {
	limit int
	ready chan struct{}
}

// acquire waits until fewer than limit loads run. After nil, release must follow.
func (l *limiter) acquire(ctx context.Context, limit int) error {
	t, err := l.join(limit)
	if t == nil || err != nil {
		return err
	}
	timer := time.NewTimer(l.wait)
	defer timer.Stop()
	select {
	case <-t.ready:
		return nil
	case <-timer.C:
		err = errQueueWait
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !l.leave(t) {
		return nil // it was its turn at the same moment
	}
	return err
}

// join takes a slot, then the turn is nil, or a place in the queue.
func (l *limiter) join(limit int) (*turn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running < limit && len(l.queue) == 0 {
		l.running++
		return nil, nil
	}
	if len(l.queue) >= l.maxQueue {
		return nil, errQueueFull
	}
	t := &turn{limit, make(chan struct{})}
	l.queue = append(l.queue, t)
	return t, nil
}

// leave gives up the place in the queue; it is false for one whose turn it is.
func (l *limiter) leave(t *turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.queue {
		if other == t {
			l.queue = append(l.queue[:i], l.queue[i+1:]...)
			l.admit()
			return true
		}
	}
	return false
}

func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.admit()
}

// admit gives free slots to those at the head of the queue.
func (l *limiter) admit() {
	for len(l.queue) > 0 && l.running < l.queue[0].limit {
		l.running++
		close(l.queue[0].ready)
		l.queue = l.queue[1:]
	}
}
