package txbuffer

import (
	"context"
	"sync"
	"testing"
)

// The sleeper gives the mutex up before it sleeps: a wake-up in between must
// reach it. Here all of them come in between.
func TestWakeUpBeforeTheSleepIsNotLost(t *testing.T) {
	w := newWaiter()
	w.why = forPiece
	w.wakeFor(forMemory)
	if len(w.wake) != 0 {
		t.Error("woken for another reason")
	}
	w.wakeFor(forPiece)
	w.wakeFor(forPiece)
	var mu sync.Mutex
	mu.Lock()
	if err := w.wait(context.Background(), &mu, forPiece); err != nil || w.why != idle {
		t.Errorf("got %v, waits for %d", err, w.why)
	}
}
