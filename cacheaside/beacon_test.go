package cacheaside

import (
	"sync/atomic"
	"testing"
	"time"
)

func TestBehind(t *testing.T) {
	const now = int64(1767323045600)
	for _, c := range []struct {
		time, lag any
		want      time.Duration
	}{
		{"1767323045600", "0", 0}, {"1767323044600", "500", 1500 * time.Millisecond}, {"1767323099999", "5", 5 * time.Millisecond},
		{"", "", unknown}, {"1767323045600", "-1", unknown}, {"1767323045600", "", unknown}, {"x", "0", unknown}, {nil, "0", unknown},
	} {
		if got := behind([]any{c.time, c.lag, now}); got != c.want {
			t.Errorf("written at %v, %v behind: %s, want %s", c.time, c.lag, got, c.want)
		}
	}
	if behind(nil) != unknown || behind([]any{"1", "1", "1"}) != unknown {
		t.Error("a reply of another shape")
	}
}

// TestADaemonThatIsBehindIsNotTrusted: what is cached stays unread, and loads are
// as limited as without Redis.
func TestADaemonThatIsBehindIsNotTrusted(t *testing.T) {
	const key = "cdcd:beacon:cdcd:shop-cache"
	look := func(c *Config) { c.Beacon, c.MaxStaleness = key, time.Minute }
	r := newRig(t, look)
	beacon := func(age time.Duration, lag int) {
		now, err := r.rdb.Time(t.Context()).Result()
		r.must(err)
		r.must(r.rdb.HSet(t.Context(), key, "v", "1", "time", now.Add(-age).UnixMilli(), "lag", lag).Err())
	}
	for _, c := range []struct {
		name  string
		write func()
		stale bool
	}{
		{"fresh", func() { beacon(0, 200) }, false},
		{"not written for long", func() { beacon(2*time.Minute, 0) }, true},
		{"far behind", func() { beacon(0, 120_000) }, true},
		{"unknown", func() { beacon(0, -1) }, true},
		{"gone", func() { r.unlink(key) }, true},
	} {
		c.write()
		cache, trusting := r.another(look), r.another(look, func(c *Config) { c.ServeStale = true })
		var n atomic.Int64
		r.get(r.another(), 1, load(user{1, 1}, &n)) // cached before
		_, meta := r.get(cache, 1, load(user{1, 2}, &n))
		m, err := GetMulti(t.Context(), cache, []Key{r.key(1)}, loadMany(&n, 2))
		r.must(err)
		if meta.Hit == c.stale || (m["user:1"].Version == 1) == c.stale || (cache.Stats().Stale.Load() == 2) != c.stale {
			t.Errorf("%s: %+v, %+v", c.name, meta, m)
		}
		if _, meta := r.get(trusting, 1, load(user{1, 2}, &n)); !meta.Hit || meta.Stale != c.stale {
			t.Errorf("%s, served all the same: %+v", c.name, meta)
		}
		if cache.beacon.isStale() != c.stale {
			t.Errorf("%s: limits are those of another state", c.name)
		}
	}
}
