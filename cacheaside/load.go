package cacheaside

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
)

// LoadInfo tells a loader what it has to know.
type LoadInfo struct {
	// PrimaryOnly: a write is under way that a replica may not have. Read the
	// primary.
	PrimaryOnly bool
	// Filled says that what is loaded will be stored.
	Filled bool
}

// loader loads one or many; it returns encoded values.
type loader func(ctx context.Context, info LoadInfo) (payload []byte, found bool, err error)

// lease is the right to fill one key.
type lease struct {
	token, generation string
	millis            int64     // the time of Redis when it was taken
	until             time.Time // when the load must have ended
}

// loadAndFill loads under the lease and stores what comes.
func (c *Cache) loadAndFill(ctx context.Context, key Key, l lease, load loader) (result, error) {
	// A lease that nobody fills any more makes others wait.
	keep := context.WithoutCancel(ctx)
	filled := false
	defer func() {
		if !filled {
			c.release(keep, key.name, l.token)
		}
	}()
	r, err := c.load(ctx, key, l.until, LoadInfo{Filled: true}, load)
	if err != nil {
		return r, err
	}
	if entry, ttl := c.entry(l, r); ttl > 0 {
		filled = true
		c.fill(keep, key.name, l.token, entry, ttl)
	}
	return r, nil
}

// entry is what is stored of a result, and for how long; 0 for not at all.
func (c *Cache) entry(l lease, r result) (string, time.Duration) {
	e := protocol.Entry{Kind: protocol.Negative, Generation: l.generation, Millis: l.millis}
	if !r.meta.Found {
		return e.String(), c.jittered(c.cfg.NegativeTTL)
	}
	if len(r.payload) > c.cfg.MaxValue {
		c.stats.TooLarge.Add(1)
		return "", 0
	}
	e.Kind, e.Payload = protocol.Value, string(r.payload)
	return e.String(), c.jittered(c.cfg.TTL)
}

// jittered is d less a random part of it, at least a millisecond unless it is 0.
func (c *Cache) jittered(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	return max(d-time.Duration(rand.Float64()*c.cfg.Jitter*float64(d)), time.Millisecond)
}

// loadOnly loads and stores nothing.
func (c *Cache) loadOnly(ctx context.Context, key Key, info LoadInfo, load loader) (result, error) {
	return c.load(ctx, key, time.Now().Add(c.cfg.LoadTimeout), info, load)
}

// load runs the loader of one key.
func (c *Cache) load(ctx context.Context, key Key, until time.Time, info LoadInfo, load loader) (result, error) {
	var r result
	err := c.limited(ctx, key, until, func(ctx context.Context) (err error) {
		r.payload, r.meta.Found, err = load(ctx, info)
		return err
	})
	if err != nil {
		return result{}, err
	}
	r.meta.Loaded = true
	return r, nil
}

// limited runs a load when it is its turn; key is one that it is for.
func (c *Cache) limited(ctx context.Context, key Key, until time.Time, load func(context.Context) error) error {
	limit := c.cfg.MaxLoads
	if c.breaker.open() || c.beacon.isStale() && !c.cfg.ServeStale {
		limit = c.cfg.MaxLoadsDown
	}
	timed, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if err := c.loads.acquire(timed, limit); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.stats.Overloaded.Add(1)
		return overloaded(key, "no turn to load", err)
	}
	defer c.loads.release()
	c.stats.Loads.Add(1)
	err := load(timed)
	if err != nil {
		c.stats.LoadErrors.Add(1)
	}
	return err
}
