package txbuffer

import "github.com/cdcd-io/cdcd/event"

// block is the unit in which memory is given out: bodies and the descriptors
// that point at them. A piece lies in one block; pieces of small transactions
// share one. The producer appends behind what readers hold, never into it.
type block struct {
	body   []byte
	events []event.RawRows
	refs   int      // one for each piece and one for the producer while it fills the block; under Ring.mu
	cost   int64    // bytes charged to the account
	from   *account // main or read-back
	big    bool     // made for a single large event and not used again
}

// fits reports whether one more event of n bytes has room.
func (b *block) fits(n int) bool {
	return n <= cap(b.body)-len(b.body) && len(b.events) < cap(b.events)
}

// add copies the event and its body to the end. The caller has asked fits.
func (b *block) add(raw *event.RawRows) {
	from := len(b.body)
	b.body = append(b.body, raw.Body...)
	b.describe(raw, from)
}

// describe adds a descriptor of the body that starts at from and ends the block.
func (b *block) describe(raw *event.RawRows, from int) {
	b.events = append(b.events, *raw)
	b.events[len(b.events)-1].Body = b.body[from:len(b.body):len(b.body)]
}

func (b *block) reset() { b.body, b.events = b.body[:0], b.events[:0] }

// account is a budget of bytes, under Ring.mu.
type account struct{ limit, used, high int64 }

func (a *account) fits(n int64) bool { return a.used+n <= a.limit }

func (a *account) charge(n int64) {
	a.used += n
	a.high = max(a.high, a.used)
}

// arena hands out blocks and keeps the free ones, under Ring.mu. The one freed
// last is used first: while the consumer keeps up, the ring stays in the cache.
type arena struct {
	bytes, events int // capacities of an ordinary block
	free          []*block
}

// big reports whether an event of n bytes needs a block of its own.
func (a *arena) big(n int) bool { return n > a.bytes }

// cost is what the block for an event of n bytes is charged with.
func (a *arena) cost(n int) int64 {
	if a.big(n) {
		return int64(n) + eventSize
	}
	return int64(a.bytes) + int64(a.events)*eventSize
}

// take returns an empty block with one reference that can hold an event of n bytes.
func (a *arena) take(from *account, n int) *block {
	cost := a.cost(n)
	from.charge(cost)
	if a.big(n) {
		return &block{body: make([]byte, 0, n), events: make([]event.RawRows, 0, 1), refs: 1, cost: cost, from: from, big: true}
	}
	if len(a.free) == 0 {
		return &block{body: make([]byte, 0, a.bytes), events: make([]event.RawRows, 0, a.events), refs: 1, cost: cost, from: from}
	}
	last := len(a.free) - 1
	b := a.free[last]
	a.free[last] = nil
	a.free = a.free[:last]
	b.refs, b.from = 1, from
	return b
}

// put takes back a block nobody refers to.
func (a *arena) put(b *block) {
	b.from.used -= b.cost
	if b.big {
		return
	}
	b.reset()
	a.free = append(a.free, b)
}
