package txbuffer

import (
	"io"
	"sync"

	"github.com/cdcd-io/cdcd/event"
)

// Ring holds committed transactions between one producer, which calls Append,
// Commit and Drop (through an [Assembler]), and one consumer, which calls Next
// and TryNext. Pieces may be released by any goroutine in any order. Close,
// CloseSoft and Stats may be called from anywhere.
//
// What keeps it from a deadlock is that every piece the consumer took is
// released in the end without another one being needed for it. DESIGN.md has
// the argument.
type Ring struct {
	cfg    Config
	dir    *spillDir
	writer spillWriter // of the producer
	reader spillReader // of the consumer

	// The producer's own: the open transaction.
	block   *block   // being filled; survives from transaction to transaction
	current *piece   // the piece that is growing in block, nil between pieces
	pieces  []*piece // of the open transaction, current included
	held    int64    // cost of the blocks the open transaction lies in

	mu                 sync.Mutex
	arena              arena
	main, back         account
	queue              queue
	cur                *txn // being handed out
	inFlight           int  // committed and not yet released
	freeTxns           []*txn
	freePieces         []*piece
	producer, consumer waiter
	soft               bool  // no more commits; the consumer drains
	err                error // why the ring is closed
	disk               account
	count              counters
}

// counters only ever rise.
type counters struct {
	commits, takes, releases uint64
	spilledTxs               uint64
	spilledBytes             uint64
}

// NewRing returns an empty ring. It creates the spill directory, takes a folder
// of its own in it and removes what dead owners left behind.
func NewRing(cfg Config) (*Ring, error) { return newRing(cfg, osFS{}) }

func newRing(cfg Config, fs fileSystem) (*Ring, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := openSpillDir(fs, cfg.SpillDir)
	if err != nil {
		return nil, err
	}
	return &Ring{
		cfg:      cfg,
		dir:      dir,
		writer:   spillWriter{dir: dir, segmentBytes: cfg.SegmentBytes},
		reader:   spillReader{dir: dir},
		arena:    arena{bytes: cfg.PieceBytes, events: cfg.blockEvents()},
		main:     account{limit: cfg.RingBytes - cfg.readBackBytes()},
		back:     account{limit: cfg.readBackBytes()},
		disk:     account{limit: cfg.MaxSpillBytes},
		queue:    queue{slots: make([]*txn, cfg.Slots)},
		producer: newWaiter(),
		consumer: newWaiter(),
	}, nil
}

// CloseSoft ends the producer's side: further commits fail with ErrClosed, the
// consumer takes what is committed and then gets io.EOF.
func (r *Ring) CloseSoft() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.soft = true
	r.producer.wakeUp()
	r.consumer.wakeUp()
}

// Close ends both sides at once: whoever waits or comes later gets reason, or
// ErrClosed where it is nil. The spill files are removed; what is in memory
// stays good until released. The first reason holds; calling it twice is fine.
// It waits for a disk operation under way on either side.
func (r *Ring) Close(reason error) error {
	if reason == nil {
		reason = ErrClosed
	}
	r.mu.Lock()
	first := r.err == nil
	if first {
		r.err = reason
		r.producer.wakeUp()
		r.consumer.wakeUp()
	}
	r.mu.Unlock()
	if !first {
		return nil
	}
	r.writer.close()
	r.reader.close()
	return r.dir.close()
}

// closed returns why the producer may not go on. mu is held.
func (r *Ring) closed() error {
	if r.err == nil && r.soft {
		return ErrClosed
	}
	return r.err
}

// release is what Piece.Release of a ring's piece comes to.
func (r *Ring) release(p *piece) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.txn == nil {
		panic("txbuffer: a piece was released twice")
	}
	r.count.releases++
	t := p.txn
	r.freePiece(p)
	r.unrefTxn(t)
}

// unrefTxn gives the slot back with the last reference. mu is held.
func (r *Ring) unrefTxn(t *txn) {
	if t.refs--; t.refs > 0 {
		return
	}
	t.clear()
	r.freeTxns = append(r.freeTxns, t)
	r.inFlight--
	r.producer.wakeFor(forSlot)
}

// freePiece gives the piece's hold on its block back. mu is held.
func (r *Ring) freePiece(p *piece) {
	if p.block != nil {
		r.unrefBlock(p.block)
	}
	free := p.Free
	*p = piece{Piece: event.Piece{Free: free}}
	r.freePieces = append(r.freePieces, p)
}

// unrefBlock gives the memory back with the last reference. mu is held.
func (r *Ring) unrefBlock(b *block) {
	if b.refs--; b.refs > 0 {
		return
	}
	readBack := b.from == &r.back
	r.arena.put(b)
	if readBack {
		r.consumer.wakeFor(forReadBack)
	} else {
		r.producer.wakeFor(forMemory)
	}
}

// newPiece returns an empty piece of block b, which may be nil. mu is held.
func (r *Ring) newPiece(b *block) *piece {
	var p *piece
	if last := len(r.freePieces) - 1; last >= 0 {
		p, r.freePieces = r.freePieces[last], r.freePieces[:last]
	} else {
		p = new(piece)
		p.Free = func(*event.Piece) { r.release(p) }
	}
	p.block = b
	if b != nil {
		p.from = len(b.events)
	}
	return p
}

// newTxn returns an empty transaction. mu is held.
func (r *Ring) newTxn() *txn {
	last := len(r.freeTxns) - 1
	if last < 0 {
		return new(txn)
	}
	t := r.freeTxns[last]
	r.freeTxns = r.freeTxns[:last]
	return t
}

// end is what the consumer gets when nothing is left. mu is held.
func (r *Ring) end() error {
	if r.soft {
		return io.EOF
	}
	return nil
}
