package kafka

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
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
	return &kafka.Client{Addr: kafka.TCP(b.DirectAddrs()...), Transport: transport, Timeout: 30 * time.Second}
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

// rig is one whose topics lie on the given brokers.
func (b *twoBrokers) rig(timeout time.Duration, checkpoint int, data ...int) *rig {
	b.t.Helper()
	r := newRig(b.t, b.realBroker, func(c *Config) { c.TransactionTimeout, c.RequestTimeout = timeout, timeout/2 })
	r.rows = func(uint64) int { return 30 } // every partition is written
	b.create(r.cfg.checkpointTopic(), checkpoint)
	for _, t := range r.topics {
		b.create(t, data...)
	}
	r.cfg.CreateTopics.Partitions = len(data)
	return r
}

// outage stops away, calls during, and brings away back when home has forgotten
// the ends of the rigs' transactions there.
func (b *twoBrokers) outage(during func(), rigs ...*rig) {
	b.t.Helper()
	if err := b.Broker(b.away).Stop(testContext(b.t)); err != nil {
		b.t.Fatal(err)
	}
	during()
	for _, r := range rigs {
		b.await("home forgets a transaction of "+r.cfg.transactionalID(), func() bool { return b.skipped(r) })
	}
	if err := b.Broker(b.away).Restart(testContext(b.t)); err != nil {
		b.t.Fatal(err)
	}
}

// skipped tells that home gave up on the end of a transaction of the rig.
func (b *twoBrokers) skipped(r *rig) bool {
	log, err := os.ReadFile(b.Broker(b.home).LogPath())
	if err != nil {
		b.t.Fatal(err)
	}
	return bytes.Contains(log, []byte("markers for "+r.cfg.transactionalID()+", these partitions are likely deleted"))
}

func (b *twoBrokers) await(what string, done func() bool) {
	b.t.Helper()
	for until := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			b.t.Fatal("waited in vain until ", what)
		}
	}
}

// forgotten is a transaction whose end is forgotten in an outage.
type forgotten struct {
	name string
	// checkpoint and data say on which broker the partitions lie.
	checkpoint, data string
	// begin leaves a transaction open; end has it decided, while away is down.
	begin func(*twoBrokers, *rig) (end func())
	then  func(*testing.T, *twoBrokers, *rig)
}

func TestForgottenTransactions(t *testing.T) {
	b := startTwoBrokers(t)
	where := map[string][]int{"home": {b.home}, "away": {b.away}, "both": {b.home, b.away}}
	var rigs []*rig
	var ends []func()
	for _, c := range forgottenCases {
		timeout := 5 * time.Minute
		if c.name == "aborted by time-out" {
			timeout = 10 * time.Second
		}
		r := b.rig(timeout, where[c.checkpoint][0], where[c.data]...)
		r.deliver(10, 1)
		r.decided()
		rigs, ends = append(rigs, r), append(ends, c.begin(b, r))
	}
	b.outage(func() {
		for _, end := range ends {
			end()
		}
	}, rigs...)
	for i, c := range forgottenCases {
		t.Run(c.name, func(t *testing.T) {
			b.t, rigs[i].t = t, t
			c.then(t, b, rigs[i])
			rigs[i].close()
		})
	}
}

var forgottenCases = []forgotten{
	{"committed and shown", "away", "both", heldEnd, func(t *testing.T, b *twoBrokers, r *rig) {
		r.die()
		r.goesOn(20, "3/0 "+reasonShown)
	}},
	{"committed and told", "away", "away", heldEnd, func(t *testing.T, b *twoBrokers, r *rig) {
		r.die()
		r.mirror = clone(r.cp)
		r.mirror.Position.Seq = 11
		r.goesOn(20, "3/0 "+reasonTold)
	}},
	{"committed, nobody knows", "away", "away", heldEnd, func(t *testing.T, b *twoBrokers, r *rig) {
		r.die()
		r.goesOn(20, "0/3 "+reasonUnseen)
	}},
	{"committed with its position", "home", "both", heldEnd, func(t *testing.T, b *twoBrokers, r *rig) {
		r.die()
		r.goesOn(20, "2/0 "+reasonStored)
	}},
	{"rows of a chunk", "away", "both", heldChunk, chunkFollows},
	{"under a running line", "away", "both", heldEnd, func(t *testing.T, b *twoBrokers, r *rig) {
		wantError(t, r.send(12, 1), resilience.Transient, "transaction_undecided")
		r.goesOn(20, "3/0 "+reasonTold)
	}},
	{"aborted by the successor", "home", "both", succeeded, func(t *testing.T, b *twoBrokers, r *rig) {
		r.goesOn(20, "0/2 "+reasonUnseen) // met when it needs the partitions
	}},
	{"settlement dies before each request", "away", "both", heldEnd, settlementDies(testenv.ToServer)},
	{"settlement dies behind each request", "away", "both", heldEnd, settlementDies(testenv.ToClient)},
	{"settlement aborted by somebody", "away", "both", heldEnd, settlementAborted},
	{"found by at_least_once", "home", "both", heldEnd, func(t *testing.T, b *twoBrokers, r *rig) {
		r.die()
		r.cfg.Delivery = AtLeastOnce
		r.goesOn(20, "2/0 "+reasonStored)
	}},
	// The last one: its time begins to run at once.
	{"aborted by time-out", "away", "both", droppedEnd, func(t *testing.T, b *twoBrokers, r *rig) {
		r.goesOn(20, "0/3 "+reasonUnseen)
	}},
}

// heldEnd sends a transaction and holds its EndTxn until end.
func heldEnd(b *twoBrokers, r *rig) (end func()) {
	return b.held(r, false, func() error { return r.send(11, 1) })
}

// heldChunk sends rows that belong to no new transaction of the source: its
// number says nothing about them.
func heldChunk(b *twoBrokers, r *rig) (end func()) {
	return b.held(r, false, func() error {
		batch, err := r.pack(11)
		if err != nil {
			return err
		}
		at := eventtest.Tx(10).End
		at.Mark = &event.Mark{Key: "snapshot/a", Value: []byte("through")}
		batch.Ends = []event.Coord{at}
		told := make(chan error, 1)
		r.sink.Send(testContext(b.t), batch, true, func(_ sink.Ack, err error) { told <- err })
		return <-told
	})
}

func chunkFollows(t *testing.T, b *twoBrokers, r *rig) {
	r.die()
	r.mustOpen()
	r.settledAs("3/0 " + reasonShown)
	if got := string(r.cp.Position.Marks["snapshot/a"]); got != "through" {
		t.Errorf("the mark is %q", got)
	}
	r.next = 12
	if err := r.send(20, 1); err != nil {
		t.Fatal(err)
	}
	r.check(20)
}

// droppedEnd: the process dies before its EndTxn arrives.
func droppedEnd(b *twoBrokers, r *rig) (end func()) {
	b.held(r, true, func() error { return r.send(11, 1) })
	r.die()
	return func() {}
}

// succeeded: in the outage, somebody else has aborted what droppedEnd left.
func succeeded(b *twoBrokers, r *rig) (end func()) {
	droppedEnd(b, r)
	return r.mustOpen
}

// settlementDies: process after process dies at the next of the requests that
// change something, or at its reply. The brokers would abort what a dead one had
// begun to commit; the next one is faster.
func settlementDies(dir testenv.Direction) func(*testing.T, *twoBrokers, *rig) {
	return func(t *testing.T, b *twoBrokers, r *rig) {
		r.die()
		r.cfg.RequestTimeout = 2 * time.Second
		died := 0
		for ; died < 40; died++ {
			wake := b.paralyse(dir, died)
			err := r.open()
			wake()
			if err == nil {
				break
			}
			r.trace("died at %d: %v", died, err)
			if resilience.ClassOf(err) != resilience.Transient {
				t.Fatal(err)
			}
			r.sink, r.term = nil, r.term+1
		}
		if died < 4 || died == 40 {
			t.Errorf("%d died", died)
		}
		r.goesOn(20, r.settlements()...)
		for _, s := range r.settled {
			if len(s.Aborted) > 0 {
				t.Errorf("settled %+v", s)
			}
		}
	}
}

// settlementAborted: somebody who knows nothing of notes takes over between the
// two requests of a settlement. What is lost by that must be told.
func settlementAborted(t *testing.T, b *twoBrokers, r *rig) {
	r.die()
	r.cfg.RequestTimeout = 2 * time.Second
	b.proxy.On(&testenv.Rule{Dir: testenv.ToServer, APIKey: testenv.APIKey(testenv.EndTxn), Count: 1, Do: testenv.Cut(0)})
	wantError(t, r.open(), resilience.Transient, "txn_outcome_unknown")
	c, err := newCluster(&r.cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	stranger := &producer{c: c, id: r.cfg.transactionalID(), timeout: time.Minute}
	if err := stranger.init(testContext(t), noSession); err != nil {
		t.Fatal(err)
	}
	r.sink, r.term = nil, r.term+1
	err = r.open()
	wantError(t, err, resilience.Fatal, "transaction_torn")
	if want := r.topics[0] + "/1"; !strings.Contains(err.Error(), want) {
		t.Errorf("it does not name %s: %v", want, err)
	}
	r.sink = nil
}

// paralyse breaks the connection of every request that changes something, but
// for the first ones, until wake.
func (b *twoBrokers) paralyse(dir testenv.Direction, first int) (wake func()) {
	var seen atomic.Int64
	changes := []int16{testenv.Produce, testenv.InitProducerID, testenv.AddPartitionsToTxn, testenv.EndTxn}
	var rules [2]*testenv.Rule
	for i, p := range b.proxies {
		rules[i] = p.On(&testenv.Rule{Dir: dir, Do: testenv.Cut(0), Match: func(m testenv.Message) bool {
			return slices.Contains(changes, m.APIKey) && seen.Add(1) > int64(first)
		}})
	}
	return func() {
		for i, p := range b.proxies {
			p.Off(rules[i])
		}
	}
}

// held sends something, and holds its EndTxn until end or drops it.
func (b *twoBrokers) held(r *rig, drop bool, send func() error) (end func()) {
	b.t.Helper()
	hold := make(chan struct{})
	action := testenv.HoldUntil(hold)
	if drop {
		action = testenv.Drop()
	}
	id := r.cfg.transactionalID()
	name := append([]byte{byte(len(id) + 1)}, id...) // as the protocol writes it
	rule := b.proxy.On(&testenv.Rule{Dir: testenv.ToServer, APIKey: testenv.APIKey(testenv.EndTxn), Count: 1, Do: action,
		Match: func(m testenv.Message) bool { return bytes.Contains(m.Data, name) }})
	sent := make(chan error, 1)
	go func() { sent <- send() }()
	if err := rule.Await(testContext(b.t), 1); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		close(hold)
		if err := <-sent; err != nil {
			b.t.Error(err)
		}
	}
}

// die ends the sink as a kill does: without a word to the brokers.
func (r *rig) die() {
	l := r.sink.line
	if r.sink.started {
		l.cutOff()
	}
	l.cluster.close()
	r.sink = nil
	r.term++
}

// goesOn delivers more and looks at all of it.
func (r *rig) goesOn(to uint64, settled ...string) {
	r.t.Helper()
	r.deliver(to, 1)
	r.check(to)
	r.settledAs(settled...)
}

// settlements are what Connect ended: partitions committed, aborted, and why.
func (r *rig) settlements() []string {
	var got []string
	for _, s := range r.settled {
		got = append(got, fmt.Sprintf("%d/%d %s", len(s.Committed), len(s.Aborted), s.Reason))
	}
	return got
}

// settledAs tells that exactly these settlements were carried out.
func (r *rig) settledAs(want ...string) {
	r.t.Helper()
	got := r.settlements()
	if !slices.Equal(got, want) {
		r.t.Errorf("settled %q, want %q", got, want)
	}
}

// decided waits until everything that was sent is committed or aborted.
func (r *rig) decided() {
	r.t.Helper()
	c := r.sink.line.cluster
	var places []place
	for _, t := range append(slices.Clone(r.topics), r.cfg.checkpointTopic()) {
		m, err := describe(testContext(r.t), c, t)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, p := range m.Partitions {
			places = append(places, place{t, p.PartitionIndex})
		}
	}
	ends, err := c.offsets(testContext(r.t), readUncommitted, atEnd, places)
	if err != nil {
		r.t.Fatal(err)
	}
	until := map[place]int64{}
	for at, o := range ends {
		until[at] = o.at
	}
	if left, err := c.awaitStable(testContext(r.t), until, 10*time.Second); err != nil || len(left) > 0 {
		r.t.Fatalf("undecided in %v, %v", left, err)
	}
}
