package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/sink"
)

// benchKeys is how many keys one batch of BenchmarkCatchUp has.
const benchKeys = 4096

// BenchmarkCatchUp deletes as much as the sink takes, packing included. An
// operation is a batch of benchKeys keys; beside it, bare UNLINKs of as many keys.
func BenchmarkCatchUp(b *testing.B) {
	env, err := testenv.Open(b.TempDir(), b.Output())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = env.Close() })
	server, err := env.Redis(b.Context(), testenv.RedisOptions{})
	if err != nil {
		b.Fatal(err)
	}
	keys := make([][]byte, benchKeys)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "user:%d", i)
	}
	b.Run("sink", func(b *testing.B) { catchUp(b, server, keys) })
	b.Run("bare", func(b *testing.B) { bare(b, server, keys) })
}

func catchUp(b *testing.B, server *testenv.Redis, keys [][]byte) {
	cfg := DefaultConfig()
	cfg.Addrs, cfg.Installation, cfg.Pipeline = []string{server.Addr()}, "bench", b.Name()
	cfg.Keys = []cachekey.Rule{{Table: "shop.users", Key: "user:{id}"}}
	s := New(cfg, Observer{})
	ctx := context.Background()
	if _, err := s.Connect(ctx, uint64(time.Now().UnixMilli()), at(1, 0, 4)); err != nil {
		b.Fatal(err)
	}
	packer, r := s.Packer(), record()
	const inFlight = 16 // batches, so that the rest behind the last one does not count
	acks := make(chan error, inFlight)
	sent := uint64(0)
	for b.Loop() {
		for _, r.Key = range keys {
			_ = packer.Emit(r)
		}
		packed, _ := packer.Pack()
		if sent++; sent > inFlight {
			acked(b, acks)
		}
		s.Send(ctx, sink.Batch{Packed: packed, Ends: []event.Coord{eventtest.Tx(sent).End}}, false, func(_ sink.Ack, err error) { acks <- err })
	}
	if err := s.Close(ctx); err != nil {
		b.Fatal(err)
	}
	for range min(sent, inFlight) {
		acked(b, acks)
	}
	b.ReportMetric(benchKeys*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}

func acked(b *testing.B, acks <-chan error) {
	if err := <-acks; err != nil {
		b.Fatal(err)
	}
}

// bare is the same with the client library alone: 500 keys a command, in one
// pipeline a batch.
func bare(b *testing.B, server *testenv.Redis, keys [][]byte) {
	for b.Loop() {
		pipe := server.Client().Pipeline()
		for i := 0; i < len(keys); i += 500 {
			args := []any{"unlink"}
			for _, k := range keys[i:min(len(keys), i+500)] {
				args = append(args, k)
			}
			pipe.Do(b.Context(), args...)
		}
		if _, err := pipe.Exec(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(benchKeys*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}
