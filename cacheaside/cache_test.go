package cacheaside

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
)

type user struct{ ID, Version int }

var users = MustTemplate("user:{id}", "shop.users")

// rig is a server and a cache on it.
type rig struct {
	*testing.T
	server *testenv.Redis
	rdb    *redis.Client
	cache  *Cache
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	server := testenv.ForTest(t).Redis(testenv.RedisOptions{})
	r := &rig{T: t, server: server, rdb: server.Client()}
	r.cache = r.another(change...)
	return r
}

// another is a cache of another process: a client of its own.
func (r *rig) another(change ...func(*Config)) *Cache {
	r.Helper()
	cfg := DefaultConfig()
	cfg.RedisTimeout, cfg.GenerationAge = time.Second, 0
	for _, f := range change {
		f(&cfg)
	}
	rdb := r.server.Dial(&redis.Options{})
	r.Cleanup(func() { rdb.Close() })
	c, err := New(rdb, cfg)
	r.must(err)
	return c
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) key(id int) Key {
	r.Helper()
	k, err := users.Key(id)
	r.must(err)
	return k
}

// load returns a loader of a user, which counts.
func load(v user, count *atomic.Int64) func(context.Context, LoadInfo) (user, bool, error) {
	return func(context.Context, LoadInfo) (user, bool, error) {
		count.Add(1)
		return v, v.ID != 0, nil
	}
}

func (r *rig) get(c *Cache, id int, l func(context.Context, LoadInfo) (user, bool, error)) (user, Meta) {
	r.Helper()
	v, meta, err := Get(r.Context(), c, r.key(id), l)
	r.must(err)
	return v, meta
}

func (r *rig) raw(key string) string {
	r.Helper()
	v, err := r.rdb.Get(r.Context(), key).Result()
	if err != redis.Nil {
		r.must(err)
	}
	return v
}

func TestMissFillsAndHits(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	if v, meta := r.get(r.cache, 7, load(user{7, 1}, &n)); v != (user{7, 1}) || meta != (Meta{Found: true, Loaded: true}) {
		t.Errorf("%+v, %+v", v, meta)
	}
	v, meta := r.get(r.another(), 7, load(user{7, 2}, &n))
	if v != (user{7, 1}) || !meta.Hit || meta.Loaded || n.Load() != 1 || time.Since(meta.LeasedAt).Abs() > time.Minute {
		t.Errorf("%+v, %+v after %d loads", v, meta, n.Load())
	}
	if ttl := r.rdb.PTTL(t.Context(), "user:7").Val(); ttl <= 50*time.Minute || ttl > time.Hour {
		t.Errorf("lives %s", ttl)
	}
	e := protocol.Parse(r.raw("user:7"))
	if e.Kind != protocol.Value || e.Payload != `{"ID":7,"Version":1}` || e.Generation != r.raw("gen:{shop.users}") || e.Version != protocol.NoVersion {
		t.Errorf("%+v", e)
	}
	if ttl := r.rdb.PTTL(t.Context(), "gen:{shop.users}").Val(); ttl <= 0 {
		t.Error("the generation has no time to live")
	}
}

func TestNoSuchRowIsAnAnswer(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	for i := range 2 {
		if _, meta := r.get(r.cache, 7, load(user{}, &n)); meta.Found || meta.Hit != (i == 1) {
			t.Errorf("%+v", meta)
		}
	}
	if ttl := r.rdb.PTTL(t.Context(), "user:7").Val(); n.Load() != 1 || ttl > time.Minute || ttl <= 0 {
		t.Errorf("%d loads, lives %s", n.Load(), ttl)
	}
	none := r.another(func(c *Config) { c.NegativeTTL = 0 })
	for range 2 {
		r.get(none, 8, load(user{}, &n))
	}
	if n.Load() != 3 || r.raw("user:8") != "" || none.Stats().Released.Load() != 2 {
		t.Errorf("%d loads, %q", n.Load(), r.raw("user:8"))
	}
}

// TestDeleteVoidsAFillUnderWay is the race that plain SET loses: also where the
// delete finds no value, only the lease.
func TestDeleteVoidsAFillUnderWay(t *testing.T) {
	r := newRig(t)
	v, meta := r.get(r.cache, 7, func(ctx context.Context, info LoadInfo) (user, bool, error) {
		if !info.Filled {
			t.Error("not to be filled")
		}
		return user{7, 1}, true, r.rdb.Unlink(ctx, "user:7").Err() // the row was committed, and the daemon is fast
	})
	if v.Version != 1 || !meta.Loaded || r.raw("user:7") != "" || r.cache.Stats().RefusedFills.Load() != 1 {
		t.Errorf("%+v, %+v, %q", v, meta, r.raw("user:7"))
	}
	var n atomic.Int64
	if v, _ := r.get(r.cache, 7, load(user{7, 2}, &n)); v.Version != 2 {
		t.Errorf("%+v", v)
	}
}

func TestReadersWaitForALease(t *testing.T) {
	r := newRig(t)
	other := r.another(func(c *Config) {
		c.Wait = 10 * time.Second
		c.Lease = 30 * time.Second
		c.LoadTimeout = 20 * time.Second
	})
	var n atomic.Int64
	began, finish := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		r.get(r.cache, 7, func(context.Context, LoadInfo) (user, bool, error) {
			close(began)
			<-finish
			return user{7, 1}, true, nil
		})
	})
	<-began
	wg.Go(func() {
		if v, meta := r.get(other, 7, load(user{7, 2}, &n)); v.Version != 1 || !meta.Hit || n.Load() != 0 {
			t.Errorf("%+v, %+v", v, meta)
		}
	})
	for other.Stats().Waits.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	// One that does not want to wait loads, and fills nothing.
	hasty := r.another(func(c *Config) { c.Wait = 0 })
	var own atomic.Int64
	if v, meta := r.get(hasty, 7, load(user{7, 3}, &own)); v.Version != 3 || !meta.Loaded || hasty.Stats().WaitedOut.Load() != 1 {
		t.Errorf("%+v, %+v", v, meta)
	}
	if protocol.Parse(r.raw("user:7")).Kind != protocol.Lease {
		t.Errorf("%q", r.raw("user:7"))
	}
	close(finish)
	wg.Wait()
}

func TestLeaseGoesWhenTheLoadFails(t *testing.T) {
	r := newRig(t)
	broken := errors.New("no such table")
	_, _, err := Get(t.Context(), r.cache, r.key(7), func(context.Context, LoadInfo) (user, bool, error) { return user{}, false, broken })
	if !errors.Is(err, broken) || r.raw("user:7") != "" {
		t.Errorf("%v, %q", err, r.raw("user:7"))
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		r.get(r.cache, 7, func(context.Context, LoadInfo) (user, bool, error) { panic("bug") })
	}()
	if r.raw("user:7") != "" || r.cache.Stats().Released.Load() != 2 {
		t.Errorf("%q", r.raw("user:7"))
	}
	_, _, err = Get(t.Context(), r.another(func(c *Config) { c.LoadTimeout = 10 * time.Millisecond }), r.key(7),
		func(ctx context.Context, _ LoadInfo) (user, bool, error) {
			<-ctx.Done()
			return user{}, false, ctx.Err()
		})
	if !errors.Is(err, context.DeadlineExceeded) || r.raw("user:7") != "" {
		t.Errorf("%v, %q", err, r.raw("user:7"))
	}
}

func TestHoldOffKeepsReadersFromFilling(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	r.get(r.cache, 7, load(user{7, 1}, &n))
	w, err := r.cache.BeginWrite(t.Context(), r.key(7))
	r.must(err)
	if ttl := r.rdb.PTTL(t.Context(), "user:7").Val(); ttl <= 0 || ttl > 5*time.Second {
		t.Errorf("the hold-off lives %s", ttl)
	}
	for range 2 {
		v, meta := r.get(r.another(), 7, func(_ context.Context, info LoadInfo) (user, bool, error) {
			if !info.PrimaryOnly || info.Filled {
				t.Errorf("%+v", info)
			}
			return user{7, 1}, true, nil
		})
		if !meta.Loaded || v.Version != 1 {
			t.Errorf("%+v, %+v", v, meta)
		}
	}
	r.must(w.End(t.Context()))
	if v, meta := r.get(r.cache, 7, load(user{7, 2}, &n)); v.Version != 2 || !meta.Loaded {
		t.Errorf("%+v, %+v", v, meta)
	}
}

func TestGenerationMakesAllEntriesMisses(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	for id := range 3 {
		r.get(r.cache, id+1, load(user{id + 1, 1}, &n))
	}
	old := r.raw("gen:{shop.users}")
	r.must(r.rdb.Unlink(t.Context(), "gen:{shop.users}").Err()) // what the daemon does for TRUNCATE
	for id := range 3 {
		if v, meta := r.get(r.cache, id+1, load(user{id + 1, 2}, &n)); v.Version != 2 || !meta.Loaded {
			t.Errorf("%+v, %+v", v, meta)
		}
	}
	if now := r.raw("gen:{shop.users}"); now == old || len(now) != protocol.TokenLen || r.cache.Stats().OldGeneration.Load() != 3 {
		t.Errorf("generation %q, then %q", old, now)
	}
	// Who still knows the old one asks again before it replaces an entry.
	slow := r.another(func(c *Config) { c.GenerationAge = time.Second })
	slow.gens.set("gen:{shop.users}", old, time.Now().Add(time.Hour))
	if v, meta := r.get(slow, 1, load(user{1, 3}, &n)); v.Version != 2 || !meta.Hit {
		t.Errorf("%+v, %+v", v, meta)
	}
	// A fill under an old generation is nobody's hit.
	r.get(r.cache, 9, func(ctx context.Context, _ LoadInfo) (user, bool, error) {
		return user{9, 1}, true, r.rdb.Unlink(ctx, "gen:{shop.users}").Err()
	})
	if v, meta := r.get(r.cache, 9, load(user{9, 2}, &n)); v.Version != 2 || !meta.Loaded {
		t.Errorf("%+v, %+v", v, meta)
	}
	r.must(r.rdb.Set(t.Context(), "gen:{shop.users}", "5", 0).Err())
	if _, meta := r.get(r.cache, 1, load(user{1, 4}, &n)); !meta.Loaded || len(r.raw("gen:{shop.users}")) != protocol.TokenLen {
		t.Errorf("%+v, %q", meta, r.raw("gen:{shop.users}"))
	}
}

func TestForgottenScriptsAreSentAgain(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	for id := 1; id <= 2; id++ {
		r.must(r.rdb.ScriptFlush(t.Context()).Err())
		r.get(r.cache, id, func(ctx context.Context, _ LoadInfo) (user, bool, error) {
			return user{id, 1}, true, r.rdb.ScriptFlush(ctx).Err()
		})
		if _, meta := r.get(r.cache, id, load(user{id, 2}, &n)); !meta.Hit {
			t.Errorf("%+v", meta)
		}
	}
	if got := r.cache.Stats().ScriptReloads.Load(); got != 4 {
		t.Errorf("%d reloads", got)
	}
}

func TestEntriesOfOthersAreLeftAlone(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	r.must(r.rdb.Set(t.Context(), "user:1", "something else", time.Minute).Err())
	r.must(r.rdb.HSet(t.Context(), "user:2", "a", "b").Err())
	for id := 1; id <= 2; id++ {
		if _, meta := r.get(r.cache, id, load(user{id, 1}, &n)); !meta.Loaded {
			t.Errorf("%+v", meta)
		}
	}
	if r.raw("user:1") != "something else" || r.rdb.Type(t.Context(), "user:2").Val() != "hash" || r.cache.breaker.open() {
		t.Error("it was touched")
	}
	// Bytes of the protocol that the codec does not know are replaced.
	generation, err := r.cache.generation(t.Context(), r.key(3), false)
	r.must(err)
	r.must(r.rdb.Set(t.Context(), "user:3", protocol.Entry{Kind: protocol.Value, Generation: generation, Payload: "{{"}.String(), time.Minute).Err())
	if v, meta := r.get(r.cache, 3, load(user{3, 1}, &n)); v.Version != 1 || !meta.Loaded {
		t.Errorf("%+v, %+v", v, meta)
	}
	if _, meta := r.get(r.cache, 3, load(user{3, 2}, &n)); !meta.Hit || r.cache.Stats().Undecodable.Load() != 1 {
		t.Errorf("%+v", meta)
	}
}

func TestValuesThatCannotBeStored(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxValue = 20 })
	for range 2 {
		v, meta, err := Get(t.Context(), r.cache, r.key(1), func(context.Context, LoadInfo) (string, bool, error) { return strings.Repeat("x", 50), true, nil })
		if err != nil || len(v) != 50 || !meta.Loaded || r.raw("user:1") != "" {
			t.Errorf("%q, %+v, %v", v, meta, err)
		}
	}
	_, _, err := Get(t.Context(), r.cache, r.key(1), func(context.Context, LoadInfo) (chan int, bool, error) { return make(chan int), true, nil })
	if resilience.CodeOf(err) != CodeBadValue || r.raw("user:1") != "" {
		t.Error(err)
	}
	r.must(r.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	var n atomic.Int64
	if _, meta := r.get(r.cache, 2, load(user{2, 1}, &n)); !meta.Loaded || r.cache.breaker.open() {
		t.Errorf("without memory: %+v", meta)
	}
}

func TestReadersOfOneProcessShareALoad(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	began, finish := make(chan struct{}), make(chan struct{})
	slow := func(context.Context, LoadInfo) (user, bool, error) {
		if n.Add(1) == 1 {
			close(began)
			<-finish
		}
		return user{7, int(n.Load())}, true, nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.get(r.cache, 7, slow) })
	<-began
	var shared atomic.Int64
	for range 20 {
		wg.Go(func() {
			if v, meta := r.get(r.cache, 7, slow); v.Version == 1 && meta.Shared {
				shared.Add(1)
			}
		})
	}
	// A reader that gives up leaves the others alone.
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := Get(short, r.cache, r.key(7), slow); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(finish)
	wg.Wait()
	if n.Load() != 1 || shared.Load()+int64(r.cache.Stats().Hits.Load()) != 20 {
		t.Errorf("%d loads, %d shared", n.Load(), shared.Load())
	}
}

func TestALeaderThatGaveUpTakesNobodyWithIt(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := Get(ctx, r.cache, r.key(7), func(ctx context.Context, _ LoadInfo) (user, bool, error) {
			close(began)
			<-ctx.Done()
			return user{}, false, ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-began
	var n atomic.Int64
	wg.Go(func() {
		if v, _ := r.get(r.cache, 7, load(user{7, 2}, &n)); v.Version != 2 {
			t.Errorf("%+v", v)
		}
	})
	cancel()
	wg.Wait()
}

func TestAReaderSeesWhatItInvalidated(t *testing.T) {
	r := newRig(t)
	var version atomic.Int64
	version.Store(1)
	read, finish := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		r.get(r.cache, 7, func(context.Context, LoadInfo) (user, bool, error) {
			v := user{7, int(version.Load())}
			close(read)
			<-finish
			return v, true, nil
		})
	})
	<-read
	version.Store(2) // the commit
	r.must(r.cache.Invalidate(t.Context(), r.key(7)))
	v, _ := r.get(r.cache, 7, func(context.Context, LoadInfo) (user, bool, error) { return user{7, int(version.Load())}, true, nil })
	if v.Version != 2 {
		t.Errorf("after its own write: %+v", v)
	}
	close(finish)
	wg.Wait()
	var n atomic.Int64
	if v, meta := r.get(r.cache, 7, load(user{}, &n)); v.Version != 2 || !meta.Hit {
		t.Errorf("%+v, %+v", v, meta)
	}
}

func TestNoFillGoesPastTheCache(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	r.get(r.cache, 7, load(user{7, 1}, &n))
	ctx := NoFill(t.Context())
	v, meta, err := Get(ctx, r.cache, r.key(7), load(user{7, 2}, &n))
	if err != nil || v.Version != 2 || meta.Hit {
		t.Errorf("%+v, %+v, %v", v, meta, err)
	}
	m, err := GetMulti(ctx, r.cache, []Key{r.key(7), r.key(8)}, loadMany(&n, 3))
	if err != nil || m["user:7"].Version != 3 || r.raw("user:8") != "" {
		t.Errorf("%+v, %v", m, err)
	}
	if v, _ := r.get(r.cache, 7, load(user{7, 4}, &n)); v.Version != 1 {
		t.Errorf("%+v", v)
	}
}

// loadMany loads users with odd or small ids; others do not exist.
func loadMany(n *atomic.Int64, version int) func(context.Context, []Key, LoadInfo) (map[string]user, error) {
	return func(_ context.Context, keys []Key, _ LoadInfo) (map[string]user, error) {
		n.Add(1)
		m := map[string]user{}
		for _, k := range keys {
			id, _ := strconv.Atoi(strings.TrimPrefix(k.String(), "user:"))
			if id < 100 {
				m[k.String()] = user{id, version}
			}
		}
		return m, nil
	}
}

func TestManyKeysAtOnce(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	r.get(r.cache, 1, load(user{1, 1}, &n))
	r.get(r.cache, 2, load(user{}, &n))
	r.must(r.rdb.Set(t.Context(), "user:3", protocol.Entry{Kind: protocol.Lease, Token: "somebody"}.String(), time.Minute).Err())
	r.must(r.rdb.Set(t.Context(), "user:4", protocol.Entry{Kind: protocol.HoldOff}.String(), time.Minute).Err())
	r.must(r.rdb.HSet(t.Context(), "user:5", "a", "b").Err())
	r.must(r.rdb.ScriptFlush(t.Context()).Err())
	n.Store(0)
	keys := []Key{r.key(1), r.key(2), r.key(3), r.key(4), r.key(5), r.key(6), r.key(6), r.key(100)}
	var asked []string
	m, err := GetMulti(t.Context(), r.cache, keys, func(ctx context.Context, keys []Key, info LoadInfo) (map[string]user, error) {
		for _, k := range keys {
			asked = append(asked, k.String())
		}
		if !info.PrimaryOnly || !info.Filled {
			t.Errorf("%+v", info)
		}
		return loadMany(&n, 2)(ctx, keys, info)
	})
	r.must(err)
	if want := []string{"user:3", "user:4", "user:5", "user:6", "user:100"}; !slices.Equal(asked, want) || n.Load() != 1 {
		t.Errorf("loaded %v, want %v", asked, want)
	}
	if len(m) != 5 || m["user:1"].Version != 1 || m["user:6"] != (user{6, 2}) || m["user:3"].Version != 2 {
		t.Errorf("%+v", m)
	}
	if protocol.Parse(r.raw("user:6")).Kind != protocol.Value || protocol.Parse(r.raw("user:100")).Kind != protocol.Negative || r.raw("user:3") != "Lsomebody" {
		t.Errorf("%q, %q, %q", r.raw("user:6"), r.raw("user:100"), r.raw("user:3"))
	}
	if _, err := GetMulti(t.Context(), r.cache, []Key{r.key(1), r.key(6), r.key(100)}, loadMany(&n, 3)); err != nil || n.Load() != 1 {
		t.Errorf("%d loads, %v", n.Load(), err)
	}
	broken := errors.New("no such table")
	_, err = GetMulti(t.Context(), r.cache, []Key{r.key(7), r.key(8)}, func(context.Context, []Key, LoadInfo) (map[string]user, error) { return nil, broken })
	if !errors.Is(err, broken) || r.raw("user:7") != "" || r.raw("user:8") != "" {
		t.Errorf("%v, %q", err, r.raw("user:7"))
	}
	r.must(r.rdb.Unlink(t.Context(), "gen:{shop.users}").Err())
	if m, err := GetMulti(t.Context(), r.cache, []Key{r.key(1), r.key(6)}, loadMany(&n, 4)); err != nil || m["user:1"].Version != 4 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestClusterKeysLiveWhereTheyBelong(t *testing.T) {
	cluster := testenv.ForTest(t).RedisCluster(testenv.RedisClusterOptions{})
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs(), ContextTimeoutEnabled: true})
	defer rdb.Close()
	cfg := DefaultConfig()
	cfg.RedisTimeout = time.Second
	c, err := New(rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var keys []Key
	for id := range 30 {
		k, _ := users.Key(id + 1)
		keys = append(keys, k)
	}
	var n atomic.Int64
	for i := range 2 {
		m, err := GetMulti(t.Context(), c, keys, loadMany(&n, 1))
		if err != nil || len(m) != 30 || n.Load() != 1 {
			t.Fatalf("round %d: %d rows, %d loads, %v", i, len(m), n.Load(), err)
		}
	}
	if err := c.Invalidate(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	v, meta, err := Get(t.Context(), c, keys[6], load(user{7, 2}, &n))
	if err != nil || v.Version != 2 || !meta.Loaded {
		t.Errorf("%+v, %+v, %v", v, meta, err)
	}
	if got := c.Stats().Fills.Load(); got != 31 || c.Stats().RedisErrors.Load() != 0 {
		t.Errorf("%d fills, %d errors", got, c.Stats().RedisErrors.Load())
	}
}

// TestAnAccountWithTheDocumentedRights: docs/operations.md lists them.
func TestAnAccountWithTheDocumentedRights(t *testing.T) {
	server := testenv.ForTest(t).Redis(testenv.RedisOptions{Users: map[string]string{
		"default": "off", "app": "on >secret ~gen:* ~user:* +hello +select +get +set +unlink +del +pttl +time +evalsha +eval" +
			" %R~cdcd:beacon:* +hmget +evalsha_ro +eval_ro",
	}})
	rdb := server.Dial(&redis.Options{Username: "app", Password: "secret"})
	defer rdb.Close()
	cfg := DefaultConfig()
	cfg.RedisTimeout = time.Second
	cfg.OnError = func(op string, err error) { t.Errorf("%s: %v", op, err) }
	cfg.Beacon, cfg.ServeStale = "cdcd:beacon:cdcd:shop-cache", true
	c, err := New(rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	k, _ := users.Key(7)
	for range 2 {
		if _, _, err := Get(t.Context(), c, k, load(user{7, 1}, &n)); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = Get(t.Context(), c, k, load(user{7, 1}, &n))
	w, begun := c.BeginWrite(t.Context(), k)
	if err := errors.Join(err, begun, w.End(t.Context())); err != nil || n.Load() != 1 {
		t.Error(err, n.Load())
	}
	_, err = GetMulti(t.Context(), c, []Key{k}, func(context.Context, []Key, LoadInfo) (map[string]user, error) { return nil, errors.New("x") })
	if err == nil || c.Stats().Released.Load() != 1 {
		t.Error(err)
	}
}

func ExampleGet() {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true})
	defer rdb.Close()
	cache, err := New(rdb, DefaultConfig())
	if err != nil {
		panic(err)
	}
	key, err := users.Key(7)
	if err != nil {
		panic(err)
	}
	v, meta, err := Get(context.Background(), cache, key, func(ctx context.Context, info LoadInfo) (user, bool, error) {
		// SELECT version FROM users WHERE id = 7, on a connection of its own.
		return user{ID: 7, Version: 1}, true, nil
	})
	fmt.Println(v, meta.Found, err)
}
