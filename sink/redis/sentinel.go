package redis

import (
	"context"
	"errors"
	"net"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/resilience"
)

// askSentinel is the address of the primary, as a Sentinel has it. It may be out
// of date: whoever dials looks at the role of who answers.
func askSentinel(ctx context.Context, cfg *Config, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	o, err := options(cfg, addr)
	if err != nil {
		return "", err
	}
	o.Username, o.Password = cfg.SentinelUsername, cfg.SentinelPassword
	c := goredis.NewSentinelClient(o)
	defer c.Close()
	host, err := c.GetMasterAddrByName(ctx, cfg.MasterName).Result()
	switch {
	case errors.Is(err, goredis.Nil):
		return "", resilience.Errorf(resilience.Fatal, "redis_sentinel", "ask Sentinel", "it knows no primary by the name %q", cfg.MasterName).WithPlace("%s", addr).
			WithHint("see sentinel monitor in its configuration, and master_name of this sink")
	case err != nil:
		return "", classify(err, "ask Sentinel", addr)
	case len(host) != 2:
		return "", resilience.Errorf(resilience.Transient, "redis_sentinel", "ask Sentinel", "it answers %q", host).WithPlace("%s", addr)
	}
	return net.JoinHostPort(host[0], host[1]), nil
}
