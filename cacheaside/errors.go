package cacheaside

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/resilience"
)

// Codes of errors that callers may want to tell apart (see resilience.CodeOf).
const (
	// CodeOverloaded: too many loads run or wait. It is Transient.
	CodeOverloaded = "cache_overloaded"
	// CodeBadValue: what a loader returned cannot be encoded, or not be read back.
	CodeBadValue = "cache_bad_value"
	// CodeBadClient: the Redis client cannot be used for a cache.
	CodeBadClient = "cache_bad_client"
)

// errOpen stands for a request that the breaker kept from Redis.
var errOpen = errors.New("redis is left alone after failures")

func overloaded(key Key, why string, cause error) error {
	return (&resilience.Error{Class: resilience.Transient, Code: CodeOverloaded, Op: "load", At: key.name, Err: errors.Join(errors.New(why), cause)}).
		WithHint("the database is too slow for what misses, or the cache is away: look at both before raising MaxLoads")
}

// failure reports whether err says that Redis is unwell, so that the breaker
// counts it. What it answers to one command, and a caller that gave up, are not.
func failure(ctx context.Context, err error) bool {
	switch {
	case err == nil, errors.Is(err, redis.Nil), ctx.Err() != nil:
		return false
	case redis.HasErrorPrefix(err, "WRONGTYPE"), redis.HasErrorPrefix(err, "NOSCRIPT"), redis.IsOOMError(err):
		return false
	}
	return true
}
