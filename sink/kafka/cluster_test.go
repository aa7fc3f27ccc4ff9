package kafka

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
)

// TestThreeBrokers: brokers of a cluster die, hang and come back one by one,
// while a controller of its own stays.
func TestThreeBrokers(t *testing.T) {
	b := &realBroker{Kafka: testenv.ForTest(t).Kafka(testenv.KafkaOptions{Brokers: 3, HeapMB: 256, Controller: true})}
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *realBroker)
	}{
		{"copies", copies},
		{"one live address", oneLiveAddress},
		{"leader and coordinator killed", killed},
		{"leader and coordinator paused", paused},
		{"two of three down", twoDown},
		{"rolling restart", rollingRestart},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, b) })
	}
}

func copies(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) {
		c.CreateTopics.Replication, c.CreateTopics.Config = 3, map[string]string{keyInSync: "2", "retention.ms": "-1"}
	})
	r.deliver(10, 1)
	r.check(10)
	l := r.sink.line
	for _, name := range append(r.topics, r.cfg.checkpointTopic()) {
		m, err := describe(testContext(t), l.cluster, name)
		if err != nil || len(m.Partitions[0].ReplicaNodes) != 3 {
			t.Fatalf("%s: %+v, %v", name, m, err)
		}
		c, err := l.cluster.configs(testContext(t), kafka.ResourceTypeTopic, name, keyInSync)
		if err != nil || c[keyInSync] != "2" {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	for code, s := range findings(r) {
		if s != resilience.Good {
			t.Errorf("check finds a %s: %s", s, code)
		}
	}
	for _, tt := range []struct {
		replication int
		inSync      string
		code        string
		severity    resilience.Severity
	}{
		{3, "2", "min_insync_replicas", resilience.Good},
		{-1, "", "min_insync_replicas", resilience.Good}, // the brokers' defaults are these
		{3, "1", "min_insync_replicas", resilience.Warning},
		{3, "3", "min_insync_replicas", resilience.Warning},
		{1, "1", "min_insync_replicas", resilience.Warning},
		{1, "", "min_insync_replicas", resilience.Problem},
		{2, "3", "min_insync_replicas", resilience.Problem},
		{5, "2", "replication", resilience.Problem},
	} {
		r := newRig(t, b, func(c *Config) {
			if c.CreateTopics.Replication = tt.replication; tt.inSync != "" {
				c.CreateTopics.Config = map[string]string{keyInSync: tt.inSync}
			}
		})
		if got := findings(r); got[tt.code] != tt.severity || got["checkpoint_topic"] != resilience.Good && tt.replication < 5 {
			t.Errorf("%d copies, %q in sync: %v", tt.replication, tt.inSync, got)
		}
		if tt.replication == 5 {
			wantError(t, r.open(), resilience.Fatal, "invalid_replication_factor")
		}
	}
}

// disturb delivers while the fault happens, and some more behind it, and checks
// what came of it.
func disturb(t *testing.T, r *rig, fault func()) {
	t.Helper()
	r.deliver(20, 5)
	var wg sync.WaitGroup
	over := make(chan struct{})
	wg.Go(func() {
		defer close(over)
		fault()
	})
	defer wg.Wait()
	for running := true; running; {
		select {
		case <-over:
			running = false
		default:
		}
		r.goOn(nil, r.next+19, 5)
	}
	r.check(r.next - 1)
	codes := map[string]int{}
	for _, err := range r.errs {
		codes[resilience.CodeOf(err)]++
	}
	t.Logf("%d transactions; lines ended: %v; repeated in place: %v", r.next-1, codes, r.repeated)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// oneLiveAddress: of the configured brokers any one is enough, whether the
// others refuse or hang.
func oneLiveAddress(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) { c.Brokers = []string{"127.0.0.1:1", "127.0.0.1:2", b.Broker(2).Addr()} })
	for range 3 { // the order is random
		r.mustOpen()
	}
	hung := b.Broker(0)
	must(t, hung.Freeze())
	defer hung.Thaw()
	r.cfg.Brokers = []string{hung.Addr(), b.Broker(1).Addr(), b.Broker(2).Addr()}
	r.cfg.RequestTimeout = 5 * time.Second
	began := time.Now()
	r.deliver(20, 1)
	t.Logf("beside a broker that hangs: %s, %v", time.Since(began), r.errs)
	must(t, hung.Thaw())
	r.check(20)
}

// asking uses a client of its own that knows the live brokers only.
func asking(t testing.TB, use func(context.Context, *kafka.Client), live ...*testenv.Broker) {
	t.Helper()
	var addrs []string
	for _, b := range live {
		addrs = append(addrs, b.DirectAddr())
	}
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	use(testContext(t), &kafka.Client{Addr: kafka.TCP(addrs...), Transport: transport, Timeout: 30 * time.Second})
}

func except(b *realBroker, dead ...*testenv.Broker) []*testenv.Broker {
	var live []*testenv.Broker
	for i := range 3 {
		if !slices.Contains(dead, b.Broker(i)) {
			live = append(live, b.Broker(i))
		}
	}
	return live
}

// leaderBeside returns the broker that leads the first partition of the first
// topic, as the others than dead see it; nil when none does.
func (r *rig) leaderBeside(dead ...*testenv.Broker) (leader *testenv.Broker) {
	r.t.Helper()
	asking(r.t, func(ctx context.Context, c *kafka.Client) {
		m, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: r.topics[:1]})
		if err != nil {
			r.t.Error(err)
			return
		}
		for _, p := range m.Topics[0].Partitions {
			if p.ID == 0 && p.Leader.ID > 0 {
				leader = r.b.Broker(p.Leader.ID - 1)
			}
		}
	}, except(r.b, dead...)...)
	return leader
}

func (r *rig) leader() *testenv.Broker { return r.leaderBeside() }

// coordinator returns the broker that coordinates the rig's transactions.
func (r *rig) coordinator() (coordinator *testenv.Broker) {
	r.t.Helper()
	asking(r.t, func(ctx context.Context, c *kafka.Client) {
		res, err := c.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: r.cfg.transactionalID(), KeyType: kafka.CoordinatorKeyTypeTransaction})
		if err != nil || res.Error != nil {
			r.t.Errorf("%v %+v", err, res)
			return
		}
		coordinator = r.b.Broker(res.Coordinator.NodeID - 1)
	}, except(r.b)...)
	return coordinator
}

// awaitLeader returns when another broker than the dead one leads the topic.
func awaitLeader(t *testing.T, r *rig, dead *testenv.Broker) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		if l := r.leaderBeside(dead); l != nil && l != dead {
			return
		}
	}
	t.Errorf("nobody else leads %s", r.topics[0])
}

// killed: the leader of data, then whoever coordinates our transactions.
func killed(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	disturb(t, r, func() {
		for _, who := range []func() *testenv.Broker{r.leader, r.coordinator} {
			victim := who()
			must(t, victim.Kill())
			awaitLeader(t, r, victim)
			must(t, victim.Restart(context.Background()))
		}
	})
}

// paused: a broker hangs for long enough to be replaced and then goes on as if
// nothing had been.
func paused(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	disturb(t, r, func() {
		for _, who := range []func() *testenv.Broker{r.leader, r.coordinator} {
			victim := who()
			must(t, victim.Freeze())
			awaitLeader(t, r, victim)
			time.Sleep(time.Second) // the line meets the new one
			must(t, victim.Thaw())
		}
	})
}

// twoDown: with one of three brokers nothing may be acknowledged.
func twoDown(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	loose := newRig(t, b, func(c *Config) { c.Delivery = AtLeastOnce })
	loose.deliver(20, 5)
	var other sync.WaitGroup
	stop := make(chan struct{})
	other.Go(func() {
		for {
			loose.goOn(nil, loose.next+19, 5)
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	disturb(t, r, func() {
		must(t, b.Broker(0).Kill())
		must(t, b.Broker(1).Kill())
		awaitReason(t, loose.sink, "not_enough_replicas")
		before := r.txns.Load()
		time.Sleep(time.Second)
		if n := r.txns.Load() - before; n > 0 {
			t.Errorf("%d transactions were committed with one broker of three", n)
		}
		var both sync.WaitGroup
		both.Go(func() { must(t, b.Broker(0).Restart(context.Background())) })
		both.Go(func() { must(t, b.Broker(1).Restart(context.Background())) })
		both.Wait()
		close(stop)
	})
	other.Wait()
	loose.checkAtLeast(loose.next-1, false)
	t.Logf("at least once: lines ended %v, repeated in place: %v", loose.errs, loose.repeated)
}

// awaitReason returns when the sink says that it waits for that, and what to do.
func awaitReason(t *testing.T, s *Sink, code string) {
	t.Helper()
	var err error
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		if err = s.Retrying(); resilience.CodeOf(err) == code && resilience.HintOf(err) != "" {
			return
		}
	}
	t.Errorf("the sink says that it waits for %v", err)
}

func rollingRestart(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	disturb(t, r, func() {
		for i := range 3 {
			must(t, b.Broker(i).Restart(context.Background()))
		}
	})
}
