package txbuffer

import "github.com/cdcd-io/cdcd/event"

// txn is one committed transaction on its way. It is used again once its last
// piece is released; all fields are under Ring.mu.
type txn struct {
	tx     event.Tx
	pieces []*piece // in memory; none where spill is set
	spill  *spilled
	next   int // index of the piece to hand out next
	refs   int // pieces not yet released, plus one while a spilled one is still being read
}

// describe copies tx.
func (t *txn) describe(tx *event.Tx) {
	tables := append(t.tx.Tables[:0], tx.Tables...)
	t.tx = *tx
	t.tx.Tables = tables
}

// keepCounts is how long a list of tables may be to be kept for the next
// transaction: there may be as many txns as slots.
const keepCounts = 16

// clear lets go of everything but small buffers.
func (t *txn) clear() {
	tables := t.tx.Tables[:0]
	if cap(tables) > keepCounts {
		tables = nil
	}
	t.tx = event.Tx{Tables: tables}
	clear(t.pieces)
	t.pieces, t.spill, t.next = t.pieces[:0], nil, 0
}

// piece is an event.Piece and what its release gives back.
type piece struct {
	event.Piece
	txn   *txn
	block *block // nil where there are no rows
	from  int    // index of its first event in the block
}

// seal ends the piece at what its block holds now.
func (p *piece) seal() {
	p.Events = p.block.events[p.from:len(p.block.events):len(p.block.events)]
	p.Bytes = 0
	for i := range p.Events {
		p.Bytes += len(p.Events[i].Body)
	}
}

// queue is a fixed ring of transactions.
type queue struct {
	slots   []*txn
	head, n int
}

func (q *queue) push(t *txn) {
	q.slots[(q.head+q.n)%len(q.slots)] = t
	q.n++
}

// pop returns nil when the queue is empty.
func (q *queue) pop() *txn {
	if q.n == 0 {
		return nil
	}
	t := q.slots[q.head]
	q.slots[q.head] = nil
	q.head = (q.head + 1) % len(q.slots)
	q.n--
	return t
}
