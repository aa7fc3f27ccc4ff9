package txbuffer

import (
	"context"

	"github.com/cdcd-io/cdcd/event"
)

// startSpill writes the open transaction out and frees its memory. When ctx
// ends half-way the file goes and the memory stays.
func (r *Ring) startSpill(ctx context.Context) error {
	r.endPiece()
	r.writer.begin()
	for _, p := range r.pieces {
		for i := range p.Events {
			if err := r.spillEvent(ctx, &p.Events[i]); err != nil {
				_ = r.dropSpill() // the first error tells more
				return err
			}
		}
	}
	r.dropPieces()
	return nil
}

// spillEvent adds one event to the files of the open transaction.
func (r *Ring) spillEvent(ctx context.Context, raw *event.RawRows) error {
	if err := r.reserveDisk(ctx, recordBytes(raw)); err != nil {
		return err
	}
	return r.closedOr(r.writer.append(raw))
}

// reserveDisk charges n bytes of disk to the open transaction. It waits while
// others hold what is missing.
func (r *Ring) reserveDisk(ctx context.Context, n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writer.tx.bytes+n > r.disk.limit {
		return quotaError(r.disk.limit)
	}
	for r.closed() == nil && !r.disk.fits(n) {
		if err := r.producer.wait(ctx, &r.mu, forDisk); err != nil {
			return err
		}
	}
	if err := r.closed(); err != nil {
		return err
	}
	r.disk.charge(n)
	r.writer.tx.bytes += n
	r.count.spilledBytes += uint64(n)
	return nil
}

// dropSpill removes the files of the open transaction, if it has any.
func (r *Ring) dropSpill() error {
	if r.writer.tx == nil {
		return nil
	}
	bytes := r.writer.tx.bytes
	err := r.writer.drop()
	r.freeDisk(bytes)
	return err
}

func (r *Ring) freeDisk(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disk.used -= n
	r.producer.wakeFor(forDisk)
}
