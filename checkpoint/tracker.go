package checkpoint

import "github.com/cdcd-io/cdcd/event"

// Tracker finds the longest finished prefix: batches are added in the order of
// the log and finished in any order, and the safe position is behind the last
// batch before which, itself included, all are finished. It stops only where no
// transaction is open, so that position and sink state always fit each other.
//
// It is a pure step function without a lock, a clock or a goroutine; whoever
// shares it locks. Memory is bounded by what is in flight at most, and nothing
// is allocated for a batch once that peak was seen.
type Tracker struct {
	safe  event.Position
	state []byte
	moved bool

	batches ring[batch]
	ends    ring[event.Coord] // of all batches in the ring, in order
	first   Ticket            // of the oldest batch in the ring
	passed  int               // finished batches at the head, held back by an open transaction
}

// Ticket stands for one batch.
type Ticket uint64

type batch struct {
	state []byte
	ends  int
	open  bool
	done  bool
}

// NewTracker starts at a position, which it takes over, and the sink's state there.
func NewTracker(start event.Position, state []byte) *Tracker {
	return &Tracker{safe: start, state: state}
}

// Add enters the next batch: the ends of the transactions finished in it, which
// are copied, and whether its last transaction goes on in the batch after it.
func (t *Tracker) Add(ends []event.Coord, open bool) Ticket {
	ticket := t.first + Ticket(t.batches.n)
	t.batches.push(batch{ends: len(ends), open: open})
	for i := range ends {
		t.ends.push(ends[i])
	}
	return ticket
}

// Done notes that a batch is durable, once a batch. state is the sink's state
// behind it, taken over; nil leaves that of the batch before.
func (t *Tracker) Done(k Ticket, state []byte) {
	i := k - t.first // huge when k is behind us
	if i >= Ticket(t.batches.n) || t.batches.at(int(i)).done {
		panic("checkpoint: a batch is done that was never added, or done twice")
	}
	b := t.batches.at(int(i))
	b.done, b.state = true, state
	for t.passed < t.batches.n && t.batches.at(t.passed).done {
		open := t.batches.at(t.passed).open
		t.passed++
		if !open {
			t.advance()
		}
	}
}

// advance moves the safe position over the finished batches at the head.
func (t *Tracker) advance() {
	for ; t.passed > 0; t.passed-- {
		b := t.batches.pop()
		t.first++
		for range b.ends {
			t.safe.Advance(t.ends.pop())
		}
		t.moved = t.moved || b.ends > 0 || b.state != nil
		if b.state != nil {
			t.state = b.state
		}
	}
}

// Safe returns a copy of the safe position, the sink's state there, and whether
// either moved since the last call.
func (t *Tracker) Safe() (pos event.Position, state []byte, moved bool) {
	moved, t.moved = t.moved, false
	return t.safe.Clone(), t.state, moved
}

// Pending is how many batches are not behind the safe position.
func (t *Tracker) Pending() int { return t.batches.n }

// ring is a queue in a circle of 2^k slots that grows when it is full.
type ring[T any] struct {
	slots []T
	head  int
	n     int
}

func (r *ring[T]) at(i int) *T { return &r.slots[(r.head+i)&(len(r.slots)-1)] }

func (r *ring[T]) push(v T) {
	if r.n == len(r.slots) {
		r.grow()
	}
	r.n++
	*r.at(r.n - 1) = v
}

// pop takes the oldest out and clears its slot, so that nothing is kept alive.
func (r *ring[T]) pop() T {
	p := r.at(0)
	v := *p
	var zero T
	*p = zero
	r.head = (r.head + 1) & (len(r.slots) - 1)
	r.n--
	return v
}

func (r *ring[T]) grow() {
	bigger := make([]T, max(16, 2*len(r.slots)))
	for i := range r.n {
		bigger[i] = *r.at(i)
	}
	r.slots, r.head = bigger, 0
}
