package cacheaside

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// beaconAge is how long what the beacon said is taken for true.
const beaconAge = 500 * time.Millisecond

// beacon is what is known of the daemon.
type beacon struct {
	mu    sync.Mutex
	stale bool
	until time.Time
}

func (b *beacon) get(now time.Time) (stale, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stale, now.Before(b.until)
}

func (b *beacon) set(stale bool, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stale, b.until = stale, until
}

// isStale is what was found last.
func (b *beacon) isStale() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stale
}

// stale reports whether the daemon is too far behind to trust what is cached. A
// beacon that is not there, or that knows no lag, tells nothing good.
func (c *Cache) stale(ctx context.Context) (stale bool, err error) {
	if c.cfg.Beacon == "" {
		return false, nil
	}
	asked := time.Now()
	stale, known := c.beacon.get(asked)
	if !known {
		if stale, err = c.askBeacon(ctx); err != nil {
			return false, err
		}
		c.beacon.set(stale, asked.Add(beaconAge))
	}
	if stale {
		c.stats.Stale.Add(1)
	}
	return stale, nil
}

func (c *Cache) askBeacon(ctx context.Context) (stale bool, err error) {
	err = c.call(ctx, "read beacon", func(ctx context.Context) error {
		// The read-only form asks for no right to write the daemon's key.
		keys := []string{c.cfg.Beacon}
		cmd := c.rdb.EvalShaRO(ctx, readBeacon.sha, keys)
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			c.stats.ScriptReloads.Add(1)
			cmd = c.rdb.EvalRO(ctx, readBeacon.text, keys)
		}
		values, err := cmd.Slice()
		stale = behind(values) > c.cfg.MaxStaleness
		return err
	})
	return stale, err
}

// unknown is further behind than any bound.
const unknown = time.Duration(1<<63 - 1)

// behind is how far behind the source the cache may be: what the daemon was
// behind when it wrote the beacon, and the time since, all by one clock.
func behind(reply []any) time.Duration {
	if len(reply) != 3 {
		return unknown
	}
	at, _ := reply[0].(string)
	lag, _ := reply[1].(string)
	now, ok := reply[2].(int64)
	written, err := strconv.ParseInt(at, 10, 64)
	late, lagErr := strconv.ParseInt(lag, 10, 64)
	if !ok || err != nil || lagErr != nil || late < 0 || written < 0 {
		return unknown
	}
	// A clock that was set back makes the beacon look newer, not older than now.
	millis := max(now-written, 0) + min(late, int64(365*24*time.Hour/time.Millisecond))
	return time.Duration(millis) * time.Millisecond
}
