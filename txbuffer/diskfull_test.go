package txbuffer

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// devFull makes every segment a writer of /dev/full: the kernel's own ENOSPC.
type devFull struct{ osFS }

func (devFull) create(string) (io.WriteCloser, error) {
	return os.OpenFile("/dev/full", os.O_WRONLY, 0)
}

func TestKernelSaysDiskFull(t *testing.T) {
	r, err := newRing(smallConfig(t.TempDir()), devFull{})
	if err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(r); resilience.CodeOf(err) != "spill_disk_full" || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if err := r.Close(nil); err != nil {
		t.Error(err)
	}
}

// TestSmallDiskFillsUp fills a file system of 256 KiB, where the test may mount
// one. What is committed can still be read, and once the full ring is closed
// the next one has the space again.
func TestSmallDiskFillsUp(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); errors.Is(err, syscall.EPERM) {
		t.Skip("only root may mount a small tmpfs; TestKernelSaysDiskFull covers the error itself")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	r, err := NewRing(smallConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	large := body(20<<10, 1, 1)
	commitOne(t, a, s, table, large)
	step(t, a, s.begin())
	for err == nil {
		ev := s.rows(table, large)
		_, err = a.Step(context.Background(), &ev)
	}
	if resilience.CodeOf(err) != "spill_disk_full" {
		t.Errorf("got %v", err)
	}
	if err := readAll(r); err != nil {
		t.Errorf("the committed transaction is lost: %v", err)
	}
	if got := a.Position(); got.Seq != start.Seq+1 {
		t.Errorf("position is at seq %d", got.Seq)
	}
	if err := r.Close(err); err != nil {
		t.Error(err)
	}
	if err := roundTrip(mustRing(t, smallConfig(dir))); err != nil {
		t.Errorf("after the space came back: %v", err)
	}
}

// A waiting producer goes on as segments of others are read back.
func TestDiskBoundIsBackPressure(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.MaxSpillBytes, cfg.Slots = 50<<10, 100
	r := mustRing(t, cfg)
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	commitOne(t, a, s, table, body(20<<10, 1, 1))
	commitOne(t, a, s, table, body(20<<10, 1, 1))
	var producer sync.WaitGroup
	producer.Go(func() { commitOne(t, a, s, table, body(20<<10, 1, 1)) })
	for !r.Stats().ProducerWaits {
		runtime.Gosched()
	}
	next(t, r).Release()
	producer.Wait()
	for range 2 {
		if err := readAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// A spill that is broken off while it writes out what was in memory keeps all
// of it there.
func TestBrokenOffSpillLosesNothing(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.MaxSpillBytes = 25 << 10
	r := mustRing(t, cfg)
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	commitOne(t, a, s, table, body(20<<10, 1, 1))
	step(t, a, s.begin())
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	waited := false
	for range 15 {
		ev := s.rows(table, body(1000, 1, 1))
		_, err := a.Step(ended, &ev)
		if errors.Is(err, context.Canceled) && !waited {
			waited = true
			if got := r.Stats().SpillBytes; got > 21<<10 {
				t.Errorf("the broken-off spill holds disk: %d bytes in use", got)
			}
			next(t, r).Release()
			_, err = a.Step(ended, &ev)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	step(t, a, s.end(event.EvCommit))
	if !waited {
		t.Error("the spill was never broken off")
	}
	rows := 0
	for last := false; !last; {
		p := next(t, r)
		rows, last = rows+len(p.Events), p.Last
		p.Release()
	}
	if rows != 15 {
		t.Errorf("%d rows came of 15", rows)
	}
}
