package txbuffer

import (
	"context"

	"github.com/cdcd-io/cdcd/event"
)

var _ Store = (*Ring)(nil)

// Append copies raw and its body to the end of the open transaction. It waits
// for memory while other transactions hold it, and sends the open transaction
// to disk when that alone has more than its share.
func (r *Ring) Append(ctx context.Context, raw *event.RawRows) error {
	if r.writer.tx == nil && !r.hasRoom(len(raw.Body)) {
		if err := r.makeRoom(ctx, len(raw.Body)); err != nil {
			return err
		}
	}
	if r.writer.tx != nil {
		return r.spillEvent(ctx, raw)
	}
	r.block.add(raw)
	return nil
}

// hasRoom reports whether an event of n bytes can go to the end of the growing
// piece; it starts one in the current block if that has room.
func (r *Ring) hasRoom(n int) bool {
	if r.current != nil {
		return r.block.fits(n)
	}
	if r.block == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.block.refs == 1 {
		r.block.reset() // its pieces are gone: start again where the cache is warm
	}
	if !r.block.fits(n) {
		return false
	}
	r.startPiece()
	return true
}

// startPiece begins a piece in the current block. mu is held.
func (r *Ring) startPiece() {
	r.block.refs++
	r.current = r.newPiece(r.block)
	r.held += r.block.cost
	r.pieces = append(r.pieces, r.current)
}

// endPiece ends the growing piece; its events are then what the block holds.
func (r *Ring) endPiece() {
	if r.current != nil {
		r.current.seal()
		r.current = nil
	}
}

// makeRoom gets a block for an event of n bytes and starts a piece in it, or
// moves the open transaction to disk.
func (r *Ring) makeRoom(ctx context.Context, n int) error {
	cost := r.arena.cost(n)
	if r.held+cost > r.cfg.MaxTxBytes {
		return r.startSpill(ctx)
	}
	r.endPiece()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropBlock() // before the wait: it may be all that is missing
	for r.closed() == nil && !r.main.fits(cost) {
		if err := r.producer.wait(ctx, &r.mu, forMemory); err != nil {
			return err
		}
	}
	if err := r.closed(); err != nil {
		return err
	}
	r.block = r.arena.take(&r.main, n)
	r.startPiece()
	return nil
}

// dropBlock ends the filling of the current block. mu is held.
func (r *Ring) dropBlock() {
	if r.block != nil {
		r.unrefBlock(r.block)
		r.block = nil
	}
}

// keepBlock lets the next transaction go on in the current block, unless that
// was made for one large event. mu is held.
func (r *Ring) keepBlock() {
	r.current, r.held = nil, 0
	if r.block != nil && r.block.big {
		r.dropBlock()
	}
}

// Commit makes the open transaction visible to the consumer, described by a
// copy of tx. It waits for a slot.
func (r *Ring) Commit(ctx context.Context, tx *event.Tx) error {
	if r.writer.tx != nil {
		if err := r.closedOr(r.writer.finish()); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.closed() == nil && r.inFlight == r.cfg.Slots {
		if err := r.producer.wait(ctx, &r.mu, forSlot); err != nil {
			return err
		}
	}
	if err := r.closed(); err != nil {
		return err
	}
	r.publish(tx)
	return nil
}

// publish turns the open transaction into a committed one. mu is held.
func (r *Ring) publish(tx *event.Tx) {
	t := r.newTxn()
	t.describe(tx)
	if t.spill = r.writer.tx; t.spill != nil {
		t.refs = 1 // the reading
		r.writer.tx = nil
		r.count.spilledTxs++
	} else {
		r.endPiece()
		r.publishPieces(t)
	}
	r.keepBlock()
	r.inFlight++
	r.count.commits++
	r.queue.push(t)
	r.consumer.wakeFor(forPiece)
}

func (r *Ring) publishPieces(t *txn) {
	if len(r.pieces) == 0 {
		r.pieces = append(r.pieces, r.newPiece(nil))
	}
	t.pieces, r.pieces = r.pieces, t.pieces
	t.refs = len(t.pieces)
	for _, p := range t.pieces {
		p.txn, p.Tx = t, &t.tx
	}
	t.pieces[0].First = t.tx.Done == 0
	t.pieces[len(t.pieces)-1].Last = true
}

// Drop forgets the open transaction: its memory and files are free again.
func (r *Ring) Drop() error {
	r.dropPieces()
	return r.closedOr(r.dropSpill())
}

// dropPieces frees the memory of the open transaction.
func (r *Ring) dropPieces() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range r.pieces {
		r.freePiece(p)
		r.pieces[i] = nil
	}
	r.pieces = r.pieces[:0]
	r.keepBlock()
}

// closedOr returns why the ring is closed, if it is, instead of what the
// closing did to a disk operation.
func (r *Ring) closedOr(err error) error {
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	return err
}
