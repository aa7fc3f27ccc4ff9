package kafka

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// twoBrokers is a cluster without replicas. One broker, home, coordinates all
// transactions. While the other, away, is down, its partitions have no leader,
// and home takes them for deleted: it forgets to end transactions there.
type twoBrokers struct {
	*realBroker // with the proxy of home
	t           *testing.T
	proxies     [2]*testenv.Proxy
	home, away  int
}

func startTwoBrokers(t *testing.T) *twoBrokers {
	t.Helper()
	b := &twoBrokers{realBroker: &realBroker{}, t: t}
	single := map[string]string{"transaction.state.log.num.partitions": "1", "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"}
	for _, key := range []string{"transaction.state.log.replication.factor", "transaction.state.log.min.isr", "offsets.topic.replication.factor",
		"default.replication.factor", "min.insync.replicas", "share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr"} {
		single[key] = "1"
	}
	b.Kafka = testenv.ForTest(t).Kafka(testenv.KafkaOptions{Brokers: 2, Controller: true, HeapMB: 256, Config: single,
		Advertise: func(i int, addr string) (string, error) {
			p, err := testenv.NewProxy(addr, testenv.KafkaProtocol)
			if err != nil {
				return "", err
			}
			b.proxies[i] = p
			t.Cleanup(func() { p.Close() })
			return p.Addr(), nil
		},
	})
	b.findHome()
	return b
}

// findHome asks who coordinates transactions.
func (b *twoBrokers) findHome() {
	c := b.client()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		res, err := c.FindCoordinator(testContext(b.t), &kafka.FindCoordinatorRequest{Key: "any", KeyType: kafka.CoordinatorKeyTypeTransaction})
		if err == nil && res.Error == nil {
			b.home = res.Coordinator.NodeID - 1
			b.away = 1 - b.home
			b.proxy = b.proxies[b.home]
			return
		}
		if time.Now().After(until) {
			b.t.Fatal("no transaction coordinator: ", err)
		}
	}
}

func (b *twoBrokers) client() *kafka.Client {
	transport := &kafka.Transport{}
	b.t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(b.DirectAddrs()...), Transport: transport}
}

// create makes a topic whose partitions lie on the given brokers.
func (b *twoBrokers) create(name string, brokers ...int) {
	b.t.Helper()
	topic := kafka.TopicConfig{Topic: name, NumPartitions: -1, ReplicationFactor: -1}
	for i, n := range brokers {
		topic.ReplicaAssignments = append(topic.ReplicaAssignments, kafka.ReplicaAssignment{Partition: i, Replicas: []int{n + 1}})
	}
	res, err := b.client().CreateTopics(testContext(b.t), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err != nil || res.Errors[name] != nil {
		b.t.Fatal(err, res)
	}
}

// rig is one whose checkpoint topic lies on the given broker and whose data
// topics lie on both, so that every transaction is written to both.
func (b *twoBrokers) rig(checkpoint int, data ...int) *rig {
	b.t.Helper()
	r := newRig(b.t, b.realBroker, func(c *Config) { c.TransactionTimeout = 5 * time.Second })
	r.rows = func(uint64) int { return 30 } // every partition is written
	b.create(r.cfg.checkpointTopic(), checkpoint)
	for _, t := range r.topics {
		b.create(t, data...)
	}
	r.cfg.CreateTopics.Partitions = len(data)
	return r
}

// forget makes home forget the end of the transaction that begin leaves open:
// away is down when end decides it.
func (b *twoBrokers) forget(end func()) {
	b.t.Helper()
	before := b.skipped()
	if err := b.Broker(b.away).Stop(testContext(b.t)); err != nil {
		b.t.Fatal(err)
	}
	end()
	b.await("home forgets the transaction", func() bool { return b.skipped() > before })
	if err := b.Broker(b.away).Restart(testContext(b.t)); err != nil {
		b.t.Fatal(err)
	}
}

// skipped counts how often home gave up on the end of a transaction.
func (b *twoBrokers) skipped() int {
	log, err := os.ReadFile(b.Broker(b.home).LogPath())
	if err != nil {
		b.t.Fatal(err)
	}
	return bytes.Count(log, []byte("likely deleted already"))
}

func (b *twoBrokers) await(what string, done func() bool) {
	b.t.Helper()
	for until := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			b.t.Fatal("waited in vain until ", what)
		}
	}
}

func TestForgottenTransactions(t *testing.T) {
	b := startTwoBrokers(t)
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *twoBrokers)
	}{
		{"committed and shown", forgottenShown},
	} {
		t.Run(tt.name, func(t *testing.T) { b.t = t; tt.run(t, b) })
	}
}

// heldEnd sends a transaction and holds its EndTxn until release.
func (b *twoBrokers) heldEnd(r *rig, seq uint64) (release func()) {
	b.t.Helper()
	hold := make(chan struct{})
	rule := b.proxy.On(&testenv.Rule{Dir: testenv.ToServer, APIKey: testenv.APIKey(testenv.EndTxn), Count: 1, Do: testenv.HoldUntil(hold)})
	sent := make(chan error, 1)
	go func() { sent <- r.send(seq, 1) }()
	if err := rule.Await(testContext(b.t), 1); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		close(hold)
		if err := <-sent; err != nil {
			b.t.Fatal(err)
		}
	}
}

// settledAs tells that exactly these settlements were carried out.
func (r *rig) settledAs(want ...string) {
	r.t.Helper()
	var got []string
	for _, s := range r.settled {
		got = append(got, fmt.Sprintf("%d/%d %s", len(s.Committed), len(s.Aborted), s.Reason))
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("settled %q, want %q", got, want)
	}
}

func forgottenShown(t *testing.T, b *twoBrokers) {
	r := b.rig(b.away, b.home, b.away)
	r.deliver(10, 1)
	b.forget(b.heldEnd(r, 11))
	r.sink, r.term = nil, r.term+1 // a new process that was told nothing
	r.deliver(20, 1)
	r.check(20)
	r.settledAs("3/0 " + reasonShown)
}
