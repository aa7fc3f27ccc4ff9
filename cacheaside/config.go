package cacheaside

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Config says how a [Cache] behaves. Start from DefaultConfig.
type Config struct {
	// TTL is how long a value lives at most, whatever happens; each one lives up
	// to Jitter of it less, so that those filled together do not end together.
	// Default 1h.
	TTL time.Duration
	// NegativeTTL is the same for "there is no such row"; 0 keeps none of those.
	// Default 1m.
	NegativeTTL time.Duration
	// Jitter is a part of the time to live, 0 to 0.9. Default 0.1.
	Jitter float64

	// Lease is how long others wait at most for a reader that loads and may have
	// died: more than almost all loads take. Default 3s.
	Lease time.Duration
	// LoadTimeout ends a load; it is less than Lease. Default 2s.
	LoadTimeout time.Duration
	// Wait is how long a reader waits for somebody else's load before it loads by
	// itself, without filling. Default 200ms.
	Wait time.Duration
	// HoldOff is how long a write that began and never ended keeps readers from
	// filling. Default 5s.
	HoldOff time.Duration

	// RedisTimeout is how long one round trip may take. Default 100ms.
	RedisTimeout time.Duration
	// BreakerFailures are the failures in a row after which Redis is left alone
	// for BreakerPause (half to one and a half of it). Default 5 and 1s.
	BreakerFailures int
	BreakerPause    time.Duration

	// MaxLoads is how many loads run at once; MaxLoadsDown while Redis is left
	// alone, or stale. Default 64 and 16.
	MaxLoads, MaxLoadsDown int
	// MaxQueue is how many readers wait for their turn to load, QueueWait how long
	// each waits at most. Default 1024 and 500ms.
	MaxQueue  int
	QueueWait time.Duration

	// Beacon is the key that the daemon keeps beside the cache,
	// "cdcd:beacon:INSTALLATION:PIPELINE"; "" (the default) does not look at it.
	Beacon string
	// MaxStaleness is how far behind the source the daemon may be, by its beacon,
	// before answers from Redis count as stale. One of a commit every second or
	// more; the beacon is looked at twice a second. Default 10s.
	MaxStaleness time.Duration
	// ServeStale serves those, marked in Meta; else they are loaded, within
	// MaxLoadsDown, and not stored. Default false.
	ServeStale bool

	// GenerationAge is how old what is known of a table's generation may be: an
	// entry that was made stale by it is served that much longer. At most 1s.
	// Default 500ms.
	GenerationAge time.Duration
	// MaxValue is the size of the largest encoded value that is stored, in bytes;
	// larger ones are loaded each time. Default 1 MiB.
	MaxValue int
	// Codec turns values into bytes and back. Default JSON.
	Codec Codec
	// OnError is told of what Redis fails at, for a log. It must not block. Default
	// nothing.
	OnError func(op string, err error)
}

// Codec turns values into bytes and back. Bytes that it cannot read count as a
// miss.
type Codec interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

type jsonCodec struct{}

func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		TTL: time.Hour, NegativeTTL: time.Minute, Jitter: 0.1,
		Lease: 3 * time.Second, LoadTimeout: 2 * time.Second, Wait: 200 * time.Millisecond, HoldOff: 5 * time.Second,
		RedisTimeout: 100 * time.Millisecond, BreakerFailures: 5, BreakerPause: time.Second,
		MaxLoads: 64, MaxLoadsDown: 16, MaxQueue: 1024, QueueWait: 500 * time.Millisecond,
		MaxStaleness:  10 * time.Second,
		GenerationAge: 500 * time.Millisecond, MaxValue: 1 << 20, Codec: jsonCodec{}, OnError: func(string, error) {},
	}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	const least = time.Millisecond
	bad(c.TTL < time.Second, "TTL: want at least 1s, have %s", c.TTL)
	bad(c.NegativeTTL != 0 && c.NegativeTTL < least, "NegativeTTL: want 0 or at least 1ms, have %s", c.NegativeTTL)
	bad(c.Jitter < 0 || c.Jitter > 0.9, "Jitter: want 0 to 0.9, have %g", c.Jitter)
	bad(c.Lease < least, "Lease: want at least 1ms, have %s", c.Lease)
	bad(c.LoadTimeout <= 0 || c.LoadTimeout >= c.Lease, "LoadTimeout: want more than 0 and less than Lease (%s), have %s", c.Lease, c.LoadTimeout)
	bad(c.Wait < 0, "Wait: want 0 or more, have %s", c.Wait)
	bad(c.HoldOff < least, "HoldOff: want at least 1ms, have %s", c.HoldOff)
	bad(c.RedisTimeout <= 0, "RedisTimeout: want more than 0, have %s", c.RedisTimeout)
	bad(c.BreakerFailures < 1, "BreakerFailures: want at least 1, have %d", c.BreakerFailures)
	bad(c.BreakerPause <= 0, "BreakerPause: want more than 0, have %s", c.BreakerPause)
	bad(c.MaxLoads < 1, "MaxLoads: want at least 1, have %d", c.MaxLoads)
	bad(c.MaxLoadsDown < 1 || c.MaxLoadsDown > c.MaxLoads, "MaxLoadsDown: want 1 to MaxLoads (%d), have %d", c.MaxLoads, c.MaxLoadsDown)
	bad(c.MaxQueue < 0, "MaxQueue: want 0 or more, have %d", c.MaxQueue)
	bad(c.QueueWait < 0, "QueueWait: want 0 or more, have %s", c.QueueWait)
	bad(c.MaxStaleness < 2*beaconAge, "MaxStaleness: want at least %s, have %s", 2*beaconAge, c.MaxStaleness)
	bad(c.GenerationAge < 0 || c.GenerationAge > time.Second, "GenerationAge: want 0 to 1s, have %s", c.GenerationAge)
	bad(c.MaxValue < 1, "MaxValue: want at least 1, have %d", c.MaxValue)
	bad(c.Codec == nil || c.OnError == nil, "Codec, OnError: want what DefaultConfig has, or your own")
	return errors.Join(errs...)
}
