package testenv

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisSentinelOptions says whom a Sentinel watches.
type RedisSentinelOptions struct {
	Flavor RedisFlavor
	Name   string // by which clients ask for the primary; "main" by default
	// Primary is the address of the primary; its replicas are found there.
	Primary string
	// Replicas is how many of them it must have found before it counts as started.
	Replicas int
	Quorum   int // how many Sentinels must agree that the primary is gone; 1 by default
}

// RedisSentinel starts a Sentinel, which promotes a replica when the primary has been silent for a second.
func (e *Env) RedisSentinel(ctx context.Context, o RedisSentinelOptions) (*Redis, error) {
	if o.Name == "" {
		o.Name = "main"
	}
	o.Quorum = max(o.Quorum, 1)
	host, port, err := net.SplitHostPort(o.Primary)
	if err != nil {
		return nil, fmt.Errorf("testenv: watch the primary %q: %w", o.Primary, err)
	}
	r, err := e.newRedis(ctx, RedisOptions{Flavor: o.Flavor}, "sentinel")
	if err != nil {
		return nil, err
	}
	r.client = r.Dial(&redis.Options{})
	config := append(lines(map[string]string{"port": strconv.Itoa(r.port), "bind": "127.0.0.1", "protected-mode": "no", "dir": r.dir}),
		fmt.Sprintf("sentinel monitor %s %s %s %d", o.Name, host, port, o.Quorum),
		"sentinel auth-user "+o.Name+" "+RedisAdmin,
		"sentinel auth-pass "+o.Name+" "+RedisAdminPassword,
		"sentinel down-after-milliseconds "+o.Name+" 1000",
		"sentinel failover-timeout "+o.Name+" 5000")
	if err := r.prepare(config, "--sentinel"); err != nil {
		return nil, err
	}
	if err := r.up(ctx); err != nil {
		return r, err
	}
	return r, r.awaitReplicas(ctx, o.Name, o.Replicas)
}

func (r *Redis) awaitReplicas(ctx context.Context, name string, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, linkLimit, fmt.Errorf("not known after %v", linkLimit))
	defer cancel()
	err := poll(ctx, 50*time.Millisecond, func() error {
		found, err := r.client.Do(ctx, "SENTINEL", "REPLICAS", name).Slice()
		if err == nil && len(found) < n {
			err = fmt.Errorf("it knows %d of %d replicas", len(found), n)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("testenv: wait for %s: %w (its log is %s)", r.name, err, r.logPath)
	}
	return nil
}
