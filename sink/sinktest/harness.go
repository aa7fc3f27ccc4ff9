package sinktest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// Harness is one empty destination and the ways to reach and to hurt it.
type Harness struct {
	// Open returns a sink on the destination as a new process would, after the
	// end of the last one.
	Open func() sink.Sink
	// Read returns the values of all records that a reader sees, in an order
	// that keeps that of each key.
	Read func() []string
	// Break makes the destination fail deliveries until heal is called.
	Break func() (heal func())
	// Stall makes the destination hang until resume is called.
	Stall func() (resume func())
	// Replays says that a restart may deliver once more what came after the
	// checkpoint. Else every change must be there exactly once.
	Replays bool
	// Keys says that the sink delivers keys only. The suite puts what it looks for
	// into the keys then, and Read returns those.
	Keys bool
}

// patience bounds every wait of the suite.
const patience = 30 * time.Second

// Names of whoever the suite pretends to be.
const (
	Installation = "sinktest"
	Pipeline     = "p"
)

// Keys is how many keys the suite's rows spread over.
const keys = 3

// value is what a record of the suite holds.
type value struct {
	ID int    `json:"id"`
	N  uint64 `json:"n"` // number of the transaction
	I  int    `json:"i"` // number of the row in it
}

// run is one life of a sink and what the suite knows of it.
type run struct {
	t       *testing.T
	h       Harness
	s       sink.Sink
	packer  sink.Packer
	routes  *format.Routes
	cp      checkpoint.Checkpoint
	seq     uint64 // of the last transaction sent
	tracker *checkpoint.Tracker

	mu    sync.Mutex
	acks  []ack // by batch
	ended chan struct{}
}

type ack struct {
	times int
	err   error
}

func newRun(t *testing.T, h Harness, cp checkpoint.Checkpoint) *run {
	t.Helper()
	r := &run{t: t, h: h, s: h.Open(), routes: new(format.Routes), cp: cp}
	t.Cleanup(func() { r.close() })
	r.packer = r.s.Packer()
	r.connect()
	return r
}

// connect starts a line where the sink says, or at the beginning.
func (r *run) connect() {
	r.t.Helper()
	cp, err := r.tryConnect()
	if err != nil {
		r.t.Fatalf("connect: %v", err)
	}
	if cp.IsZero() {
		cp = start()
		if err := r.s.Begin(r.ctx(), cp); err != nil {
			r.t.Fatalf("begin: %v", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cp, r.seq, r.acks = cp, cp.Position.Seq, nil
	r.tracker = checkpoint.NewTracker(cp.Position.Clone(), cp.Sink)
}

var lastTerm struct {
	sync.Mutex
	n uint64
}

// nextTerm rises from connect to connect, as that of a process that runs alone.
func nextTerm() uint64 {
	lastTerm.Lock()
	defer lastTerm.Unlock()
	lastTerm.n++
	return lastTerm.n
}

func (r *run) tryConnect() (checkpoint.Checkpoint, error) {
	cp, err := r.s.Connect(r.ctx(), nextTerm(), r.cp)
	for deadline := time.Now().Add(patience); resilience.ClassOf(err) == resilience.Transient && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond) // pace of the retry, not a wait for a condition
		cp, err = r.s.Connect(r.ctx(), nextTerm(), r.cp)
	}
	return cp, err
}

func start() checkpoint.Checkpoint {
	return checkpoint.Checkpoint{
		Installation: Installation, Pipeline: Pipeline, Generation: 1, Term: 1,
		Position: event.Position{Flavor: event.MySQL, Server: "s", File: *eventtest.Tx(1).End.File, Offset: 4, GTIDs: event.NewGTIDSet(event.MySQL)},
		Saved:    time.Unix(1767225600, 0).UTC(),
	}
}

func (r *run) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	r.t.Cleanup(cancel)
	return ctx
}

// pieces returns the next transaction, cut into pieces of perPiece rows.
func (r *run) pieces(rows, perPiece int) []*event.Piece {
	r.seq++
	all := make([]eventtest.Row, rows)
	for i := range all {
		all[i] = eventtest.Insert(eventtest.Orders(), eventtest.Int(int64(i)), eventtest.Null())
	}
	return eventtest.Pieces(eventtest.Tx(r.seq), perPiece, all...)
}

// pack packs the pieces as a worker would; nil is that of a heartbeat.
func (r *run) pack(pieces ...*event.Piece) sink.Batch {
	r.t.Helper()
	var b sink.Batch
	for _, p := range pieces {
		r.packer.Start(p)
		if p == nil {
			continue
		}
		for i := range p.Events {
			for row := range p.Events[i].Rows {
				r.emit(p, p.Events[i].Ordinal+uint64(row))
				b.Records++
			}
		}
		if b.Open = !p.Last; p.Last {
			b.Ends = append(b.Ends, p.Tx.End)
		}
	}
	packed, err := r.packer.Pack()
	if err != nil {
		r.t.Fatalf("pack: %v", err)
	}
	b.Packed, b.Bytes = packed, packed.Bytes()
	return b
}

func (r *run) emit(p *event.Piece, ordinal uint64) {
	r.t.Helper()
	v := value{ID: int(p.Tx.End.Seq) % keys, N: p.Tx.End.Seq, I: int(ordinal)}
	text, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	rec := format.Record{
		Route: r.routes.Topic("shop.orders"), Key: fmt.Appendf(nil, `{"id":%d}`, v.ID), Value: text,
		Millis: p.Tx.Commit.UnixMilli(), Ordinal: ordinal + 1, Part: 1, Parts: 1,
	}
	if r.h.Keys {
		rec.Key, rec.Value = text, nil
	}
	if err := r.packer.Emit(&rec); err != nil {
		r.t.Fatalf("emit: %v", err)
	}
	// The bytes are the encoder's again; it writes over them.
	clear(rec.Key)
	clear(rec.Value)
}

// send sends a batch and follows its fate.
func (r *run) send(ctx context.Context, b sink.Batch, idle bool) int {
	r.mu.Lock()
	i := len(r.acks)
	r.acks = append(r.acks, ack{})
	ticket, tracker := r.tracker.Add(b.Ends, b.Open), r.tracker
	r.mu.Unlock()
	r.s.Send(ctx, b, idle, func(a sink.Ack, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if tracker != r.tracker {
			r.t.Error("a batch of an earlier line was done after the line's end")
			return
		}
		r.acks[i].times++
		r.acks[i].err = err
		if err == nil && r.acks[i].times == 1 {
			tracker.Done(ticket, a.State)
		}
		if r.ended != nil {
			select {
			case r.ended <- struct{}{}:
			default:
			}
		}
	})
	return i
}

// sendTxs sends n transactions of one row, one a batch.
func (r *run) sendTxs(n int) {
	r.t.Helper()
	for i := range n {
		r.send(r.ctx(), r.pack(r.pieces(1, 1)...), i == n-1)
	}
}

// wait waits until every batch sent is done and returns the first error.
func (r *run) wait() error {
	r.t.Helper()
	r.mu.Lock()
	r.ended = make(chan struct{}, 1)
	r.mu.Unlock()
	timeout := time.After(patience)
	for {
		pending, err := r.pending()
		if pending == 0 {
			return err
		}
		select {
		case <-r.ended:
		case <-timeout:
			r.t.Fatalf("%d batches are not done after %s", pending, patience)
		}
	}
}

func (r *run) pending() (n int, first error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.acks {
		if a.times == 0 {
			n++
		}
		if first == nil {
			first = a.err
		}
	}
	return n, first
}

// delivered waits and wants every batch delivered, each once.
func (r *run) delivered() {
	r.t.Helper()
	if err := r.wait(); err != nil {
		r.t.Fatalf("delivery: %v", err)
	}
	r.once()
}

func (r *run) once() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, a := range r.acks {
		if a.times != 1 {
			r.t.Errorf("batch %d was done %d times", i, a.times)
		}
	}
}

// safe is the checkpoint that the pipeline would store now.
func (r *run) safe() checkpoint.Checkpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	cp := r.cp
	cp.Position, cp.Sink, _ = r.tracker.Safe()
	return cp
}

func (r *run) close() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.s.Close(ctx); err != nil {
		r.t.Errorf("close: %v", err)
	}
}

// wantAll wants the rows of transactions 1 to n, rows(n) each, in order per
// key, each once (or, where the sink replays, at least once and in order).
func (r *run) wantAll(n uint64, rows func(n uint64) int) {
	r.t.Helper()
	got := r.h.Read()
	byKey := make([][]value, keys)
	for _, text := range got {
		var v value
		if err := json.Unmarshal([]byte(text), &v); err != nil || v.ID < 0 || v.ID >= keys {
			r.t.Fatalf("read %q: %v", text, err)
		}
		byKey[v.ID] = append(byKey[v.ID], v)
	}
	for id, list := range byKey {
		r.wantKey(id, list, n, rows)
	}
}

func (r *run) wantKey(id int, got []value, n uint64, rows func(uint64) int) {
	r.t.Helper()
	var want []value
	for seq := uint64(1); seq <= n; seq++ {
		for i := 0; int(seq)%keys == id && i < rows(seq); i++ {
			want = append(want, value{ID: id, N: seq, I: i})
		}
	}
	next := 0
	for _, v := range got {
		switch {
		case next < len(want) && v == want[next]:
			next++
		case r.h.Replays && next > 0 && contains(want[:next], v):
			next = index(want, v) + 1 // a replay begins here
		default:
			r.t.Fatalf("key %d: read %+v, want number %d of %+v", id, v, next, want)
		}
	}
	if next != len(want) {
		r.t.Fatalf("key %d: read %d rows, want %d", id, next, len(want))
	}
}

func contains(list []value, v value) bool { return index(list, v) >= 0 }

func index(list []value, v value) int {
	for i := range list {
		if list[i] == v {
			return i
		}
	}
	return -1
}

func oneRow(uint64) int { return 1 }
