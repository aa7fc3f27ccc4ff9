package txbuffer

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cdcd-io/cdcd/event"
)

// load is a stream of random transactions that both sides can make again from
// the seed: the producer to send it, the consumer to compare.
type load struct {
	rnd *rand.Rand
	n   uint64
}

func newLoad(seed uint64) *load { return &load{rnd: rand.New(rand.NewPCG(seed, 1))} }

// next returns the bodies of the next transaction: mostly small, some larger
// than a piece, a few larger than their share of the ring.
func (l *load) next() [][]byte {
	events := l.rnd.IntN(4)
	switch l.rnd.IntN(20) {
	case 0:
		events = 10 + l.rnd.IntN(40)
	case 1:
		events = 60 + l.rnd.IntN(100)
	}
	bodies := make([][]byte, events)
	for i := range bodies {
		size := 1 + l.rnd.IntN(200)
		if l.rnd.IntN(50) == 0 {
			size = 1 + l.rnd.IntN(20<<10)
		}
		l.n++
		bodies[i] = body(size, 1+l.rnd.IntN(3), l.n)
	}
	return bodies
}

const loadTxs = 2000

func produce(t *testing.T, r *Ring, seed uint64) {
	s, l, table := newScript(), newLoad(seed), fakeTable("a")
	a := NewAssembler(start, r)
	for range loadTxs {
		step(t, a, s.begin())
		for _, b := range l.next() {
			step(t, a, s.rows(table, b))
		}
		step(t, a, s.end(event.EvCommit))
	}
	r.CloseSoft()
}

// TestProducerAndConsumer runs both sides at full speed on a tiny ring; pieces
// are released late, in random order, by other goroutines.
func TestProducerAndConsumer(t *testing.T) {
	const seed = 7
	r := mustRing(t, smallConfig(t.TempDir()))
	var sides sync.WaitGroup
	sides.Go(func() { produce(t, r, seed) })
	releases := make(chan *event.Piece, 6)
	for range 3 {
		sides.Go(func() { releaseShuffled(releases) })
	}
	l := newLoad(seed)
	for range loadTxs {
		expect(t, r, l.next(), releases)
	}
	if _, err := r.Next(context.Background()); err != io.EOF {
		t.Errorf("after the last transaction: %v", err)
	}
	close(releases)
	sides.Wait()
	s := r.Stats()
	if s.Slots != 0 || s.SpillBytes != 0 || s.SpilledTxs == 0 || s.Waits == 0 || s.Takes != s.Releases {
		t.Errorf("the ring is not empty, or never spilled or waited: %+v", s)
	}
	if s.BytesHigh > s.BytesLimit+40<<10 {
		t.Errorf("memory rose to %d of %d", s.BytesHigh, s.BytesLimit)
	}
}

// expect takes one transaction and compares its bodies.
func expect(t *testing.T, r *Ring, want [][]byte, releases chan<- *event.Piece) {
	for first := true; ; first = false {
		p, err := r.Next(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		if p.First != first {
			t.Errorf("First is %v, want %v", p.First, first)
		}
		for _, e := range p.Events {
			if len(want) == 0 || !bytes.Equal(e.Body, want[0]) {
				t.Errorf("%s: wrong body at row %d", p.Tx.Key, e.Ordinal)
				return
			}
			want = want[1:]
		}
		last := p.Last
		releases <- p
		if last {
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("%d events are missing", len(want))
	}
}

// releaseShuffled holds up to three pieces and releases them in random order.
func releaseShuffled(in <-chan *event.Piece) {
	for p := range in {
		held := []*event.Piece{p}
		for len(held) < 3 {
			select {
			case q, ok := <-in:
				if ok {
					held = append(held, q)
					continue
				}
			default:
			}
			break
		}
		rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for _, p := range held {
			p.Release()
		}
	}
}
