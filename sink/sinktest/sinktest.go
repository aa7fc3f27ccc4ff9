package sinktest

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// Run runs the suite; open makes a new, empty destination for each test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"DoneOnceInOrder", doneOnceInOrder},
		{"OpenBatchesBecomeWhole", openBatchesBecomeWhole},
		{"BatchesWithoutRecords", batchesWithoutRecords},
		{"BeginStoresTheStart", beginStoresTheStart},
		{"RestartGoesOnFromTheCheckpoint", restartGoesOn},
		{"RestartFromAnOlderCheckpoint", restartFromOlder},
		{"NothingSucceedsAfterAnError", nothingAfterAnError},
		{"ReconnectForgetsWhatIsInFlight", reconnectForgets},
		{"EndedContextEndsSend", endedContextEndsSend},
		{"CloseJoinsAndMayBeRepeated", closeJoins},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			before := goleak.IgnoreCurrent()
			// Cleanups run last first: this one after the sinks were closed.
			t.Cleanup(func() { noLeaks(t, before) })
			c.test(t, h)
		})
	}
}

// noLeaks gives goroutines that are about to end a moment: goleak tries again
// for a while.
func noLeaks(t *testing.T, before goleak.Option) {
	if t.Failed() {
		return
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func doneOnceInOrder(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	r.sendTxs(50)
	r.delivered()
	r.sendTxs(1) // a lone one leaves at once
	r.delivered()
	if got := r.safe().Position.Seq; got != 51 {
		t.Errorf("safe is transaction %d", got)
	}
	r.wantAll(51, oneRow)
}

// openBatchesBecomeWhole sends a transaction in three batches, the first of
// which holds the end of another too.
func openBatchesBecomeWhole(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	small, big := r.pieces(1, 1), r.pieces(30, 10)
	r.send(r.ctx(), r.pack(small[0], big[0]), false)
	r.send(r.ctx(), r.pack(big[1]), false)
	r.send(r.ctx(), r.pack(big[2]), true)
	r.delivered()
	if got := r.safe().Position.Seq; got != 2 {
		t.Errorf("safe is transaction %d", got)
	}
	r.wantAll(2, func(n uint64) int { return map[uint64]int{1: 1, 2: 30}[n] })
}

func batchesWithoutRecords(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	for range 3 {
		r.send(r.ctx(), r.pack(r.pieces(0, 1)...), true)
		r.send(r.ctx(), r.pack(nil), true) // a heartbeat of a format that has none to show
	}
	r.delivered()
	if got := r.safe().Position.Seq; got != 3 {
		t.Errorf("safe is transaction %d", got)
	}
	r.wantAll(3, func(uint64) int { return 0 })
}

func beginStoresTheStart(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	begun := r.cp
	r.close()
	r = newRun(t, h, begun)
	if r.cp.IsZero() || checkpoint.Compare(r.cp, begun) != 0 || r.cp.Position.Offset != begun.Position.Offset {
		t.Errorf("goes on from %+v, begun at %+v", r.cp, begun)
	}
	r.sendTxs(3)
	r.delivered()
	r.wantAll(3, oneRow)
}

func restartGoesOn(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	for range 3 {
		r.sendTxs(5)
		r.delivered()
		cp := r.safe()
		r.close()
		r = newRun(t, h, cp)
		if r.cp.Position.Seq != cp.Position.Seq {
			t.Errorf("goes on from transaction %d, stored is %d", r.cp.Position.Seq, cp.Position.Seq)
		}
	}
	r.sendTxs(5)
	r.delivered()
	r.wantAll(20, oneRow)
}

// restartFromOlder is the restart of a killed process: more was delivered than
// the stored checkpoint covers.
func restartFromOlder(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	r.sendTxs(5)
	r.delivered()
	stored := r.safe()
	r.sendTxs(5)
	r.delivered()
	r.close()
	r = newRun(t, h, stored)
	if s := r.cp.Position.Seq; s < 5 || s > 10 {
		t.Fatalf("goes on from transaction %d, want 5 to 10", s)
	}
	r.sendTxs(int(12 - r.cp.Position.Seq))
	r.delivered()
	r.wantAll(12, oneRow)
}

func nothingAfterAnError(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	r.sendTxs(5)
	r.delivered()
	heal := h.Break()
	r.sendTxs(5)
	if err := r.wait(); err == nil {
		t.Fatal("a broken destination took everything")
	}
	heal() // healing does not bring the line back
	r.sendTxs(5)
	_ = r.wait()
	r.once()
	r.failedFromOneOn()
	r.cp = r.safe()
	r.connect()
	if s := r.cp.Position.Seq; s < 5 || s > 10 {
		t.Fatalf("goes on from transaction %d, want 5 to 10", s)
	}
	r.sendTxs(int(12 - r.cp.Position.Seq))
	r.delivered()
	r.wantAll(12, oneRow)
}

func (r *run) failedFromOneOn() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := -1
	for i, a := range r.acks {
		if failed >= 0 && a.err == nil {
			r.t.Errorf("batch %d was delivered after batch %d failed", i, failed)
		}
		if failed < 0 && a.err != nil {
			failed = i
		}
		if a.err != nil && resilience.ClassOf(a.err) == resilience.Unclassified {
			r.t.Errorf("batch %d failed with an error without a class: %v", i, a.err)
		}
	}
}

// reconnectForgets connects again while batches may be in flight.
func reconnectForgets(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	r.sendTxs(20)
	cp, err := r.s.Connect(r.ctx(), nextTerm(), r.safe())
	if err != nil {
		t.Fatal(err)
	}
	if pending, _ := r.pending(); pending != 0 {
		t.Fatalf("Connect returned while %d batches were not done", pending)
	}
	r.once()
	r.cp = cp
	r.connect()
	r.sendTxs(int(25 - r.cp.Position.Seq))
	r.delivered()
	r.wantAll(25, oneRow)
}

func endedContextEndsSend(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	r.sendTxs(3)
	r.delivered()
	resume := h.Stall()
	why := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(r.ctx())
	time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
	for ctx.Err() == nil {
		r.send(ctx, r.pack(r.pieces(1, 1)...), false)
	}
	r.send(ctx, r.pack(r.pieces(1, 1)...), true)
	resume()
	r.close()
	if pending, _ := r.pending(); pending != 0 {
		t.Errorf("%d batches are not done after Close", pending)
	}
	r.once()
}

func closeJoins(t *testing.T, h Harness) {
	r := newRun(t, h, checkpoint.Checkpoint{})
	r.sendTxs(20)
	r.close()
	if pending, _ := r.pending(); pending != 0 {
		t.Errorf("%d batches are not done after Close", pending)
	}
	r.once()
	r.close()
	r.send(r.ctx(), r.pack(r.pieces(1, 1)...), true)
	if err := r.wait(); err == nil {
		t.Error("a closed sink took a batch")
	}
}
