package pipeline

import (
	"sync"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
)

// ackBook is the one place where progress is written down: send adds units, the
// sink acknowledges them in any order, save and Status read what is safe. It is
// the lock around the pure Tracker.
type ackBook struct {
	mu      sync.Mutex
	cp      checkpoint.Checkpoint // the line's start; its position moves on in tracker
	tracker *checkpoint.Tracker
	waiting fifo // commit times of what is not acknowledged
	added   uint64
	acked   uint64
	ended   bool // send adds no more
	err     error
	owed    bool // the last safe checkpoint was not stored

	over chan struct{} // closed when send has ended and all is acknowledged, or one failed
}

func (a *ackBook) open(cp checkpoint.Checkpoint) {
	a.cp = cp
	a.tracker = checkpoint.NewTracker(cp.Position.Clone(), cp.Sink)
	a.over = make(chan struct{})
}

// add enters a unit that is about to be sent and copies its ends.
func (a *ackBook) add(u *unit) checkpoint.Ticket {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.added++
	a.waiting.push(u.oldest)
	return a.tracker.Add(u.ends, u.open)
}

// done notes an acknowledgement or the failure that ends the line.
func (a *ackBook) done(t checkpoint.Ticket, state []byte, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acked++
	if err != nil {
		a.fail(err)
		return
	}
	a.tracker.Done(t, state)
	a.waiting.pop()
	a.closeIfOver()
}

func (a *ackBook) fail(err error) {
	if a.err != nil {
		return
	}
	a.err = err
	closeOnce(a.over)
}

// sendEnded says that nothing is added any more.
func (a *ackBook) sendEnded() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.closeIfOver()
}

func (a *ackBook) closeIfOver() {
	if a.ended && a.added == a.acked {
		closeOnce(a.over)
	}
}

// closeOnce closes ch if it is open. The caller holds the lock that all who
// close ch hold.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// finished is closed when all is acknowledged after the end, or one failed.
func (a *ackBook) finished() <-chan struct{} { return a.over }

func (a *ackBook) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// safe returns the checkpoint that may be stored now, and whether it moved
// since the last call.
func (a *ackBook) safe() (checkpoint.Checkpoint, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pos, state, moved := a.tracker.Safe()
	if !moved && !a.owed {
		return checkpoint.Checkpoint{}, false
	}
	a.owed = false
	cp := a.cp
	cp.Position, cp.Sink, cp.Saved = pos, state, time.Now()
	return cp, true
}

// unsaved says that the checkpoint of the last safe call was not stored.
func (a *ackBook) unsaved() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owed = true
}

func (a *ackBook) counts() (added, acked uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.added, a.acked
}

// lag is the age of the oldest change that is not acknowledged.
func (a *ackBook) lag(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.waiting.front()
	if t.IsZero() || now.Before(t) {
		return 0
	}
	return now.Sub(t)
}

// fifo is a queue of times that reuses its memory; it never holds more than
// unitsInFlight.
type fifo struct {
	times []time.Time
	head  int
}

func (f *fifo) push(t time.Time) {
	if f.head > unitsInFlight {
		f.times = f.times[:copy(f.times, f.times[f.head:])]
		f.head = 0
	}
	f.times = append(f.times, t)
}

func (f *fifo) pop() {
	if f.head < len(f.times) {
		f.head++
	}
}

// front is the oldest time, zero when there is none.
func (f *fifo) front() time.Time {
	for _, t := range f.times[f.head:] {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
