package cacheaside

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
)

// script is a script and the name by which Redis remembers it.
type script struct{ text, sha string }

func newScript(text string) script {
	sum := sha1.Sum([]byte(text))
	return script{text, hex.EncodeToString(sum[:])}
}

var (
	getOrLease = newScript(protocol.GetOrLeaseScript)
	fill       = newScript(protocol.FillScript)
	release    = newScript(protocol.ReleaseScript)
	readBeacon = newScript(protocol.BeaconScript)
)

// call does one round trip under a deadline, unless the breaker is open.
func (c *Cache) call(ctx context.Context, op string, do func(ctx context.Context) error) error {
	if !c.breaker.allow(time.Now()) {
		return errOpen
	}
	timed, cancel := context.WithTimeout(ctx, c.cfg.RedisTimeout)
	defer cancel()
	err := do(timed)
	switch {
	case ctx.Err() != nil && err != nil:
		c.breaker.dropped()
		return err
	case c.breaker.report(failure(ctx, err), time.Now()):
		c.stats.BreakerOpened.Add(1)
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		c.stats.RedisErrors.Add(1)
		c.cfg.OnError(op, err)
	}
	return err
}

// look reads the key, "" for none.
func (c *Cache) look(ctx context.Context, key string) (raw string, err error) {
	err = c.call(ctx, "GET", func(ctx context.Context) error {
		raw, err = c.rdb.Get(ctx, key).Result()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return raw, err
}

// ask runs GetOrLease; millis is the time of Redis where the reply is the
// caller's lease.
func (c *Cache) ask(ctx context.Context, key, token, generation string) (reply string, millis int64, err error) {
	err = c.call(ctx, "get_or_lease", func(ctx context.Context) error {
		values, err := c.run(ctx, getOrLease, key, token, c.cfg.Lease.Milliseconds(), generation).Slice()
		if err == nil {
			reply, millis, err = leaseReply(values)
		}
		return err
	})
	return reply, millis, err
}

var errReply = errors.New("get_or_lease: the reply has another shape than it should")

func leaseReply(values []any) (reply string, millis int64, err error) {
	if len(values) == 2 {
		raw, isText := values[0].(string)
		n, isNumber := values[1].(int64)
		if isText && isNumber {
			return raw, n, nil
		}
	}
	return "", 0, errReply
}

// fill stores the entry in place of the lease.
func (c *Cache) fill(ctx context.Context, key, token, entry string, ttl time.Duration) {
	err := c.call(ctx, "fill", func(ctx context.Context) error {
		n, err := c.run(ctx, fill, key, token, entry, ttl.Milliseconds()).Int()
		c.countFill(n, err)
		return err
	})
	if errors.Is(err, errOpen) {
		c.stats.FailedFills.Add(1)
	}
}

func (c *Cache) countFill(n int, err error) {
	switch {
	case err != nil:
		c.stats.FailedFills.Add(1)
	case n == 1:
		c.stats.Fills.Add(1)
	default:
		c.stats.RefusedFills.Add(1)
	}
}

// release gives the lease back. Should that fail, it ends by itself.
func (c *Cache) release(ctx context.Context, key, token string) {
	_ = c.call(ctx, "release", func(ctx context.Context) error {
		n, err := c.run(ctx, release, key, token).Int()
		c.stats.Released.Add(uint64(n))
		return err
	})
}

// run runs a script, with its text where Redis does not know it (any more).
func (c *Cache) run(ctx context.Context, s script, key string, args ...any) *redis.Cmd {
	cmd := c.rdb.EvalSha(ctx, s.sha, []string{key}, args...)
	if !redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return cmd
	}
	c.stats.ScriptReloads.Add(1)
	return c.rdb.Eval(ctx, s.text, []string{key}, args...)
}
