package redis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
)

func TestDeletesAndSaysSo(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	r.connect(7)
	r.set("user:1", "user:2", "user:3")
	r.send("user:1", "user:2", "user:1", "user:nobody")
	if have := r.there("user:1", "user:2", "user:3"); !slices.Equal(have, []string{"user:3"}) {
		t.Errorf("there are %v", have)
	}
	b := r.beacon()
	millis, err := strconv.ParseInt(b["time"], 10, 64)
	if age := time.Since(time.UnixMilli(millis)); err != nil || age < 0 || age > time.Minute {
		t.Errorf("the beacon's time is %q, %v ago", b["time"], age)
	}
	if b["v"] != "1" || b["seq"] != "1" || b["term"] != "7" || b["generation"] != "1" || b["lag"] == "" || b["lag"] == "-1" {
		t.Errorf("beacon %v", b)
	}
}

// TestOldDumpRewinds: deletes that Redis acknowledged and lost are repeated.
func TestOldDumpRewinds(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{AppendOnly: true})
	r.connect(1)
	r.send("user:1")
	r.set("user:2")
	time.Sleep(2 * resumeEvery) // so that the beacon's position is renewed behind the next
	r.send("user:3")
	dump, err := r.server.Dump(r.ctx())
	if err != nil {
		t.Fatal(err)
	}
	r.send("user:2")
	if err := r.server.RestartFrom(r.ctx(), dump); err != nil {
		t.Fatal(err)
	}
	if have := r.there("user:2"); len(have) != 1 {
		t.Fatal("the dump does not bring the entry back")
	}
	if err := r.trySend("user:4"); resilience.ClassOf(err) != resilience.Transient {
		t.Fatalf("a batch through a broken connection: %v", err)
	}
	r.connect(2)
	if r.seq != 2 || r.cp.Generation != 2 || r.seen.rewound != 1 {
		t.Fatalf("goes on from transaction %d in generation %d, rewound %d times", r.seq, r.cp.Generation, r.seen.rewound)
	}
	r.send("user:2")
	if have := r.there("user:2"); len(have) != 0 {
		t.Error("the entry is still there")
	}
}

// TestPromotedReplicaRewinds: the replica lacks what the primary acknowledged.
func TestPromotedReplicaRewinds(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	proxy, err := testenv.NewProxy(r.server.Addr(), testenv.Raw)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	replica := testenv.ForTest(t).Redis(testenv.RedisOptions{ReplicaOf: proxy.Addr()})
	r.cfg.Addrs = []string{replica.Addr(), r.server.Addr()} // the replica is passed over
	r.open()
	r.connect(1)
	r.set("user:1")
	r.send("user:2")
	if err := replica.AwaitCaughtUp(r.ctx(), r.server); err != nil {
		t.Fatal(err)
	}
	proxy.Blackhole(testenv.ToClient, true)
	r.send("user:1") // acknowledged, and lost
	if err := r.server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := replica.Promote(r.ctx()); err != nil {
		t.Fatal(err)
	}
	r.server = replica
	if err := r.trySend("user:3"); err == nil {
		t.Fatal("a dead server acknowledged")
	}
	r.connect(2)
	if r.seen.rewound != 1 || r.seq > 1 {
		t.Fatalf("goes on from transaction %d, rewound %d times", r.seq, r.seen.rewound)
	}
	for r.seq < 2 {
		r.send("user:1")
	}
	if len(r.there("user:1")) != 0 {
		t.Error("the entry is still there")
	}
}

// TestSentinelNamesTheNewPrimary: the line ends with the old one, and goes on at
// the new one from what that has.
func TestSentinelNamesTheNewPrimary(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	env := testenv.ForTest(t)
	replica := env.Redis(testenv.RedisOptions{ReplicaOf: r.server.Addr()})
	sentinel := env.RedisSentinel(testenv.RedisSentinelOptions{Primary: r.server.Addr(), Replicas: 1})
	r.cfg.Addrs, r.cfg.MasterName = []string{"127.0.0.1:1", sentinel.Addr()}, "main" // the first does not answer
	r.open()
	r.connect(1)
	r.set("user:1", "user:2")
	r.send("user:1")
	if err := replica.AwaitCaughtUp(r.ctx(), r.server); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.trySend("user:2"); resilience.ClassOf(err) != resilience.Transient {
		t.Fatalf("a dead primary: %v", err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for term := uint64(2); ; term++ {
		err := r.tryConnect(term)
		if err == nil {
			break
		}
		if resilience.ClassOf(err) != resilience.Transient || time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // pace of the retry
	}
	r.server = replica
	r.send("user:2")
	if have := r.there("user:1", "user:2"); len(have) != 0 || r.seq != 2 {
		t.Errorf("there are %v after transaction %d", have, r.seq)
	}
}

// TestWhoeverComesLaterWins: the older of two processes is fenced off, whatever
// the connection it has.
func TestWhoeverComesLaterWins(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	r.connect(5)
	r.send("user:1")
	older := *r
	r.open()
	r.connect(6)
	if err := older.trySend("user:2"); resilience.ClassOf(err) != resilience.Fenced || resilience.CodeOf(err) != "beacon_fenced" {
		t.Errorf("the older one: %v", err)
	}
	r.send("user:2")
	if err := older.tryConnect(5); resilience.ClassOf(err) != resilience.Fenced {
		t.Errorf("the older one connects: %v", err)
	}
	r.send("user:3")
}

func TestEvictedBeaconEndsTheLine(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	r.connect(1)
	r.send("user:1")
	r.do("DEL", BeaconKey("test", "p"))
	if err := r.trySend("user:2"); resilience.CodeOf(err) != "beacon_gone" {
		t.Fatalf("%v", err)
	}
	r.connect(2) // there are no entries: nothing can be stale
	r.send("user:2")
	if r.seen.gaps != 0 || r.seq != 2 {
		t.Errorf("%d gaps, transaction %d", r.seen.gaps, r.seq)
	}
}

func TestFirstStartRefusesAWarmCache(t *testing.T) {
	for _, c := range []struct {
		policy OnGap
		code   string
		have   []string
	}{
		{Auto, "cache_warm", []string{"user:1", "order:1", "gen:{shop.users}"}},
		{Fail, "cache_warm", []string{"user:1", "order:1", "gen:{shop.users}"}},
		{FlushPrefix, "", []string{"order:1", "gen:{shop.users}"}},
		{BumpGeneration, "", []string{"user:1", "order:1"}},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			r := newRig(t, testenv.RedisOptions{})
			r.cfg.OnGap = c.policy
			r.open()
			r.set("user:1", "order:1", "gen:{shop.users}")
			if err := r.tryConnect(1); resilience.CodeOf(err) != c.code {
				t.Errorf("%v", err)
			}
			if have := r.there("user:1", "order:1", "gen:{shop.users}"); !slices.Equal(have, c.have) {
				t.Errorf("there are %v", have)
			}
		})
	}
}

// TestGapFlushesEveryEntry: a server without a beacon and with entries is not the
// one that was there.
func TestGapFlushesEveryEntry(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	r.connect(1)
	r.send("user:1")
	if err := r.server.RestartFrom(r.ctx(), ""); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i := range 5000 {
		keys = append(keys, fmt.Sprint("user:", i))
	}
	pipe := r.server.Client().Pipeline()
	for _, k := range keys {
		pipe.Set(r.ctx(), k, "v", 0)
	}
	if _, err := pipe.Exec(r.ctx()); err != nil {
		t.Fatal(err)
	}
	r.set("other")
	if err := r.trySend("user:2"); err == nil {
		t.Fatal("a new server took the batch of an old connection")
	}
	r.connect(2)
	if r.seen.gaps != 1 || r.seen.flushed != len(keys) || len(r.there("other")) != 1 {
		t.Errorf("%d gaps, %d keys flushed", r.seen.gaps, r.seen.flushed)
	}
	r.cfg.OnGap = Fail
	r.do("DEL", BeaconKey("test", "p"))
	r.set("user:1")
	r.open()
	if err := r.tryConnect(3); resilience.CodeOf(err) != "cache_gap" {
		t.Errorf("%v", err)
	}
}

// TestNewRuleIsAFirstStart: entries by its template were never deleted.
func TestNewRuleIsAFirstStart(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	r.connect(1)
	r.send("user:1")
	r.set("user:2", "profile:2")
	if want := `[{"table":"shop.users","key":"user:{id}"}]`; r.beacon()["keys"] != want {
		t.Errorf("readers see %s", r.beacon()["keys"])
	}
	r.cfg.Keys = append(r.cfg.Keys, cachekey.Rule{Table: "shop.users", Key: "profile:{id}"})
	r.open()
	if err := r.tryConnect(2); resilience.CodeOf(err) != "cache_warm" {
		t.Fatalf("%v", err)
	}
	r.cfg.OnGap = FlushPrefix
	r.open()
	r.connect(3)
	if have := r.there("user:2", "profile:2"); !slices.Equal(have, []string{"user:2"}) {
		t.Errorf("there are %v", have)
	}
	r.open()
	r.connect(4) // known by now
	if r.seen.gaps != 1 {
		t.Errorf("%d gaps", r.seen.gaps)
	}
}

func TestForgottenScriptIsLoaded(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	r.connect(1)
	loaded := r.seen.loaded
	for range 3 {
		r.do("SCRIPT", "FLUSH")
		r.send("user:1")
	}
	if r.seen.loaded != loaded+3 {
		t.Errorf("loaded %d times", r.seen.loaded-loaded)
	}
}

// TestFullServerStillDeletes: deletes make room, so they may not end with it.
func TestFullServerStillDeletes(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{Config: map[string]string{"maxmemory-policy": "noeviction"}})
	r.connect(1)
	r.set("user:1")
	r.do("CONFIG", "SET", "maxmemory", "1mb")
	if err := r.server.Client().Set(r.ctx(), "other", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("the server is not full: %v", err)
	}
	r.send("user:1")
	if len(r.there("user:1")) != 0 {
		t.Error("the entry is still there")
	}
	_ = r.sink.Close(r.ctx())
	r.open()
	r.connect(2)
	r.send("user:2")
}

// TestIdleSourceRenewsTheBeacon: readers must be able to tell it from a dead
// daemon.
func TestIdleSourceRenewsTheBeacon(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	r.connect(1)
	r.send("user:1")
	first := r.beacon()
	r.sink.SourceIdle(2, time.Now()) // transaction 2 is not here yet
	deadline := time.Now().Add(10 * time.Second)
	for began := time.Now(); time.Since(began) < renewEvery+renewEvery/2; time.Sleep(20 * time.Millisecond) {
		if b := r.beacon(); b["time"] != first["time"] {
			t.Fatalf("renewed though a transaction is on its way: %v", b)
		}
	}
	r.sink.SourceIdle(1, time.Now())
	for r.beacon()["time"] == first["time"] {
		if time.Now().After(deadline) {
			t.Fatal("not renewed")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if b := r.beacon(); b["seq"] != "1" || len(b["lag"]) > 4 {
		t.Errorf("beacon %v", b)
	}
}

// TestLossIsSeenWhileTheSourceIsIdle: nobody sends a batch that could fail.
func TestLossIsSeenWhileTheSourceIsIdle(t *testing.T) {
	r := newRig(t, testenv.RedisOptions{})
	r.connect(1)
	r.send("user:1")
	if err := r.sink.Ended(); err != nil {
		t.Fatal(err)
	}
	if err := r.server.RestartFrom(r.ctx(), ""); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); r.sink.Ended() == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the line goes on")
		}
		r.sink.SourceIdle(1, time.Now())
	}
	if err := r.sink.Ended(); resilience.ClassOf(err) != resilience.Transient {
		t.Errorf("%v", err)
	}
	r.connect(2)
	if err := r.sink.Ended(); err != nil {
		t.Errorf("the next line: %v", err)
	}
}

// TestRightsAreEnough: the account has what the hint names, and no more.
func TestRightsAreEnough(t *testing.T) {
	rights := strings.NewReplacer("ACL SETUSER NAME ", "", "PASSWORD", "secret", "KEYS*", "user:*").Replace(hintRights[:strings.Index(hintRights, ", with")])
	for _, f := range testenv.RedisFlavors {
		t.Run(f.String(), func(t *testing.T) {
			r := newRig(t, testenv.RedisOptions{Flavor: f, TLS: true, Users: map[string]string{"default": "off", "cdcd": rights}})
			r.cfg.Addrs, r.cfg.Username, r.cfg.Password, r.cfg.DB = []string{r.server.SecureAddr()}, "cdcd", "secret", 2
			r.cfg.TLS = TLS{Enabled: true, CA: r.server.CAPath()}
			r.cfg.OnGap = FlushPrefix
			r.open()
			for _, found := range r.sink.Doctor(r.ctx()) {
				if found.Severity != resilience.Good {
					t.Errorf("doctor: %+v", found)
				}
			}
			r.connect(1)
			r.do("SCRIPT", "FLUSH")
			r.send("user:1")
			if err := r.trySend("order:1"); resilience.CodeOf(err) != "redis_forbidden" || resilience.ClassOf(err) != resilience.Transient {
				t.Errorf("a key without a right, after the first delivery: %v", err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	env := testenv.ForTest(t)
	guarded := env.Redis(testenv.RedisOptions{TLS: true, Users: map[string]string{"default": "off", "cdcd": "on >secret ~cdcd:* +@all"}})
	primary := env.Redis(testenv.RedisOptions{})
	replica := env.Redis(testenv.RedisOptions{ReplicaOf: primary.Addr()})
	node := env.Redis(testenv.RedisOptions{Config: map[string]string{"cluster-enabled": "yes", "cluster-config-file": "nodes.conf"}})
	sentinel := env.RedisSentinel(testenv.RedisSentinelOptions{Primary: primary.Addr()})
	for name, c := range map[string]struct {
		change func(*Config)
		class  resilience.Class
		code   string
	}{
		"no login":       {func(c *Config) { c.Addrs = []string{guarded.Addr()} }, resilience.Fatal, "redis_login"},
		"wrong password": {func(c *Config) { c.Addrs, c.Username, c.Password = []string{guarded.Addr()}, "cdcd", "x" }, resilience.Fatal, "redis_login"},
		"authority":      {func(c *Config) { c.Addrs, c.TLS = []string{guarded.SecureAddr()}, TLS{Enabled: true} }, resilience.Fatal, "tls_verify"},
		"replica":        {func(c *Config) { c.Addrs = []string{replica.Addr()} }, resilience.Transient, "redis_replica"},
		"cluster":        {func(c *Config) { c.Addrs = []string{node.Addr()} }, resilience.Fatal, "redis_cluster"},
		"sentinel":       {func(c *Config) { c.Addrs = []string{sentinel.Addr()} }, resilience.Fatal, "redis_sentinel"},
		"nobody":         {func(c *Config) { c.Addrs = []string{"127.0.0.1:1"} }, resilience.Transient, "redis_unreachable"},
		"database":       {func(c *Config) { c.Addrs, c.DB = []string{primary.Addr()}, 99 }, resilience.Fatal, "bad_config"},
	} {
		cfg := DefaultConfig()
		cfg.Installation, cfg.Pipeline = "test", "p"
		c.change(&cfg)
		s := New(cfg, Observer{})
		_, err := s.Connect(t.Context(), 1, (&rig{}).cp)
		if resilience.ClassOf(err) != c.class || resilience.CodeOf(err) != c.code {
			t.Errorf("%s: %v %s: %v", name, resilience.ClassOf(err), resilience.CodeOf(err), err)
		}
	}
}
