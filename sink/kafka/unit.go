package kafka

import "sync"

// unit is what a packer made of a run of pieces: finished batches, in order
// per partition, in one arena. It belongs to the packer, then to whoever holds
// the sink.Packed, then to the line, which releases it when all is
// acknowledged.
type unit struct {
	era     uint64 // of the line it was packed for
	arena   []byte
	batches []batch
	pool    *unitPool
	// shared is set once a request with these bytes ended without an answer: a
	// connection may still be reading them, so they are never used again.
	shared bool
}

// batch is one record batch of a unit: arena[from:to], prefix included.
type batch struct {
	unit     *unit
	topic    *topic
	part     int32
	count    int32
	from, to int
	seq      int32 // its first sequence number, once sent
	sent     bool
}

func (b *batch) bytes() []byte { return b.unit.arena[b.from:b.to] }

func (b *batch) size() int { return b.to - b.from }

// Bytes implements sink.Packed.
func (u *unit) Bytes() int { return len(u.arena) }

// unitPool keeps finished units for reuse, up to a bound in bytes.
type unitPool struct {
	mu    sync.Mutex
	free  []*unit
	bytes int
}

// unitPoolBytes bounds the memory kept for reuse. A unit of a MiB of rows
// packs into a few hundred KiB.
const unitPoolBytes = 16 << 20

func (p *unitPool) get() *unit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		u := p.free[n-1]
		p.free = p.free[:n-1]
		p.bytes -= cap(u.arena)
		return u
	}
	return &unit{pool: p}
}

// release gives the unit back; nobody may touch it afterwards.
func (u *unit) release() {
	p := u.pool
	if u.shared || p == nil {
		return
	}
	u.arena, u.batches = u.arena[:0], u.batches[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes+cap(u.arena) <= unitPoolBytes {
		p.free = append(p.free, u)
		p.bytes += cap(u.arena)
	}
}
