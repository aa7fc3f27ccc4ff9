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
	small    bool  // plain, and may be joined with others of its partition
	end      int64 // offset behind it, once acknowledged; 0 if the broker did not say
}

func (b *batch) bytes() []byte { return b.unit.arena[b.from:b.to] }

func (b *batch) size() int { return b.to - b.from }

// Bytes implements sink.Packed: the memory held, not only the part in use.
func (u *unit) Bytes() int { return cap(u.arena) }

// unitPool keeps finished units for reuse, up to a bound in bytes. Small and
// large ones are kept apart, so that a unit of one small transaction does not
// hold the arena of a unit of a MiB of rows.
type unitPool struct {
	mu           sync.Mutex
	small, large []*unit
	bytes        int
}

const (
	// unitPoolBytes bounds the memory kept for reuse. A unit of a MiB of rows
	// packs into a few hundred KiB.
	unitPoolBytes = 16 << 20
	// largeUnit is where large units begin.
	largeUnit = 256 << 10
)

// get returns a unit with room for about want bytes.
func (p *unitPool) get(want int) *unit {
	u := p.take(want)
	if cap(u.arena) < want {
		u.arena = make([]byte, 0, want)
	}
	return u
}

func (p *unitPool) take(want int) *unit {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.list(want)
	n := len(*list)
	if n == 0 {
		return &unit{pool: p}
	}
	u := (*list)[n-1]
	*list = (*list)[:n-1]
	p.bytes -= cap(u.arena)
	return u
}

func (p *unitPool) list(size int) *[]*unit {
	if size >= largeUnit {
		return &p.large
	}
	return &p.small
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
		list := p.list(cap(u.arena))
		*list = append(*list, u)
		p.bytes += cap(u.arena)
	}
}

// arenaFor is how much room a unit needs whose like held n bytes: a bit more,
// and a block in which the compressor may do its worst.
func arenaFor(n int) int { return n + n/8 + min(n, 72<<10) + 1<<10 }
