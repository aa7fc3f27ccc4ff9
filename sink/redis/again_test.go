package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/source"
)

// view is a source that shows transactions up to a number.
type view struct {
	upTo  atomic.Uint64
	asked atomic.Int64
	mu    sync.Mutex
	err   error
}

func (v *view) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = err
}

func (v *view) Ask(context.Context) (source.Shown, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked.Add(1)
	return upTo(v.upTo.Load()), v.err
}

func (v *view) Close() error { return nil }

type upTo uint64

func (n upTo) End(end event.Coord) bool        { return end.Seq <= uint64(n) }
func (n upTo) Position(p *event.Position) bool { return p.Seq <= uint64(n) }

func newAgainRig(t *testing.T, o testenv.RedisOptions) (*rig, *view) {
	t.Helper()
	r, v := newRig(t, o), &view{}
	r.cfg.Watermark = v
	r.open()
	r.connect(1)
	return r, v
}

// begin sends a transaction without waiting for its acknowledgement.
func (r *rig) begin(keys ...string) <-chan error {
	r.t.Helper()
	r.seq++
	done := make(chan error, 1)
	r.sink.Send(r.ctx(), sink.Batch{Packed: pack(r.t, r.sink.Packer(), keys...), Ends: []event.Coord{eventtest.Tx(r.seq).End}, Newest: time.Now()}, true,
		func(_ sink.Ack, err error) { done <- err })
	return done
}

// await waits until something holds.
func (r *rig) await(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not so after 10 s", what)
		}
	}
}

// gone waits until the key is.
func (r *rig) gone(key string) {
	r.t.Helper()
	r.await(key+" is gone", func() bool { return len(r.there(key)) == 0 })
}

// TestDeletesAgain: what is filled between the first delete and the moment at
// which the change shows goes, too, and is not acknowledged before.
func TestDeletesAgain(t *testing.T) {
	r, v := newAgainRig(t, testenv.RedisOptions{})
	r.set("user:1", "user:2")
	done := r.begin("user:1")
	r.gone("user:1")
	r.set("user:1")            // the old row
	later := r.begin("user:2") // first deletes do not wait
	r.gone("user:2")
	r.await("readers see how far the deletes are", func() bool { return r.beacon()["seq"] == "2" })
	if b := r.beacon(); b["last"] != "0" || len(r.there("user:1")) != 1 {
		t.Errorf("beacon %v", b)
	}
	r.await("the wait is told", func() bool { return resilience.CodeOf(r.sink.Retrying()) == "not_shown" })
	select {
	case err := <-done:
		t.Fatalf("acknowledged (%v) before the change shows", err)
	default:
	}
	v.upTo.Store(2)
	if err := errors.Join(<-done, <-later, r.sink.Retrying()); err != nil {
		t.Fatal(err)
	}
	if have := r.there("user:1", "user:2"); len(have) != 0 || r.beacon()["last"] != "2" {
		t.Errorf("there are %v, beacon %v", have, r.beacon())
	}
	if err := r.sink.Close(r.ctx()); err != nil || r.seen.repeated != 2 || r.seen.refilled != 1 {
		t.Errorf("%+v, %v", r.seen, err)
	}
}

// TestDeletesOnceWhatShows: a reader of a log that is behind asks once.
func TestDeletesOnceWhatShows(t *testing.T) {
	r, v := newAgainRig(t, testenv.RedisOptions{})
	v.upTo.Store(1000)
	r.send("user:1")
	for range 100 {
		r.send("user:1", "user:2")
	}
	if err := r.sink.Close(r.ctx()); err != nil || r.seen.repeated > 1 || v.asked.Load() > 2 {
		t.Errorf("asked %d times, %+v, %v", v.asked.Load(), r.seen, err)
	}
}

// TestAnswerMayFail: an error that passes is waited out, another ends the line.
func TestAnswerMayFail(t *testing.T) {
	r, v := newAgainRig(t, testenv.RedisOptions{})
	v.upTo.Store(1)
	v.fail(resilience.Errorf(resilience.Transient, "away", "ask", "gone"))
	done := r.begin("user:1")
	r.await("the wait is told", func() bool { return r.sink.Retrying() != nil })
	v.fail(nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
	v.fail(resilience.Errorf(resilience.Fatal, "never", "ask", "no GTIDs"))
	if err := <-r.begin("user:2"); resilience.CodeOf(err) != "never" {
		t.Errorf("%v", err)
	}
}

// TestCloseDoesNotHangOnTheSource: batches that wait fail when the time is over.
func TestCloseDoesNotHangOnTheSource(t *testing.T) {
	r, _ := newAgainRig(t, testenv.RedisOptions{})
	done := r.begin("user:1")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.sink.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-done; resilience.ClassOf(err) != resilience.Transient {
		t.Errorf("%v", err)
	}
}

// TestLostRepeatsRewind: a dump from between the two deletes brings back what was
// filled there, though its beacon knew of the first.
func TestLostRepeatsRewind(t *testing.T) {
	r, v := newAgainRig(t, testenv.RedisOptions{AppendOnly: true})
	v.upTo.Store(1)
	r.send("user:0")
	done := r.begin("user:1")
	r.await("the first delete is told", func() bool { return r.beacon()["seq"] == "2" })
	r.set("user:1")
	dump, err := r.server.Dump(r.ctx())
	if err != nil {
		t.Fatal(err)
	}
	v.upTo.Store(2)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.cp.Position = r.cp.Position.Clone()
	r.cp.Position.Advance(eventtest.Tx(2).End)
	if err := r.server.RestartFrom(r.ctx(), dump); err != nil {
		t.Fatal(err)
	}
	r.connect(2)
	if r.seen.rewound != 1 || r.seq > 1 || len(r.there("user:1")) != 1 {
		t.Fatalf("goes on from transaction %d, rewound %d times", r.seq, r.seen.rewound)
	}
	for r.seq < 2 {
		r.send("user:1")
	}
	if len(r.there("user:1")) != 0 {
		t.Error("the entry is still there")
	}
}

// TestStartWaitsForItsPlaceToShow: else a flush is followed by fills that are
// older than the start.
func TestStartWaitsForItsPlaceToShow(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	v := &view{}
	r.cfg.Watermark, r.cfg.OnGap = v, FlushPrefix
	r.open()
	r.set("user:1")
	cp := at(1, 5, 50)
	cp.Installation, cp.Pipeline = "test", "p"
	if _, err := r.sink.Connect(r.ctx(), 1, r.cp); err != nil {
		t.Fatal(err)
	}
	began := make(chan error, 1)
	go func() { began <- r.sink.Begin(r.ctx(), cp) }()
	r.await("it asks", func() bool { return v.asked.Load() > 2 })
	if len(r.there("user:1")) != 1 {
		t.Error("flushed too early")
	}
	v.upTo.Store(5)
	if err := <-began; err != nil || len(r.there("user:1")) != 0 {
		t.Errorf("not flushed, %v", err)
	}
}

// TestAgainInParts goes through batches that end inside a transaction.
func TestAgainInParts(t *testing.T) {
	parts := func(a *again, n, keys int) {
		for range n {
			u := &unit{keys: newKeyset()}
			for i := range keys {
				u.keys.add(fmt.Appendf(nil, "key %020d", i))
			}
			a.add(item{unit: u, open: true, before: a.shown})
		}
	}
	end := func(a *again, seq uint64) {
		a.add(item{unit: &unit{keys: newKeyset()}, ends: []event.Coord{{Seq: seq}}, before: a.shown})
	}
	repeats := func(a *again) (n int) {
		for i := range a.items[:a.ready] {
			if a.items[i].repeat {
				n++
			}
		}
		return n
	}
	a := &again{shown: upTo(1)}
	parts(a, 3, 1)
	if a.update() || a.ready != 0 {
		t.Error("parts are ready before the end is known")
	}
	end(a, 2)
	if a.update() || a.ready != 0 {
		t.Error("parts are ready before the end shows")
	}
	a.shown = upTo(2)
	parts(a, 1, 1)
	end(a, 3)
	if a.update() || a.ready != 4 || repeats(a) != 3 {
		t.Errorf("%d are ready, %d to repeat", a.ready, repeats(a))
	}
	a.pop(4)
	a.shown = upTo(3)
	if a.update() || a.ready != 2 || repeats(a) != 1 {
		t.Errorf("%d are ready, %d to repeat", a.ready, repeats(a))
	}
	if a.pop(2); a.kept != 0 || len(a.items) != 0 {
		t.Errorf("%d bytes are kept, %d items", a.kept, len(a.items))
	}

	parts(a, 30, 50_000) // more than is kept
	if a.kept > keptOpen || !slices.ContainsFunc(a.items, func(it item) bool { return it.dropped }) {
		t.Errorf("%d bytes are kept", a.kept)
	}
	end(a, 3)
	if a.update() || a.ready != len(a.items) || repeats(a) != 0 {
		t.Error("what showed before is read again")
	}
	a.pop(a.ready)
	parts(a, 30, 50_000)
	end(a, 4)
	if a.update() {
		t.Error("read again before it shows")
	}
	a.shown = upTo(4)
	if !a.update() {
		t.Error("keys that were not kept are not deleted again")
	}
}

// part sends one more batch of a transaction that goes on, or its end.
func (r *rig) part(open bool, keys ...string) <-chan error {
	r.t.Helper()
	b := sink.Batch{Packed: pack(r.t, r.sink.Packer(), keys...), Open: open}
	if !open {
		b.Ends = []event.Coord{eventtest.Tx(r.seq + 1).End}
	}
	done := make(chan error, 1)
	r.sink.Send(r.ctx(), b, true, func(_ sink.Ack, err error) { done <- err })
	return done
}

// TestTransactionLargerThanMemoryIsReadAgain: its keys are not kept. It ends the
// line when it shows at last; then it is known to.
func TestTransactionLargerThanMemoryIsReadAgain(t *testing.T) {
	r, v := newAgainRig(t, testenv.RedisOptions{})
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%060d", i)
	}
	all := func() error {
		for range 4 {
			if err := <-r.part(true, keys...); err != nil { // before the change shows
				t.Fatal(err)
			}
		}
		end := r.part(false, "user:1")
		r.gone("user:1")
		r.set(keys[7]) // the old row
		v.upTo.Store(1)
		return <-end
	}
	r.set("user:1")
	if err := all(); resilience.CodeOf(err) != "transaction_again" || resilience.ClassOf(err) != resilience.Transient {
		t.Fatalf("%v", err)
	}
	r.connect(2)
	if have := r.there(keys[7]); len(have) != 1 || r.seq != 0 {
		t.Fatalf("there are %v, transaction %d", have, r.seq)
	}
	for range 4 {
		if err := <-r.part(true, keys...); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-r.part(false, "user:1"); err != nil || len(r.there(keys[7])) != 0 {
		t.Errorf("%v", err)
	}
}
