package txbuffer

import (
	"context"
	"errors"
	"io"
	"os"
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
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	commitOne(t, a, s, table, body(20<<10, 1, 1))
	commitOne(t, a, s, table, body(20<<10, 1, 1))
	step(t, a, s.begin())
	ev := s.rows(table, body(20<<10, 1, 1))
	if _, err := a.Step(ended, &ev); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	next(t, r).Release()
	step(t, a, ev)
	step(t, a, s.end(event.EvCommit))
	for range 2 {
		if err := readAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
