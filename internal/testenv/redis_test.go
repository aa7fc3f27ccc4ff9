package testenv

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRedisKeepsWhatItsOptionsSay(t *testing.T) {
	for _, f := range RedisFlavors {
		for _, appendOnly := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v append only %v", f, appendOnly), func(t *testing.T) {
				ctx := t.Context()
				start := time.Now()
				r := ForTest(t).Redis(RedisOptions{Flavor: f, AppendOnly: appendOnly})
				t.Logf("up after %v", time.Since(start))
				set(t, r, "k", "old")
				dump, err := r.Dump(ctx)
				check(t, err)
				set(t, r, "k", "new")
				check(t, r.Kill())
				if err := r.Client().Ping(ctx).Err(); err == nil {
					t.Fatal("a killed server answers")
				}
				check(t, r.Restart(ctx))
				if want := map[bool]string{true: "new", false: ""}[appendOnly]; get(t, r, "k") != want {
					t.Errorf("after a kill k is %q; want %q", get(t, r, "k"), want)
				}
				for _, c := range []struct{ dump, want string }{{dump, "old"}, {"", ""}} {
					check(t, r.RestartFrom(ctx, c.dump))
					if get(t, r, "k") != c.want {
						t.Errorf("from dump %q k is %q; want %q", c.dump, get(t, r, "k"), c.want)
					}
				}
				// What is written on top of a dump is kept as well.
				check(t, r.RestartFrom(ctx, dump))
				set(t, r, "k", "newer")
				check(t, r.Kill())
				check(t, r.Restart(ctx))
				if want := map[bool]string{true: "newer", false: "old"}[appendOnly]; get(t, r, "k") != want {
					t.Errorf("after a restore and a kill k is %q; want %q", get(t, r, "k"), want)
				}
			})
		}
	}
}

func TestRedisReplicaIsPromotedWithoutLostWrites(t *testing.T) {
	ctx := t.Context()
	env := ForTest(t)
	primary := env.Redis(RedisOptions{Users: map[string]string{"default": "off"}})
	set(t, primary, "k", "1")
	proxy, err := NewProxy(primary.Addr(), Raw)
	check(t, err)
	defer proxy.Close()
	replica := env.Redis(RedisOptions{ReplicaOf: proxy.Addr()})
	if got := get(t, replica, "k"); got != "1" {
		t.Fatalf("a replica that is up has %q", got)
	}
	set(t, primary, "k", "2")
	check(t, replica.AwaitCaughtUp(ctx, primary))
	if got := get(t, replica, "k"); got != "2" {
		t.Fatalf("a replica that caught up has %q", got)
	}
	proxy.Blackhole(ToClient, true)
	set(t, primary, "k", "3") // acknowledged, and lost
	check(t, replica.Promote(ctx))
	set(t, replica, "other", "1")
	if got := get(t, replica, "k"); got != "2" {
		t.Fatalf("the promoted replica has %q", got)
	}
	check(t, primary.Follow(ctx, replica.Addr()))
	check(t, primary.AwaitLink(ctx))
	if got := get(t, primary, "k"); got != "2" {
		t.Fatalf("the old primary has %q", got)
	}
}

func TestRedisRefusesWhatAnAccountMayNot(t *testing.T) {
	r := ForTest(t).Redis(RedisOptions{TLS: true, Users: map[string]string{
		"default": "off", "cdcd": "on >secret ~user:* +unlink",
	}})
	config, err := r.TLSConfig()
	check(t, err)
	for name, o := range map[string]*redis.Options{"plain": {}, "TLS": {Addr: r.SecureAddr(), TLSConfig: config}} {
		o.Username, o.Password = "cdcd", "secret"
		c := r.Dial(o)
		defer c.Close()
		if err := c.Unlink(t.Context(), "user:1").Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, denied := range [][]any{{"UNLINK", "order:1"}, {"GET", "user:1"}} {
			if err := c.Do(t.Context(), denied...).Err(); !redis.IsPermissionError(err) {
				t.Errorf("%s: %v: %v", name, denied, err)
			}
		}
	}
	for name, o := range map[string]*redis.Options{
		"without a login": {}, "unknown authority": {Addr: r.SecureAddr(), TLSConfig: &tls.Config{ServerName: "127.0.0.1"}},
	} {
		c := r.Dial(o)
		defer c.Close()
		if err := c.Unlink(t.Context(), "user:1").Err(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestFrozenRedisDoesNotAnswer(t *testing.T) {
	r := ForTest(t).Redis(RedisOptions{Flavor: Valkey81})
	check(t, r.Freeze())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := r.Client().Ping(ctx).Err(); err == nil {
		t.Fatal("a frozen server answers")
	}
	check(t, r.Thaw())
	check(t, r.Client().Ping(t.Context()).Err())
	check(t, r.Stop(t.Context()))
	if r.Running() {
		t.Fatal("a stopped server runs")
	}
}

// TestRedisClusterMovesASlot goes through the replies that a client meets while a slot is under way.
func TestRedisClusterMovesASlot(t *testing.T) {
	for _, f := range RedisFlavors {
		t.Run(f.String(), func(t *testing.T) {
			ctx := t.Context()
			start := time.Now()
			c := ForTest(t).RedisCluster(RedisClusterOptions{Flavor: f})
			t.Logf("up after %v", time.Since(start))
			slot, err := c.Node(0).Client().ClusterKeySlot(ctx, "{u}").Result()
			check(t, err)
			from, err := c.Owner(ctx, int(slot))
			check(t, err)
			to := (from + 1) % 3
			for i := range 4 {
				set(t, c.Node(from), fmt.Sprintf("{u}:%d", i), "x")
			}
			m, err := c.BeginMove(ctx, int(slot), to)
			check(t, err)
			if n, err := m.Keys(ctx, 2); n != 2 || err != nil {
				t.Fatalf("moved %d keys, %v", n, err)
			}
			if err := c.Node(from).Client().Get(ctx, "{u}:none").Err(); !isAsk(err) {
				t.Errorf("a key that is not there any more: %v", err)
			}
			if err := c.Node(from).Client().Unlink(ctx, "{u}:0", "{u}:1", "{u}:2", "{u}:3").Err(); !redis.IsTryAgainError(err) {
				t.Errorf("keys on both sides: %v", err)
			}
			check(t, m.End(ctx))
			if err := c.Node(from).Client().Get(ctx, "{u}:0").Err(); !isMoved(err) {
				t.Errorf("after the move: %v", err)
			}
			if owner, err := c.Owner(ctx, int(slot)); owner != to || err != nil {
				t.Errorf("the owner is node %d, %v", owner, err)
			}
			if n, err := c.Node(to).Client().Exists(ctx, "{u}:0", "{u}:1", "{u}:2", "{u}:3").Result(); n != 4 || err != nil {
				t.Errorf("%d of 4 keys arrived, %v", n, err)
			}
			check(t, c.Node(to).Kill())
			check(t, c.Node(to).Restart(ctx))
			check(t, c.AwaitOK(ctx))
		})
	}
}

func TestRedisClusterIsReachedThroughProxies(t *testing.T) {
	var proxies []*Proxy
	c := ForTest(t).RedisCluster(RedisClusterOptions{Advertise: func(_ int, addr string) (string, error) {
		p, err := NewProxy(addr, Raw)
		proxies = append(proxies, p)
		return p.Addr(), err
	}})
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs()})
	defer client.Close()
	for i := range 20 {
		check(t, client.Set(t.Context(), fmt.Sprint("k", i), "v", 0).Err())
	}
	for i, p := range proxies {
		if p.Opened() == 0 {
			t.Errorf("nobody came by the proxy of node %d", i)
		}
		check(t, p.Close())
	}
}

func TestSentinelPromotesAReplica(t *testing.T) {
	ctx := t.Context()
	env := ForTest(t)
	primary := env.Redis(RedisOptions{})
	replica := env.Redis(RedisOptions{ReplicaOf: primary.Addr()})
	sentinel := env.RedisSentinel(RedisSentinelOptions{Primary: primary.Addr(), Replicas: 1})
	check(t, primary.Kill())
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	check(t, poll(wait, 50*time.Millisecond, func() error {
		addr, err := sentinel.Client().Do(wait, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").StringSlice()
		if err == nil && strings.Join(addr, ":") != replica.Addr() {
			err = fmt.Errorf("the primary is %v", addr)
		}
		return err
	}))
	set(t, replica, "k", "v")
}

func isAsk(err error) bool   { _, ok := redis.IsAskError(err); return ok }
func isMoved(err error) bool { _, ok := redis.IsMovedError(err); return ok }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func set(t *testing.T, r *Redis, key, value string) {
	t.Helper()
	check(t, r.Client().Set(t.Context(), key, value, 0).Err())
}

// get returns "" for a key that is not there.
func get(t *testing.T, r *Redis, key string) string {
	t.Helper()
	value, err := r.Client().Get(t.Context(), key).Result()
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	return value
}
