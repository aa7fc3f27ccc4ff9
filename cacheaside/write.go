package cacheaside

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
)

// Invalidate deletes the keys now, so that the caller, and readers after it, see
// what it has committed. It is a help: the daemon deletes them in any case, also
// if this returns an error.
func (c *Cache) Invalidate(ctx context.Context, keys ...Key) error {
	err := c.each(ctx, "invalidate", keys, func(p redis.Pipeliner, k Key) { p.Unlink(ctx, k.name) })
	c.forget(keys)
	if err == nil {
		c.stats.Invalidations.Add(uint64(len(keys)))
	}
	return err
}

// Write is a write under way.
type Write struct {
	cache *Cache
	keys  []Key
}

// BeginWrite keeps readers of the keys from filling until End, at most for
// Config.HoldOff: call it before the commit. Readers load meanwhile, and are
// told to read the primary. An error may be ignored: the daemon deletes what
// readers fill too early.
func (c *Cache) BeginWrite(ctx context.Context, keys ...Key) (*Write, error) {
	held := protocol.Entry{Kind: protocol.HoldOff}.String()
	err := c.each(ctx, "begin_write", keys, func(p redis.Pipeliner, k Key) { p.Set(ctx, k.name, held, c.cfg.HoldOff) })
	c.forget(keys)
	return &Write{c, keys}, err
}

// forget keeps readers from joining what began before: it may have read what
// was there before, in Redis or in the database.
func (c *Cache) forget(keys []Key) {
	for _, k := range keys {
		c.flights.forget(k.name, nil)
	}
}

// End deletes the keys: call it after the commit, or the rollback.
func (w *Write) End(ctx context.Context) error { return w.cache.Invalidate(ctx, w.keys...) }

// each sends one command a key.
func (c *Cache) each(ctx context.Context, op string, keys []Key, add func(redis.Pipeliner, Key)) error {
	if len(keys) == 0 {
		return nil
	}
	return c.call(ctx, op, func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, k := range keys {
				add(p, k)
			}
			return nil
		})
		return err
	})
}
