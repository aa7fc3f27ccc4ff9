package testenv

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisSlots is how many hash slots a Redis cluster has.
const redisSlots = 16384

// clusterLimit is how long the nodes of a cluster may take to agree.
const clusterLimit = 30 * time.Second

// RedisClusterOptions says how a cluster differs from the default: three masters, each with a third of the slots, without
// replicas, as RedisOptions{} has them.
type RedisClusterOptions struct {
	Flavor     RedisFlavor
	Masters    int // 3 by default
	AppendOnly bool
	Users      map[string]string // as RedisOptions.Users, on every node
	Config     map[string]string // as RedisOptions.Config, on every node
	// Advertise returns the address that the cluster tells clients to use for a node (numbered from 0) that really listens at
	// addr, for instance a Proxy's. Nil advertises addr itself.
	Advertise func(node int, addr string) (string, error)
}

// RedisCluster is a running Redis Cluster; each node is a server of its own.
type RedisCluster struct {
	nodes []*Redis
	addrs []string // as advertised
	ids   []string
}

// RedisCluster starts an empty cluster and returns when all its nodes say that it serves every slot.
func (e *Env) RedisCluster(ctx context.Context, o RedisClusterOptions) (*RedisCluster, error) {
	if o.Masters == 0 {
		o.Masters = 3
	}
	c := &RedisCluster{}
	for i := range o.Masters {
		if err := c.add(ctx, e, o, i); err != nil {
			return nil, err
		}
	}
	if err := c.join(ctx); err != nil {
		return nil, fmt.Errorf("testenv: make a Redis cluster: %w", err)
	}
	return c, c.AwaitOK(ctx)
}

// add starts a node that knows of no other.
func (c *RedisCluster) add(ctx context.Context, e *Env, o RedisClusterOptions, i int) error {
	r, err := e.newRedis(ctx, RedisOptions{Flavor: o.Flavor, AppendOnly: o.AppendOnly, Users: o.Users, Config: o.Config}, "redis")
	if err != nil {
		return err
	}
	addr, err := advertise(o.Advertise, i, r.Addr())
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("testenv: advertise node %d: %w", i, err)
	}
	s := r.settings()
	for key, value := range map[string]string{
		"cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-port": strconv.Itoa(r.busPort),
		"cluster-announce-ip": "127.0.0.1", "cluster-announce-port": port, "cluster-announce-bus-port": strconv.Itoa(r.busPort),
		"cluster-node-timeout": "2000",
	} {
		if _, given := o.Config[key]; !given {
			s[key] = value
		}
	}
	r.client = r.Dial(&redis.Options{Username: RedisAdmin, Password: RedisAdminPassword})
	if err := r.prepare(append(lines(s), r.users()...)); err != nil {
		return err
	}
	c.nodes, c.addrs = append(c.nodes, r), append(c.addrs, addr)
	return r.up(ctx)
}

// join shares out the slots and makes the nodes known to each other.
func (c *RedisCluster) join(ctx context.Context) error {
	for i, r := range c.nodes {
		id, err := r.client.Do(ctx, "CLUSTER", "MYID").Text()
		if err != nil {
			return err
		}
		c.ids = append(c.ids, id)
		first, last := redisSlots*i/len(c.nodes), redisSlots*(i+1)/len(c.nodes)-1
		commands := [][]any{
			{"CLUSTER", "ADDSLOTSRANGE", first, last},
			{"CLUSTER", "SET-CONFIG-EPOCH", i + 1}, // else they would have to settle who owns what
			{"CLUSTER", "MEET", "127.0.0.1", c.nodes[0].port, c.nodes[0].busPort},
		}
		for _, command := range commands {
			if err := r.client.Do(ctx, command...).Err(); err != nil {
				return fmt.Errorf("%v on node %d: %w", command, i, err)
			}
		}
	}
	return nil
}

// AwaitOK waits until every node that runs knows every other and says that all slots are served.
func (c *RedisCluster) AwaitOK(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, clusterLimit, fmt.Errorf("not in order after %v", clusterLimit))
	defer cancel()
	known := fmt.Sprintf("cluster_known_nodes:%d\r\n", len(c.nodes))
	err := poll(ctx, 20*time.Millisecond, func() error {
		for i, r := range c.nodes {
			if !r.Running() {
				continue
			}
			info, err := r.client.Do(ctx, "CLUSTER", "INFO").Text()
			if err == nil && !(strings.Contains(info, "cluster_state:ok") && strings.Contains(info, known)) {
				err = fmt.Errorf("it says\n%s", info)
			}
			if err != nil {
				return fmt.Errorf("node %d: %w", i, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("testenv: wait for a Redis cluster: %w", err)
	}
	return nil
}

// Addrs are the addresses clients should use, the advertised ones.
func (c *RedisCluster) Addrs() []string { return c.addrs }

// Nodes are all of them, in the order of their slots at first.
func (c *RedisCluster) Nodes() []*Redis { return c.nodes }

// Node is one of them, numbered from 0.
func (c *RedisCluster) Node(i int) *Redis { return c.nodes[i] }

// Owner is the node that has a slot, as itself says.
func (c *RedisCluster) Owner(ctx context.Context, slot int) (int, error) {
	for i, r := range c.nodes {
		if !r.Running() {
			continue
		}
		shards, err := r.client.ClusterShards(ctx).Result()
		if err != nil {
			return 0, fmt.Errorf("testenv: ask node %d for its slots: %w", i, err)
		}
		if slices.ContainsFunc(shards, func(s redis.ClusterShard) bool { return has(s, slot) && s.Nodes[0].ID == c.ids[i] }) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("testenv: no running node of the Redis cluster has slot %d", slot)
}

func has(s redis.ClusterShard, slot int) bool {
	return slices.ContainsFunc(s.Slots, func(r redis.SlotRange) bool { return int(r.Start) <= slot && slot <= int(r.End) })
}
