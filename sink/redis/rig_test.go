package redis

import (
	"context"
	"os"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/sink"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// rig is a sink before a server of its own.
type rig struct {
	t      *testing.T
	server *testenv.Redis
	cfg    Config
	sink   *Sink
	cp     checkpoint.Checkpoint
	seq    uint64
	seen   seen
}

// seen counts what the observer is told.
type seen struct{ loaded, rewound, gaps, flushed, repeated, refilled int }

func newRig(t *testing.T, o testenv.RedisOptions) *rig {
	t.Helper()
	r := &rig{t: t, server: testenv.ForTest(t).Redis(o)}
	r.cfg = DefaultConfig()
	r.cfg.Addrs = []string{r.server.Addr()}
	r.cfg.Keys = []cachekey.Rule{{Table: "shop.users", Key: "user:{id}"}}
	r.cfg.Installation, r.cfg.Pipeline = "test", "p"
	r.cfg.RequestTimeout, r.cfg.DialTimeout = 2*time.Second, 2*time.Second
	r.open()
	return r
}

// open makes a sink as a new process would.
func (r *rig) open() {
	r.sink = New(r.cfg, Observer{
		ScriptLoaded: func() { r.seen.loaded++ },
		Rewound:      func(uint64, uint64) { r.seen.rewound++ },
		Repeated:     func(keys, existed int) { r.seen.repeated += keys; r.seen.refilled += existed },
		Gap:          func(_ OnGap, keys int) { r.seen.gaps++; r.seen.flushed += keys },
	})
	s := r.sink
	r.t.Cleanup(func() { _ = s.Close(context.Background()) })
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	r.t.Cleanup(cancel)
	return ctx
}

// connect goes on from what is stored, or begins.
func (r *rig) connect(term uint64) {
	r.t.Helper()
	if err := r.tryConnect(term); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tryConnect(term uint64) error {
	cp, err := r.sink.Connect(r.ctx(), term, r.cp)
	if err != nil {
		return err
	}
	if cp.IsZero() {
		cp = checkpoint.Checkpoint{
			Installation: "test", Pipeline: "p", Generation: 1, Term: term, Saved: time.Unix(1767225600, 0).UTC(),
			Position: event.Position{Flavor: event.MySQL, Server: "s", File: *eventtest.Tx(1).End.File, Offset: 4, GTIDs: event.NewGTIDSet(event.MySQL)},
		}
		if err := r.sink.Begin(r.ctx(), cp); err != nil {
			return err
		}
	}
	r.cp, r.seq = cp, cp.Position.Seq
	return nil
}

// send delivers a transaction that makes keys stale, and moves what is stored.
func (r *rig) send(keys ...string) {
	r.t.Helper()
	if err := r.trySend(keys...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) trySend(keys ...string) error {
	r.t.Helper()
	tx := eventtest.Tx(r.seq + 1)
	done := make(chan error, 1)
	r.sink.Send(r.ctx(), sink.Batch{Packed: pack(r.t, r.sink.Packer(), keys...), Ends: []event.Coord{tx.End}, Newest: time.Now()}, true,
		func(_ sink.Ack, err error) { done <- err })
	err := <-done
	if err == nil {
		r.seq++
		r.cp.Position = r.cp.Position.Clone()
		r.cp.Position.Advance(tx.End)
	}
	return err
}

func pack(t testing.TB, p sink.Packer, keys ...string) sink.Packed {
	t.Helper()
	p.Start(nil)
	for _, k := range keys {
		if err := p.Emit(&format.Record{Route: &format.Route{Topic: "user:{id}"}, Key: []byte(k)}); err != nil {
			t.Fatal(err)
		}
	}
	u, err := p.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (r *rig) set(keys ...string) {
	r.t.Helper()
	for _, k := range keys {
		if err := r.server.Client().Set(r.ctx(), k, "v", 0).Err(); err != nil {
			r.t.Fatal(err)
		}
	}
}

// there tells which of the keys the server has.
func (r *rig) there(keys ...string) (have []string) {
	r.t.Helper()
	for _, k := range keys {
		n, err := r.server.Client().Exists(r.ctx(), k).Result()
		if err != nil {
			r.t.Fatal(err)
		}
		if n == 1 {
			have = append(have, k)
		}
	}
	return have
}

// beacon is what readers see of it.
func (r *rig) beacon() map[string]string {
	r.t.Helper()
	b, err := r.server.Client().HGetAll(r.ctx(), BeaconKey("test", "p")).Result()
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) do(args ...any) {
	r.t.Helper()
	if err := r.server.Client().Do(r.ctx(), args...).Err(); err != nil && err != goredis.Nil {
		r.t.Fatal(err)
	}
}
