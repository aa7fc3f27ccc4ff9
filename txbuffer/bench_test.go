package txbuffer

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// BenchmarkTransaction is one small transaction (four events of 200 bytes)
// through assembler and ring, taken and released by the same goroutine.
func BenchmarkTransaction(b *testing.B) {
	r := mustRing(b, defaultIn(b.TempDir()))
	s, f, table, rows := newScript(), feeder{asm: NewAssembler(start, r)}, fakeTable("a"), body(200, 1, 1)
	b.ReportAllocs()
	b.SetBytes(800)
	for b.Loop() {
		f.commit(b, s, table, rows)
		next(b, r).Release()
	}
}

// BenchmarkTwoSides is the same with the consumer in a goroutine of its own.
func BenchmarkTwoSides(b *testing.B) {
	r := mustRing(b, defaultIn(b.TempDir()))
	s, f, table, rows := newScript(), feeder{asm: NewAssembler(start, r)}, fakeTable("a"), body(200, 1, 1)
	var consumer sync.WaitGroup
	consumer.Go(func() {
		for {
			p, err := r.Next(context.Background())
			if err != nil {
				return
			}
			p.Release()
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		f.commit(b, s, table, rows)
	}
	r.CloseSoft()
	consumer.Wait()
}

// BenchmarkHop is the time from the commit to the return of a waiting Next, and
// back the same way through a second ring.
func BenchmarkHop(b *testing.B) {
	there, back := mustRing(b, defaultIn(b.TempDir())), mustRing(b, defaultIn(b.TempDir()))
	var other sync.WaitGroup
	other.Go(func() {
		for {
			p, err := there.Next(context.Background())
			if err != nil {
				return
			}
			p.Release()
			if err := back.Commit(context.Background(), &event.Tx{}); err != nil {
				return
			}
		}
	})
	began := time.Now()
	for b.Loop() {
		if err := there.Commit(context.Background(), &event.Tx{}); err != nil {
			b.Fatal(err)
		}
		p, err := back.Next(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
	b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(2*b.N), "ns/hop")
	there.CloseSoft()
	other.Wait()
}

// BenchmarkSpill writes transactions of 64 MiB to disk and reads them back.
func BenchmarkSpill(b *testing.B) {
	r := mustRing(b, defaultIn(b.TempDir()))
	s, a, table, rows := newScript(), NewAssembler(start, r), fakeTable("a"), body(8<<10, 1, 1)
	b.SetBytes(64 << 20)
	for b.Loop() {
		step(b, a, s.begin())
		for range 8 << 10 {
			step(b, a, s.rows(table, rows))
		}
		step(b, a, s.end(event.EvCommit))
		for last := false; !last; {
			p := next(b, r)
			last = p.Last
			p.Release()
		}
	}
}
