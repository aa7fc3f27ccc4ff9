package txbuffer

import (
	"context"
	"sync"
)

// reason says what a waiter waits for, so that nobody is woken in vain.
type reason uint8

const (
	idle        reason = iota
	forMemory          // the producer: a block
	forSlot            // the producer: a transaction to be released
	forDisk            // the producer: a segment to be read back
	forPiece           // the consumer: a transaction
	forReadBack        // the consumer: a piece of a spilled transaction to be released
)

// waiter lets the one goroutine of its side sleep. The channel holds one token:
// a wake-up that comes between unlocking and sleeping is not lost, and one that
// comes too late only makes the sleeper look again.
type waiter struct {
	wake  chan struct{}
	why   reason
	waits uint64 // how often it slept
}

func newWaiter() waiter { return waiter{wake: make(chan struct{}, 1)} }

// wait gives mu up until wakened or ctx ends.
func (w *waiter) wait(ctx context.Context, mu *sync.Mutex, why reason) error {
	w.why = why
	w.waits++
	mu.Unlock()
	var err error
	select {
	case <-w.wake:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	mu.Lock()
	w.why = idle
	return err
}

// wakeFor wakes the sleeper if why is what it waits for. mu is held.
func (w *waiter) wakeFor(why reason) {
	if w.why == why {
		w.wakeUp()
	}
}

// wakeUp wakes the sleeper whatever it waits for. mu is held.
func (w *waiter) wakeUp() {
	if w.why == idle {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
