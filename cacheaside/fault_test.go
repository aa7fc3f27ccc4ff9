package cacheaside

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

func TestReadersGoOnWithoutRedis(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.RedisTimeout, c.BreakerFailures, c.BreakerPause = 200*time.Millisecond, 3, 100*time.Millisecond
	})
	var n atomic.Int64
	r.get(r.cache, 1, load(user{1, 1}, &n))
	r.must(r.server.Kill())
	for id := range 10 {
		if v, meta := r.get(r.cache, id+1, load(user{id + 1, 2}, &n)); v.Version != 2 || !meta.Loaded {
			t.Errorf("%+v, %+v", v, meta)
		}
	}
	s := r.cache.Stats()
	if s.Bypassed.Load() != 10 || s.BreakerOpened.Load() != 1 {
		t.Errorf("%d past it, opened %d times", s.Bypassed.Load(), s.BreakerOpened.Load())
	}
	if err := r.cache.Invalidate(t.Context(), r.key(1)); err == nil {
		t.Error("a delete that nobody took was told as done")
	}
	if _, err := GetMulti(t.Context(), r.cache, []Key{r.key(1), r.key(2)}, loadMany(&n, 3)); err != nil {
		t.Error(err)
	}
	r.must(r.server.Restart(t.Context()))
	for hit := false; !hit; { // until a trial goes through
		_, meta := r.get(r.cache, 5, load(user{5, 3}, &n))
		hit = meta.Hit
	}
}

// TestAFrozenRedisCostsLittle: each of the first readers waits for one round
// trip, then nobody does.
func TestAFrozenRedisCostsLittle(t *testing.T) {
	const timeout = 50 * time.Millisecond
	r := newRig(t, func(c *Config) { c.RedisTimeout, c.BreakerFailures, c.BreakerPause = timeout, 3, time.Hour })
	var n atomic.Int64
	r.get(r.cache, 1, load(user{1, 1}, &n))
	r.must(r.server.Freeze())
	defer r.server.Thaw()
	began := time.Now()
	for range 200 {
		r.get(r.cache, 1, load(user{1, 2}, &n))
	}
	if took := time.Since(began); n.Load() != 201 || took < 3*timeout || took > 20*timeout {
		t.Errorf("%d loads in %s", n.Load(), took)
	}
}

// TestADeadCacheIsNoDeadDatabase: with Redis away a herd meets a limit, and what
// exceeds it fails soon and by name.
func TestADeadCacheIsNoDeadDatabase(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.BreakerFailures, c.BreakerPause = 1, time.Hour
		c.MaxLoads, c.MaxLoadsDown, c.MaxQueue, c.QueueWait = 50, 4, 20, 50*time.Millisecond
	})
	var n, running, most, refused atomic.Int64
	r.must(r.server.Kill())
	r.get(r.cache, 1, load(user{1, 1}, &n))
	finish := make(chan struct{})
	var wg sync.WaitGroup
	for id := range 200 {
		wg.Go(func() {
			_, _, err := Get(t.Context(), r.cache, r.key(id+1), func(context.Context, LoadInfo) (user, bool, error) {
				most.Store(max(most.Load(), running.Add(1)))
				<-finish
				running.Add(-1)
				return user{id, 1}, true, nil
			})
			if resilience.CodeOf(err) == CodeOverloaded && resilience.ClassOf(err) == resilience.Transient {
				refused.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	for refused.Load() < 196 {
		time.Sleep(time.Millisecond)
	}
	close(finish)
	wg.Wait()
	if most.Load() != 4 || refused.Load() != 196 || r.cache.Stats().Overloaded.Load() != 196 {
		t.Errorf("%d at once, %d refused", most.Load(), refused.Load())
	}
}
