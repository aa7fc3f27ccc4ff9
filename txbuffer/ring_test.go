package txbuffer

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/cdcd-io/cdcd/event"
)

func commitOne(tb testing.TB, a *Assembler, s *script, t *event.Table, bodies ...[]byte) {
	tb.Helper()
	step(tb, a, s.begin())
	for _, b := range bodies {
		step(tb, a, s.rows(t, b))
	}
	step(tb, a, s.end(event.EvCommit))
}

// next takes a piece that must be there.
func next(tb testing.TB, r *Ring) *event.Piece {
	tb.Helper()
	p, err := r.TryNext()
	if p == nil || err != nil {
		tb.Fatalf("no piece: %v", err)
	}
	return p
}

func TestNothingIsVisibleBeforeTheCommit(t *testing.T) {
	r := mustRing(t, smallConfig(t.TempDir()))
	s, a := newScript(), NewAssembler(start, r)
	step(t, a, s.begin())
	step(t, a, s.rows(fakeTable("a"), body(4000, 1, 1)))
	if p, err := r.TryNext(); p != nil || err != nil {
		t.Fatalf("got %v, %v", p, err)
	}
	step(t, a, s.end(event.EvCommit))
	p := next(t, r)
	if !p.First || !p.Last || p.Tx.Rows != 1 || p.Bytes != 4000 {
		t.Errorf("got %+v", p)
	}
	p.Release()
}

func TestSoftCloseDrains(t *testing.T) {
	r := mustRing(t, smallConfig(t.TempDir()))
	s, a := newScript(), NewAssembler(start, r)
	commitOne(t, a, s, fakeTable("a"), body(10, 1, 1))
	r.CloseSoft()
	step(t, a, s.begin())
	end := s.end(event.EvCommit)
	if _, err := a.Step(context.Background(), &end); !errors.Is(err, ErrClosed) {
		t.Errorf("a commit after the soft close: %v", err)
	}
	next(t, r).Release()
	if _, err := r.Next(context.Background()); err != io.EOF {
		t.Errorf("drained: %v", err)
	}
}

// Both sides wait; a hard close must wake both, with its reason.
func TestHardCloseWakesBothSides(t *testing.T) {
	for _, spilling := range []bool{false, true} {
		cfg := smallConfig(t.TempDir())
		cfg.MaxSpillBytes = 16 << 10
		full, empty := mustRing(t, cfg), mustRing(t, smallConfig(t.TempDir()))
		reason := errors.New("lease lost")
		var sides sync.WaitGroup
		sides.Go(func() {
			if err := fillUp(context.Background(), full, spilling); !errors.Is(err, reason) {
				t.Errorf("producer got %v", err)
			}
		})
		sides.Go(func() {
			if _, err := empty.Next(context.Background()); !errors.Is(err, reason) {
				t.Errorf("consumer got %v", err)
			}
		})
		for !full.Stats().ProducerWaits || !empty.Stats().ConsumerWaits {
			runtime.Gosched()
		}
		full.Close(reason)
		empty.Close(reason)
		sides.Wait()
	}
}

// A hard close may come in the middle of a disk operation of either side.
func TestHardCloseWhileSpilling(t *testing.T) {
	for commits := range uint64(30) {
		root := t.TempDir()
		r, err := NewRing(smallConfig(root))
		if err != nil {
			t.Fatal(err)
		}
		reason := errors.New("lease lost")
		var sides sync.WaitGroup
		sides.Go(func() {
			if err := fillUp(context.Background(), r, true); !errors.Is(err, reason) {
				t.Errorf("producer got %v", err)
			}
		})
		sides.Go(func() {
			for {
				p, err := r.Next(context.Background())
				if err != nil {
					if !errors.Is(err, reason) {
						t.Errorf("consumer got %v", err)
					}
					return
				}
				p.Release()
			}
		})
		for r.Stats().Commits < commits {
			runtime.Gosched()
		}
		if err := r.Close(reason); err != nil {
			t.Error(err)
		}
		sides.Wait()
		if left, _ := os.ReadDir(root); len(left) != 1 {
			t.Errorf("left: %v", left)
		}
	}
}

func TestContextEndsTheWait(t *testing.T) {
	r := mustRing(t, smallConfig(t.TempDir()))
	cause := errors.New("shutdown")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if err := fillUp(ctx, r, false); !errors.Is(err, cause) {
		t.Errorf("producer got %v", err)
	}
	empty := mustRing(t, smallConfig(t.TempDir()))
	if _, err := empty.Next(ctx); !errors.Is(err, cause) {
		t.Errorf("consumer got %v", err)
	}
}

// fillUp commits transactions nobody takes until an error comes.
func fillUp(ctx context.Context, r *Ring, spilling bool) error {
	s, a, table, size := newScript(), NewAssembler(start, r), fakeTable("a"), 900
	if spilling {
		size = 9000
	}
	for {
		for _, ev := range []event.Event{s.begin(), s.rows(table, body(size, 1, 1)), s.end(event.EvCommit)} {
			if _, err := a.Step(ctx, &ev); err != nil {
				return err
			}
		}
	}
}

func TestReleasingTwicePanics(t *testing.T) {
	r := mustRing(t, smallConfig(t.TempDir()))
	s, a := newScript(), NewAssembler(start, r)
	commitOne(t, a, s, fakeTable("a"), body(10, 1, 1))
	p := next(t, r)
	p.Release()
	defer func() {
		if recover() == nil {
			t.Error("nothing happened")
		}
	}()
	p.Release()
}

// A large event leaves a block of its own behind. It must not stay charged, or
// a second one would wait for ever with nothing to be released.
func TestLargeEventsOneAfterTheOther(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	r := mustRing(t, cfg)
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	large := body(int(cfg.MaxTxBytes-eventSize), 1, 1)
	for range 5 {
		commitOne(t, a, s, table, large)
		next(t, r).Release()
	}
	if s := r.Stats(); s.Bytes != 0 || s.SpilledTxs != 0 {
		t.Errorf("left: %+v", s)
	}
}

// An event larger than all the memory goes through the disk and comes back alone.
func TestEventLargerThanTheRing(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	r := mustRing(t, cfg)
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	large := body(3*int(cfg.RingBytes), 1, 1)
	commitOne(t, a, s, table, body(10, 1, 1), large, large, body(10, 1, 1))
	sizes := []int{10, len(large), len(large), 10}
	for i, want := range sizes {
		p := next(t, r)
		if p.Bytes != want || p.First != (i == 0) || p.Last != (i == 3) {
			t.Fatalf("piece %d: %d bytes, first %v, last %v", i, p.Bytes, p.First, p.Last)
		}
		if q, _ := r.TryNext(); i == 1 && q != nil {
			t.Fatal("two large events are in memory at once")
		}
		p.Release()
	}
}

func TestNoAllocationPerTransaction(t *testing.T) {
	r := mustRing(t, defaultIn(t.TempDir()))
	s, f, table, b := newScript(), feeder{asm: NewAssembler(start, r)}, fakeTable("a"), body(200, 1, 1)
	one := func() {
		f.commit(t, s, table, b)
		next(t, r).Release()
	}
	one()
	if n := testing.AllocsPerRun(2000, one); n != 0 {
		t.Errorf("%v allocations per transaction", n)
	}
}

// defaultIn is the default configuration with its files under dir.
func defaultIn(dir string) Config {
	cfg := DefaultConfig()
	cfg.SpillDir = dir
	return cfg
}

// TestBigTransactionInSmallMemory sends 300 MB through a ring of 8 MiB.
func TestBigTransactionInSmallMemory(t *testing.T) {
	cfg := defaultIn(t.TempDir())
	cfg.RingBytes, cfg.MaxTxBytes, cfg.PieceBytes, cfg.ReadBackPieces = 8<<20, 4<<20, 256<<10, 4
	r := mustRing(t, cfg)
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	const events, size = 37_500, 8000
	b := body(size, 1, 1)
	before := heap()
	step(t, a, s.begin())
	for range events {
		step(t, a, s.rows(table, b))
	}
	step(t, a, s.end(event.EvCommit))
	high, rows := heap(), uint64(0)
	for last := false; !last; {
		p := next(t, r)
		if last = p.Last; p.Bytes > cfg.PieceBytes {
			t.Fatalf("a piece of %d bytes", p.Bytes)
		}
		if p.Events[0].Ordinal != rows || p.Tx.Rows != events {
			t.Fatalf("row %d where %d was expected", p.Events[0].Ordinal, rows)
		}
		if rows += uint64(len(p.Events)); rows%3000 < 32 {
			high = max(high, heap())
		}
		p.Release()
	}
	if rows != events {
		t.Errorf("%d rows came of %d", rows, events)
	}
	if grown := high - before; grown > cfg.RingBytes+1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if s := r.Stats(); s.SpilledBytes < events*size || s.SpillBytes != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func heap() int64 {
	var m runtime.MemStats
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
