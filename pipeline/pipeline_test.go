package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// fixture is a pipeline from a script to memory.
type fixture struct {
	src    *script
	dst    *memory
	cfg    Config
	poison int64
	slow   time.Duration // of the encoder, for a piece
	hang   chan struct{} // of the encoder, at the poison
	panics bool          // likewise

	p          *Pipeline
	soft, hard context.CancelFunc
	result     chan error
}

func newFixture(t *testing.T, rows ...int) *fixture {
	cfg := DefaultConfig()
	cfg.Name, cfg.Installation, cfg.Workers = "p", "test", 3
	cfg.Buffer.SpillDir = t.TempDir()
	return &fixture{src: &script{rows: rows, body: 20, fail: map[uint64]error{}}, dst: &memory{refuse: map[int]error{}}, cfg: cfg}
}

func repeat(n, rows int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = rows
	}
	return out
}

func (f *fixture) start(t *testing.T) {
	t.Helper()
	p, err := New(f.cfg, Deps{
		Source: f.src, Sink: f.dst, Store: f.dst,
		Encoder: func(r *format.Routes, flavor event.Flavor) format.Encoder {
			if flavor != f.src.flavor() {
				t.Errorf("an encoder for %s", flavor)
			}
			return &lines{route: r.Topic("t"), poison: f.poison, slow: f.slow, hang: f.hang, panics: f.panics}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	soft, stop := context.WithCancel(t.Context())
	hard, kill := context.WithCancel(t.Context())
	f.p, f.soft, f.hard, f.result = p, stop, kill, make(chan error, 1)
	go func() { f.result <- p.Run(soft, hard) }()
}

// settle waits, in fake time, until the transaction is durable and stored.
func (f *fixture) settle(t *testing.T, seq uint64) {
	t.Helper()
	for range 600 {
		if f.p.Status().Seq >= seq {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("seq %d not reached: %+v", seq, f.p.Status())
}

// wantAll checks that every row of the script came, in order, at most doubles
// being replays of a suffix.
func (f *fixture) wantAll(t *testing.T, doubles bool) {
	t.Helper()
	var want []int64
	for i, n := range f.src.rows {
		for r := range n {
			want = append(want, int64(i+1)*1_000_000+int64(r))
		}
	}
	last := -1
	index := map[int64]int{}
	for i, id := range want {
		index[id] = i
	}
	for _, id := range f.dst.ids {
		i, ok := index[id]
		if !ok || i > last+1 || !doubles && i != last+1 {
			t.Fatalf("row %d after row %d of the script", i, last)
		}
		last = i
	}
	if last != len(want)-1 {
		t.Fatalf("%d rows came of %d", last+1, len(want))
	}
}

func TestDrainsAndStoresOnSoftStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(500, 7)...)
		f.dst.delay = 3 * time.Millisecond
		f.start(t)
		f.settle(t, 500)
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, false)
		if got := f.dst.cp.Position.Seq; got != 500 {
			t.Fatalf("stored seq %d", got)
		}
		if s := f.p.Status(); s.State != Stopped || s.RowsDone != 3500 {
			t.Fatalf("status %+v", s)
		}
	})
}

// TestEncodersAreForTheServerThatIsRead: at the first start and from a
// checkpoint; start holds the comparison.
func TestEncodersAreForTheServerThatIsRead(t *testing.T) {
	for _, maria := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, repeat(20, 1)...)
			f.src.maria = maria
			for range 2 {
				f.start(t)
				f.settle(t, 20)
				f.soft()
				if err := <-f.result; err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestTransientSinkErrorGoesOnFromCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(300, 3)...)
		f.cfg.UnitBytes = 4 << 10
		f.dst.delay = time.Millisecond
		for _, n := range []int{2, 5, 9} {
			f.dst.refuse[n] = resilience.Errorf(resilience.Transient, "lost", "send", "connection lost")
		}
		f.start(t)
		f.settle(t, 300)
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, true)
	})
}

func TestSourceReconnectsBehindLastTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(100, 2)...)
		for _, n := range []uint64{1, 40, 41, 99} {
			f.src.fail[n] = resilience.Errorf(resilience.Transient, "cut", "read", "connection reset")
		}
		f.start(t)
		f.settle(t, 100)
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, false) // the line went on: nothing twice
		if len(f.src.opens) != 5 {
			t.Fatalf("opened at %v", f.src.opens)
		}
	})
}

// TestDisplacedReaderAsksTheSinkFirst: another reader in our place may be the
// new owner, so the source is not opened again before the sink was connected.
func TestDisplacedReaderAsksTheSinkFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(100, 2)...)
		f.src.fail[40] = resilience.Errorf(resilience.Transient, source.CodeDisplaced, "read", "another reader")
		f.start(t)
		f.settle(t, 100)
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, false)
		if f.dst.connects != 2 {
			t.Fatalf("the sink was connected %d times, want 2", f.dst.connects)
		}
	})
}

func TestPoisonStopsBehindWhatWasBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(50, 2)...)
		f.cfg.UnitBytes = 4 << 10
		f.poison = 31*1_000_000 + 1
		f.start(t)
		err := <-f.result
		if resilience.ClassOf(err) != resilience.Poison {
			t.Fatalf("ended with %v", err)
		}
		if s := f.p.Status(); s.State != Stopped || s.ErrorCode != "bad_row" {
			t.Fatalf("status %+v", s)
		}
		for _, id := range f.dst.ids {
			if id >= 31*1_000_000 {
				t.Fatalf("row %d of the poisoned transaction or behind it was sent", id)
			}
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(10, 1)...)
		f.start(t)
		f.settle(t, 10)
		f.p.Pause()
		synctest.Wait()
		if s := f.p.Status(); s.State != Paused || s.Ready {
			t.Fatalf("status %+v", s)
		}
		f.p.Resume()
		synctest.Wait()
		if s := f.p.Status(); s.State != Running || f.src.opened() != 2 {
			t.Fatalf("status %+v", s)
		}
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, false)
	})
}

func TestHardStopSavesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(100, 1)...)
		f.dst.mute = true
		f.start(t)
		time.Sleep(3 * f.cfg.SaveInterval) // fake time: every chance to save too much
		f.hard()
		if err := <-f.result; !errors.Is(err, context.Canceled) {
			t.Fatalf("ended with %v", err)
		}
		if f.dst.cp.Position.Seq != 0 {
			t.Fatalf("stored seq %d though nothing was acknowledged", f.dst.cp.Position.Seq)
		}
	})
}

// TestStallRestartsThenStops: a sink that swallows batches without a word is a
// stall; the line restarts once, and stops when that does not help.
func TestStallRestartsThenStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(5, 1)...)
		f.cfg.StallAfter = 5 * time.Second
		f.dst.mute = true
		f.start(t)
		err := <-f.result
		if resilience.CodeOf(err) != "stalled_twice" {
			t.Fatalf("ended with %v", err)
		}
		if f.src.opened() != 2 {
			t.Fatalf("%d lines, want 2", f.src.opened())
		}
	})
}

// TestSinkThatWaitsSaysWhy: what a sink repeats in place is no stall, and the
// status has its reason.
func TestSinkThatWaitsSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(5, 1)...)
		f.cfg.StallAfter = 5 * time.Second
		f.dst.mute = true
		f.dst.waiting = resilience.Errorf(resilience.Transient, "not_enough_replicas", "produce", "two are away").WithHint("start them")
		f.start(t)
		time.Sleep(time.Minute)
		if s := f.p.Status(); s.State != Retrying || s.ErrorCode != "not_enough_replicas" || s.Hint != "start them" || s.Error == "" || s.Ready {
			t.Errorf("status %+v", s)
		}
		f.hard()
		<-f.result
	})
}

// TestGiantAmongTiny: a transaction many times the memory there is passes
// between tiny ones, and neither budget is overdrawn by more than a unit.
func TestGiantAmongTiny(t *testing.T) {
	rows := repeat(2000, 1)
	rows[1000] = 100_000
	f := newFixture(t, rows...)
	f.src.body = 300
	f.cfg.Buffer.PieceBytes = 128 << 10
	f.cfg.Buffer.MaxTxBytes = 2 << 20
	f.cfg.Buffer.RingBytes = 8 << 20
	f.cfg.OutputBytes = 4 << 20
	f.start(t)
	var peakOut, peakRing int64
	limit := time.Now().Add(time.Minute)
	for f.p.Status().Seq < 2000 {
		s := f.p.Status()
		if time.Now().After(limit) {
			t.Fatalf("seq 2000 not reached: %+v", s)
		}
		if s.State == Stopped {
			t.Fatalf("stopped: %+v", s)
		}
		peakOut, peakRing = max(peakOut, s.OutputBytes), max(peakRing, s.RingBytes)
		time.Sleep(time.Millisecond) // between two samples
	}
	f.soft()
	if err := <-f.result; err != nil {
		t.Fatal(err)
	}
	f.wantAll(t, false)
	if f.p.Status().SpilledTx == 0 {
		t.Error("the giant did not spill")
	}
	if peakRing > 9<<20 || peakOut > 8<<20 {
		t.Errorf("peaks: ring %d, output %d", peakRing, peakOut)
	}
}

// TestHeartbeatsKeepOutOfTransactions: a transaction that is read back slowly
// leaves time for heartbeats to become due in its midst. A unit of theirs there
// would tell the sink that no transaction is open.
func TestHeartbeatsKeepOutOfTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1, 5000, 1)
		f.src.body = 300
		f.slow = 50 * time.Millisecond
		f.cfg.HeartbeatInterval = 10 * time.Millisecond
		f.cfg.UnitBytes = 64 << 10
		f.cfg.Buffer.PieceBytes, f.cfg.Buffer.ReadBackPieces = 64<<10, 2
		f.cfg.Buffer.MaxTxBytes, f.cfg.Buffer.RingBytes = 256<<10, 1<<20
		f.start(t)
		f.settle(t, 3)
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, false)
		if f.p.Status().SpilledTx == 0 {
			t.Error("nothing was read back from disk")
		}
		if f.dst.torn > 0 {
			t.Errorf("%d batches say that no transaction is open inside one", f.dst.torn)
		}
	})
}

// TestReadErrorComesBehindWhatWasRead: an error that waiting does not heal stops
// the pipeline right in front of the transaction it is about, every time.
func TestReadErrorComesBehindWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(200, 3)...)
		f.cfg.UnitBytes = 4 << 10
		f.dst.delay = 20 * time.Millisecond
		f.src.fail[151] = resilience.Errorf(resilience.Fatal, "statement", "read", "a statement")
		f.start(t)
		if err := <-f.result; resilience.CodeOf(err) != "statement" {
			t.Fatalf("ended with %v", err)
		}
		if f.dst.cp.Position.Seq != 150 || len(f.dst.ids) != 450 {
			t.Fatalf("stored seq %d, %d rows delivered; want all 150 transactions before", f.dst.cp.Position.Seq, len(f.dst.ids))
		}
	})
}

// TestHungStageIsNoSilentEnd: an error ends the line while a stage hangs that the
// watchdog does not judge any more.
func TestHungStageIsNoSilentEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(40, 1)...)
		f.cfg.UnitBytes = 4 << 10
		f.cfg.StallAfter = 20 * time.Second
		f.poison, f.hang = 40*1_000_000, make(chan struct{})
		f.src.rows[39] = 100 // the unit of its own is rendered while those before it are refused
		f.dst.delay = time.Second
		f.dst.refuse[1] = resilience.Errorf(resilience.Transient, "lost", "send", "connection lost")
		f.start(t)
		err := <-f.result
		close(f.hang)
		if resilience.CodeOf(err) != "stage_hangs" || resilience.ClassOf(err) != resilience.Fatal {
			t.Fatalf("ended with %v", err)
		}
	})
}

func TestSoftStopAndPauseWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		f.dst.away = true
		f.start(t)
		synctest.Wait()
		f.p.Pause()
		synctest.Wait()
		if s := f.p.Status(); s.State != Paused {
			t.Fatalf("status %+v", s)
		}
		f.p.Resume()
		synctest.Wait()
		f.soft()
		synctest.Wait()
		select {
		case err := <-f.result:
			if err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatal("it does not end")
		}
	})
}

// TestFatalDuringSoftStopIsTold: what ends a line for good is no silent success
// because a stop was under way.
func TestFatalDuringSoftStopIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(20, 1)...)
		f.dst.delay = 10 * time.Second
		f.dst.refuse[1] = resilience.Errorf(resilience.Fatal, "refused", "send", "too large")
		f.start(t)
		synctest.Wait() // the batch is on its way
		f.soft()
		if err := <-f.result; resilience.CodeOf(err) != "refused" {
			t.Fatalf("ended with %v", err)
		}
	})
}

// TestLongStepsOfTheStreamAreNoStall: a stream that passes over gigabytes of
// what nobody wants is busy inside one step.
func TestLongStepsOfTheStreamAreNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(3, 1)...)
		f.src.drops = 10 * time.Minute
		f.start(t)
		time.Sleep(f.src.drops + time.Minute) // fake time
		if f.src.opened() != 1 || f.p.Status().Seq != 3 {
			t.Fatalf("%d lines, status %+v", f.src.opened(), f.p.Status())
		}
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
	})
}

// TestPausesGrowUntilATransactionComesThrough: a beginning is no progress when
// the connection breaks behind it every time.
func TestPausesGrowUntilATransactionComesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3, 3)
		f.src.cuts = 9
		began := time.Now()
		f.start(t)
		f.settle(t, 2)
		if took := time.Since(began); took < 2500*time.Millisecond { // of it a second at most until the position is stored
			t.Errorf("%d connections in %s", f.src.opened(), took)
		}
		if s := f.p.Status(); s.State != Running || s.Error != "" {
			t.Errorf("status %+v", s)
		}
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, false)
	})
}

// TestPanicOfASourceEndsAsItsErrorsDo: with what was read before it delivered.
func TestPanicOfASourceEndsAsItsErrorsDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(50, 2)...)
		f.src.bug = 31
		f.start(t)
		wantPanic(t, <-f.result, "read")
		if n := len(f.dst.ids); n != 60 || f.dst.cp.Position.Seq != 30 {
			t.Errorf("%d rows delivered, stored is transaction %d", n, f.dst.cp.Position.Seq)
		}
		f.src.bug = 0
		f.start(t)
		f.settle(t, 50)
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, false)
	})
}

// TestPanicsOfTheDestination: in whichever stage, the pipeline stops and every
// goroutine of it ends, or synctest would complain.
func TestPanicsOfTheDestination(t *testing.T) {
	for method, stage := range map[string]string{"connect": "open", "send": "send", "save": "save", "close": "close"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, repeat(50, 2)...)
				f.dst.bug = method
				f.start(t)
				if method == "close" {
					f.settle(t, 50)
					f.soft()
				}
				wantPanic(t, <-f.result, stage)
			})
		})
	}
}

func wantPanic(t *testing.T, err error, stage string) {
	t.Helper()
	var named *resilience.Error
	if !errors.As(err, &named) || named.Class != resilience.Fatal || named.Code != "stage_panic" || named.At != "stage "+stage || named.Hint == "" {
		t.Errorf("ended with %v, want a panic of stage %s", err, stage)
	}
}

// TestPanicStopsThePipelineOnly: what is in front of the row that a decoder
// cannot bear is delivered.
func TestPanicStopsThePipelineOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, repeat(50, 2)...)
		f.cfg.UnitBytes = 4 << 10
		f.poison, f.panics = 31*1_000_000+1, true
		f.start(t)
		err := <-f.result
		if resilience.CodeOf(err) != "encode_panic" || resilience.ClassOf(err) != resilience.Fatal {
			t.Fatalf("ended with %v", err)
		}
		for _, id := range f.dst.ids {
			if id >= 31*1_000_000 {
				t.Fatalf("row %d of the transaction or behind it was sent", id)
			}
		}
	})
}

// TestPartsGoOn: a sink that keeps what is done of a transaction gets the rest
// of it after each error, and nothing twice.
func TestPartsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3, 2500, 0, 1700, 5)
		f.src.body, f.cfg.UnitBytes = 1000, 64<<10
		f.cfg.Buffer.PieceBytes, f.cfg.Buffer.MaxTxBytes = 64<<10, 512<<10 // the first large one goes to disk
		f.dst.parts = true
		for i := range 12 {
			f.dst.refuse[2+7*i] = resilience.Errorf(resilience.Transient, "refused", "deliver", "batch %d", 2+7*i)
		}
		f.start(t)
		f.settle(t, 5)
		f.soft()
		if err := <-f.result; err != nil {
			t.Fatal(err)
		}
		f.wantAll(t, false)
		if f.src.parts < 5 {
			t.Errorf("only %d lines began inside a transaction", f.src.parts)
		}
		if p := f.dst.cp.Position; p.Seq != 5 || !p.Partial.IsZero() {
			t.Errorf("stored %d, %+v", p.Seq, p.Partial)
		}
	})
}

// TestPartOfAnotherTransaction: the log does not have the transaction that is
// done in part. That stops, and nothing is delivered in its place.
func TestPartOfAnotherTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 500)
		f.dst.parts = true
		pos, _ := f.src.Start(t.Context())
		pos.Partial = event.Partial{Rows: 40, Tx: "another:1", Print: 7}
		f.dst.cp = checkpoint.Checkpoint{Installation: "test", Pipeline: "p", Generation: 1, Term: 1, Position: pos}
		f.dst.own = f.dst.cp
		f.start(t)
		if err := <-f.result; resilience.CodeOf(err) != "partial_transaction_changed" {
			t.Errorf("got %v", err)
		}
		if len(f.dst.ids) != 0 || f.dst.cp.Position.Partial.Rows != 40 {
			t.Errorf("%d rows, stored %+v", len(f.dst.ids), f.dst.cp.Position)
		}
	})
}
