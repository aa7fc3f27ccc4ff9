package cacheaside

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
	"github.com/cdcd-io/cdcd/resilience"
)

// Meta tells where an answer comes from.
type Meta struct {
	Found  bool // false: the database has no such row
	Hit    bool // from Redis
	Loaded bool // from the database, by this call or by one it shared
	Shared bool // another reader of this process did the work
	// Stale: the daemon is further behind the source than Config.MaxStaleness, or
	// nothing is known of it (with Config.ServeStale).
	Stale bool
	// LeasedAt is when the load of a hit began, by the clock of Redis; zero where
	// not known.
	LeasedAt time.Time
}

// result is an answer before it is decoded.
type result struct {
	payload []byte
	meta    Meta
}

// Get returns the value of the key, from the cache or from the loader, which
// says false for a row that does not exist. Readers of one key in one process
// share one load; each decodes a value of its own.
func Get[T any](ctx context.Context, c *Cache, key Key, load func(context.Context, LoadInfo) (T, bool, error)) (T, Meta, error) {
	encoded := func(ctx context.Context, info LoadInfo) ([]byte, bool, error) {
		v, found, err := load(ctx, info)
		if err != nil || !found {
			return nil, false, err
		}
		b, err := c.encode(key, v)
		return b, true, err
	}
	var v T
	r, err := c.get(ctx, key, encoded)
	if err != nil || !r.meta.Found {
		return v, r.meta, err
	}
	err = c.cfg.Codec.Unmarshal(r.payload, &v)
	if err != nil && r.meta.Hit {
		v = *new(T)
		if r, err = c.replace(ctx, key, encoded); err != nil || !r.meta.Found {
			return v, r.meta, err
		}
		err = c.cfg.Codec.Unmarshal(r.payload, &v)
	}
	if err != nil {
		err = badValue(key, "the codec does not read back what it wrote", err)
	}
	return v, r.meta, err
}

func (c *Cache) encode(key Key, v any) ([]byte, error) {
	b, err := c.cfg.Codec.Marshal(v)
	if err != nil {
		return nil, badValue(key, "the codec refuses the value", err)
	}
	return b, nil
}

func badValue(key Key, what string, err error) error {
	return resilience.Errorf(resilience.Fatal, CodeBadValue, "cache value", "%s: %w", what, err).
		WithPlace("%s", key).WithHint("mend the type, or give Config.Codec one that fits it")
}

// replace reads anew what the codec could not read: of another release, say.
func (c *Cache) replace(ctx context.Context, key Key, load loader) (result, error) {
	c.stats.Undecodable.Add(1)
	if err := c.Invalidate(ctx, key); err != nil {
		return c.loadOnly(ctx, key, LoadInfo{}, load)
	}
	r, err := c.get(ctx, key, load)
	if r.meta.Hit {
		return c.loadOnly(ctx, key, LoadInfo{}, load)
	}
	return r, err
}

func (c *Cache) get(ctx context.Context, key Key, load loader) (result, error) {
	if isNoFill(ctx) {
		return c.loadOnly(ctx, key, LoadInfo{}, load)
	}
	for {
		f, leader := c.flights.join(key.name)
		if leader {
			return c.lead(ctx, key, f, load)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return result{}, context.Cause(ctx)
		}
		if !f.gaveUp {
			c.stats.Shared.Add(1)
			r := f.result
			r.meta.Shared = true
			return r, f.err
		}
	}
}

// lead works for everybody who joined the flight.
func (c *Cache) lead(ctx context.Context, key Key, f *flight, load loader) (result, error) {
	f.gaveUp = true // should the loader panic
	defer c.flights.finish(key.name, f)
	f.result, f.err = c.read(ctx, key, load)
	f.gaveUp = f.err != nil && ctx.Err() != nil
	return f.result, f.err
}

// read takes the steps of the protocol until there is an answer.
func (c *Cache) read(ctx context.Context, key Key, load loader) (result, error) {
	r := reading{cache: c, key: key, waitUntil: time.Now().Add(c.cfg.Wait)}
	step, err := r.begin(ctx)
	for err == nil {
		switch step {
		case protocol.Serve:
			hit := c.hit(r.raw)
			hit.meta.Stale = r.stale
			return hit, nil
		case protocol.Ask:
			step, err = r.ask(ctx)
		case protocol.Wait:
			step, err = r.wait(ctx)
		case protocol.Load:
			c.stats.Misses.Add(1)
			return c.loadAndFill(ctx, key, r.lease, load)
		default:
			return c.loadOnly(ctx, key, r.info(), load)
		}
	}
	if ctx.Err() != nil {
		return result{}, context.Cause(ctx)
	}
	c.stats.Bypassed.Add(1)
	return c.loadOnly(ctx, key, LoadInfo{}, load)
}

// hit is the answer of an entry.
func (c *Cache) hit(raw string) result {
	e := protocol.Parse(raw)
	r := result{payload: []byte(e.Payload), meta: Meta{Hit: true, Found: e.Kind == protocol.Value}}
	if e.Millis > 0 {
		r.meta.LeasedAt = time.UnixMilli(e.Millis)
	}
	if r.meta.Found {
		c.stats.Hits.Add(1)
	} else {
		c.stats.NegativeHits.Add(1)
	}
	return r
}

// reading is one reader on its way.
type reading struct {
	cache      *Cache
	key        Key
	raw        string // the entry as last seen
	generation string
	lease      lease
	stale      bool // the daemon is behind
	waitUntil  time.Time
	waited     bool
	pause      time.Duration
}

// begin looks at the entry. One of another generation may be newer than what is
// known of that, so it is asked for again before the entry counts as old.
func (r *reading) begin(ctx context.Context) (protocol.Step, error) {
	var err error
	if r.stale, err = r.cache.stale(ctx); err != nil {
		return 0, err
	}
	if r.stale && !r.cache.cfg.ServeStale {
		return protocol.LoadOnly, nil
	}
	if r.generation, err = r.cache.generation(ctx, r.key, false); err != nil {
		return 0, err
	}
	step, err := r.look(ctx)
	if err != nil || step != protocol.Ask || r.raw == "" {
		return step, err
	}
	if r.generation, err = r.cache.generation(ctx, r.key, true); err != nil {
		return 0, err
	}
	if step = protocol.AfterLook(r.raw, r.generation); step == protocol.Ask {
		r.cache.stats.OldGeneration.Add(1)
	}
	return step, nil
}

func (r *reading) look(ctx context.Context) (step protocol.Step, err error) {
	r.raw, err = r.cache.look(ctx, r.key.name)
	return protocol.AfterLook(r.raw, r.generation), err
}

// ask takes a lease, or learns who was faster.
func (r *reading) ask(ctx context.Context) (step protocol.Step, err error) {
	c := r.cache
	token, until := protocol.NewToken(), time.Now().Add(c.cfg.LoadTimeout)
	var millis int64
	if r.raw, millis, err = c.ask(ctx, r.key.name, token, r.generation); err != nil {
		return 0, err
	}
	step = protocol.AfterAsk(r.raw, token, r.generation)
	if step == protocol.Load {
		r.lease = lease{token, r.generation, millis, until}
	}
	return step, nil
}

// Pauses of a reader that waits: they double from one to the other.
const (
	minPause = 2 * time.Millisecond
	maxPause = 32 * time.Millisecond
)

// wait pauses and looks again, or gives up.
func (r *reading) wait(ctx context.Context) (protocol.Step, error) {
	if !r.waited {
		r.waited = true
		r.cache.stats.Waits.Add(1)
	}
	left := time.Until(r.waitUntil)
	if left <= 0 {
		r.cache.stats.WaitedOut.Add(1)
		return protocol.LoadOnly, nil
	}
	r.pause = min(max(2*r.pause, minPause), maxPause)
	timer := time.NewTimer(min(left, r.pause/2+rand.N(r.pause)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return r.look(ctx)
	case <-ctx.Done():
		return 0, errors.Join(context.Cause(ctx), ctx.Err())
	}
}

// info is for a load that is not stored.
func (r *reading) info() LoadInfo {
	switch protocol.Parse(r.raw).Kind {
	case protocol.HoldOff:
		r.cache.stats.HeldOff.Add(1)
		return LoadInfo{PrimaryOnly: true}
	case protocol.Unknown:
		r.cache.stats.Foreign.Add(1)
	}
	return LoadInfo{}
}
