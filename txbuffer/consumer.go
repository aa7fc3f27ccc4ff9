package txbuffer

import (
	"context"

	"github.com/cdcd-io/cdcd/event"
)

// Next returns the next piece in log order and waits for one. It may read a
// spilled transaction from disk, and then wait for pieces taken earlier to be
// released. It returns io.EOF once a softly closed ring is empty, the reason
// of a hard close, the cause of ctx's end, or a Fatal error when a spilled
// transaction cannot be read back; that one must end the line.
func (r *Ring) Next(ctx context.Context) (*event.Piece, error) { return r.take(ctx, true) }

// TryNext is Next for a caller that gathers: it returns nil without an error
// where Next would wait for the producer or for a release.
func (r *Ring) TryNext() (*event.Piece, error) { return r.take(context.Background(), false) }

func (r *Ring) take(ctx context.Context, wait bool) (*event.Piece, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		p, why, err := r.try()
		if p != nil {
			r.count.takes++
			return &p.Piece, nil
		}
		if err != nil || !wait {
			return nil, err
		}
		if err := r.consumer.wait(ctx, &r.mu, why); err != nil {
			return nil, err
		}
	}
}

// try returns the next piece, or else an error or what to wait for. mu is held.
func (r *Ring) try() (*piece, reason, error) {
	if r.err != nil {
		return nil, idle, r.err
	}
	if r.cur == nil {
		r.cur = r.queue.pop()
	}
	if r.cur == nil {
		return nil, forPiece, r.end()
	}
	if r.cur.spill == nil {
		return r.nextInMemory(), idle, nil
	}
	p, err := r.nextSpilled()
	return p, forReadBack, err
}

func (r *Ring) nextInMemory() *piece {
	t := r.cur
	p := t.pieces[t.next]
	if t.next++; p.Last {
		r.cur = nil
	}
	return p
}

// nextSpilled reads one piece back, or returns nil while the memory set aside
// for that is taken by earlier ones. mu is held, but not while the disk is read.
func (r *Ring) nextSpilled() (*piece, error) {
	n, err := r.peekSpilled()
	if err != nil {
		return nil, err
	}
	// An event larger than all of the read-back memory passes alone.
	if cost := r.arena.cost(n); !r.back.fits(cost) && r.back.used > 0 {
		return nil, nil
	}
	b := r.arena.take(&r.back, n)
	if err := r.fillSpilled(b); err != nil {
		r.unrefBlock(b)
		return nil, err
	}
	return r.handOut(b), nil
}

// peekSpilled returns the size of the event that comes next. mu is held.
func (r *Ring) peekSpilled() (n int, err error) {
	t := r.cur
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		if err != nil && r.err != nil {
			err = r.err
		}
	}()
	return r.reader.peek(t.spill)
}

// fillSpilled reads as many events as b holds. mu is held.
func (r *Ring) fillSpilled(b *block) error {
	r.mu.Unlock()
	freed, err := r.reader.fill(b)
	r.mu.Lock()
	r.disk.used -= freed
	r.producer.wakeFor(forDisk)
	if r.err != nil {
		return r.err
	}
	return err
}

// handOut makes a piece of b, whose reference passes to it. mu is held.
func (r *Ring) handOut(b *block) *piece {
	t := r.cur
	p := r.newPiece(nil)
	p.txn, p.Tx, p.block = t, &t.tx, b
	p.seal()
	p.First, p.Last = t.next == 0 && t.tx.Done == 0, r.reader.tx == nil
	t.next++
	t.refs++
	if p.Last {
		r.cur = nil
		r.unrefTxn(t)
	}
	return p
}
