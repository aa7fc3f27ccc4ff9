package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

func newCacheRig(t *testing.T, o CacheOptions) (*CacheRig, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	r, err := NewCacheRig(ctx, testenv.ForTest(t).Env, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if t.Failed() && r.Daemon.cmd != nil {
			t.Logf("end of the daemon's log:\n%s", r.Daemon.Log())
		}
	})
	r.mustStart(t)
	must(t, r.AwaitState(ctx, "running"))
	return r, ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bystander is an entry of a row that nobody changes.
const bystander = "user:0"

// awaitClean waits until no entry is left that a change made stale.
func (r *CacheRig) awaitClean(ctx context.Context, t *testing.T) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	err := Eventually(limited, "stale entries to go", func() (bool, error) {
		keys, err := r.Entries(ctx)
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == bystander })
		if err == nil && len(keys) > 0 {
			err = fmt.Errorf("%d are left, such as %v", len(keys), keys[:min(len(keys), 5)])
		}
		return err == nil, err
	})
	must(t, err)
}

// TestCacheKeepsNothingStale strikes daemon and Redis while rows change. What was
// cached before a change must be gone in the end, and nothing else.
func TestCacheKeepsNothingStale(t *testing.T) {
	for _, f := range testenv.Flavors {
		t.Run(f.String(), func(t *testing.T) {
			r, ctx := newCacheRig(t, CacheOptions{Flavor: f, Redis: testenv.RedisOptions{AppendOnly: true}})
			must(t, r.Redis.Client().Set(ctx, bystander, "v", 0).Err())
			r.latency(ctx, t)

			w := &cacheWriters{rig: r}
			writing, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- w.run(writing, 3) }()
			r.strike(ctx, t, w)
			stop()
			must(t, <-ended)

			r.awaitClean(ctx, t)
			if n, err := r.Redis.Client().Exists(ctx, bystander).Result(); n != 1 || err != nil {
				t.Errorf("the entry of a row that did not change is gone (%v)", err)
			}
			r.loseWhileIdle(ctx, t)
			log := r.fullLog(t)
			if !strings.Contains(log, "Redis has lost acknowledged deletes") {
				t.Error("the daemon did not notice the old dump")
			}
			if strings.Contains(log, "may have missed a delete") {
				t.Error("the daemon saw a gap where there was none")
			}
			t.Logf("%d changes, %d entries cached before them", w.changed.Load(), w.cached.Load())
			must(t, r.Daemon.Stop(ctx))
		})
	}
}

// strike does to daemon and Redis what happens to them over the years.
func (r *CacheRig) strike(ctx context.Context, t *testing.T, w *cacheWriters) {
	t.Helper()
	const some = 150 // changes between two strikes
	must(t, w.await(ctx, some))
	r.Daemon.Kill()
	before := w.cached.Load()
	must(t, w.await(ctx, some))
	if keys, err := r.Entries(ctx); err != nil || len(keys) < 10 || w.cached.Load() == before {
		t.Fatalf("without the daemon there are %d entries (%v): this test would not see a stale one", len(keys), err)
	}
	r.mustStart(t)
	must(t, w.await(ctx, some))

	must(t, r.Redis.Kill())
	must(t, w.await(ctx, some))
	must(t, r.Redis.Restart(ctx))
	must(t, w.await(ctx, some))

	dump, err := r.Redis.Dump(ctx)
	must(t, err)
	seq := r.beaconSeq(ctx, t)
	must(t, w.await(ctx, some))
	// Only what the stored checkpoint covers would be lost without the beacon.
	must(t, r.await(ctx, "checkpoint to be behind the dump", func(p PipelineStatus) bool { return p.Seq > seq+some }))
	must(t, r.Redis.RestartFrom(ctx, dump))
	must(t, w.await(ctx, some))

	must(t, r.Redis.Freeze())
	must(t, w.await(ctx, some/10)) // each waits for Redis in vain
	r.Daemon.Kill()
	must(t, r.Redis.Thaw())
	r.mustStart(t)
	must(t, w.await(ctx, some))
}

// loseWhileIdle brings an entry back whose delete was acknowledged, when no change
// follows that could show it.
func (r *CacheRig) loseWhileIdle(ctx context.Context, t *testing.T) {
	t.Helper()
	must(t, r.DB.Exec(ctx, "REPLACE INTO shop.users VALUES (-1, 'idle', '1')"))
	must(t, r.AwaitCaughtUp(ctx))
	must(t, r.Redis.Client().Set(ctx, "user:-1", "v", 0).Err())
	dump, err := r.Redis.Dump(ctx)
	must(t, err)
	must(t, r.DB.Exec(ctx, "UPDATE shop.users SET name = '2' WHERE id = -1"))
	must(t, r.AwaitCaughtUp(ctx)) // the stored checkpoint too
	r.awaitClean(ctx, t)
	must(t, r.Redis.RestartFrom(ctx, dump))
	r.awaitClean(ctx, t)
}

func (r *CacheRig) beaconSeq(ctx context.Context, t *testing.T) uint64 {
	t.Helper()
	n, err := r.Redis.Client().HGet(ctx, "cdcd:beacon:cdcd:shop-cache", "seq").Uint64()
	must(t, err)
	return n
}

// latency measures, from a commit's acknowledgement to the moment at which the
// key is seen to be gone. It depends on the machine and is only told.
func (r *CacheRig) latency(ctx context.Context, t *testing.T) {
	t.Helper()
	conn, err := r.DB.Conn(ctx, "shop")
	must(t, err)
	defer conn.Close()
	const id = 1_000_000_000
	_, err = conn.Execute(fmt.Sprintf("INSERT INTO users VALUES (%d, 'latency', '')", id))
	must(t, err)
	key := fmt.Sprintf("user:%d", id)
	var took []time.Duration
	for i := range 300 {
		must(t, r.Redis.Client().Set(ctx, key, "v", 0).Err())
		_, err := conn.Execute(fmt.Sprintf("UPDATE users SET name = '%d' WHERE id = %d", i, id))
		must(t, err)
		for committed := time.Now(); ; {
			n, err := r.Redis.Client().Exists(ctx, key).Result()
			must(t, err)
			if n == 0 {
				took = append(took, time.Since(committed))
				break
			}
			if time.Since(committed) > awaitLimit {
				t.Fatalf("change %d: the key is still there", i)
			}
		}
	}
	slices.Sort(took)
	t.Logf("commit → key gone, one change at a time: p50 %v, p99 %v, most %v", took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}
