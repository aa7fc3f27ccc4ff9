package cacheaside

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/resilience"
)

// Cache reads through Redis. It is safe for concurrent use and needs no Close;
// the Redis client stays the caller's.
type Cache struct {
	rdb     redis.UniversalClient
	cfg     Config
	breaker breaker
	loads   limiter
	flights flights
	gens    generations
	beacon  beacon
	stats   Stats
}

// New returns a cache on the client, which must have ContextTimeoutEnabled and
// must read masters only. It sends nothing.
func New(rdb redis.UniversalClient, cfg Config) (*Cache, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := checkClient(rdb); err != nil {
		return nil, err
	}
	return &Cache{
		rdb: rdb, cfg: cfg,
		breaker: breaker{failures: cfg.BreakerFailures, pause: cfg.BreakerPause},
		loads:   limiter{maxQueue: cfg.MaxQueue, wait: cfg.QueueWait},
	}, nil
}

func checkClient(rdb redis.UniversalClient) error {
	bad := func(cause, hint string) error {
		return resilience.Errorf(resilience.Fatal, CodeBadClient, "make cache", "%s", cause).WithHint("%s", hint)
	}
	timeouts := false
	switch c := rdb.(type) {
	case *redis.Client:
		timeouts = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		timeouts = c.Options().ContextTimeoutEnabled
		if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return bad("the client reads replicas, which know of deletes later", "leave out ReadOnly, RouteByLatency and RouteRandomly")
		}
	default:
		return bad("the client is neither a redis.Client nor a redis.ClusterClient", "a ring that loses a server revives old entries: use one server, Sentinel or a cluster")
	}
	if !timeouts {
		return bad("the client does not keep deadlines", "set ContextTimeoutEnabled: true in its options")
	}
	return nil
}

// Stats returns the counters, which go on counting.
func (c *Cache) Stats() *Stats { return &c.stats }

type noFill struct{}

// NoFill returns a context in which Get and GetMulti load without looking at
// the cache and without filling it: for code inside a transaction, whose reads
// are older than a lease, or of what may be rolled back.
func NoFill(ctx context.Context) context.Context { return context.WithValue(ctx, noFill{}, true) }

func isNoFill(ctx context.Context) bool { return ctx.Value(noFill{}) != nil }
