package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

func TestRealBroker(t *testing.T) {
	b := startBroker(t)
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *realBroker)
	}{
		{"broker killed", brokerKilled}, // first: a broker with many topics recovers slowly
		{"exactly once", exactlyOnce},
		{"at least once", atLeastOnce},
		{"compression", compression},
		{"lost reply of EndTxn", lostEndTxn},
		{"delayed EndTxn", delayedEndTxn},
		{"lost reply of AddPartitionsToTxn", lostAddPartitions},
		{"lost replies of Produce", lostProduce},
		{"zombie", zombie},
		{"transaction ended by time-out", timedOut},
		{"aborted record newest", abortedNewest},
		{"others in the topic", othersInTopic},
		{"mirror ahead", mirrorAhead},
		{"partition count", partitionCount},
		{"deleted topic", deletedTopic},
		{"oversize row", oversizeRow},
		{"one transaction in many batches", largeTransaction},
		{"transaction without end", endlessTransaction},
		{"transaction in parts", transactionInParts},
		{"reading", reading},
		{"close", closing},
		{"doctor", doctor},
		{"conformance", conformance},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, b) })
	}
}

func exactlyOnce(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	r.deliver(200, 40)
	r.close()
	if n := r.txns.Load(); n >= 200 {
		t.Errorf("%d Kafka transactions for 200 that came in bursts", n)
	}
	r.deliver(400, 1)
	r.check(400)
	if len(r.errs) > 0 {
		t.Errorf("on a healthy broker: %v", r.errs)
	}
	if got := r.cp.Position.Seq; got != 200 {
		t.Errorf("a new process goes on from %d, want 200", got)
	}
}

func atLeastOnce(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) { c.Delivery = AtLeastOnce; c.CheckpointInterval = 20 * time.Millisecond })
	r.deliver(100, 10)
	r.reopen()
	if seq := r.cp.Position.Seq; seq == 0 || seq > 100 {
		t.Errorf("position %d after the kill", seq)
	}
	r.deliver(200, 10)
	r.close()
	r.mustOpen()
	if got := r.cp.Position.Seq; got != 200 {
		t.Errorf("Close left the position at %d", got)
	}
	r.checkAtLeast(200, false)
}

func compression(t *testing.T, b *realBroker) {
	for codec := None; codec <= Zstd; codec++ {
		r := newRig(t, b, func(c *Config) { c.Compression = codec })
		r.rows = func(uint64) int { return 2000 }
		r.deliver(2, 2)
		r.check(2)
		r.close()
	}
}

// lostEndTxn: the transaction is committed and nobody tells us. Sending it
// again would double it.
func lostEndTxn(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	rule := b.proxy.On(&testenv.Rule{Dir: testenv.ToClient, APIKey: testenv.APIKey(testenv.EndTxn), Skip: 5, Count: 2, Do: testenv.Cut(0)})
	r.deliver(60, 3)
	r.check(60)
	if rule.Reached() != 2 || !r.sawError("txn_outcome_unknown") {
		t.Errorf("reached %d times, errors %v", rule.Reached(), r.errs)
	}
}

// delayedEndTxn: the request arrives long after we gave it up; it must not end
// the next transaction.
func delayedEndTxn(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) { c.RequestTimeout = 300 * time.Millisecond })
	r.deliver(10, 1)
	release := make(chan struct{})
	rule := b.proxy.On(&testenv.Rule{Dir: testenv.ToServer, APIKey: testenv.APIKey(testenv.EndTxn), Count: 1, Do: testenv.HoldUntil(release)})
	go func() {
		_ = rule.Await(context.Background(), 1)
		time.Sleep(700 * time.Millisecond)
		close(release)
	}()
	r.deliver(200, 1)
	r.check(200)
	if rule.Reached() != 1 || !r.sawError("txn_outcome_unknown") {
		t.Errorf("reached %d times, errors %v", rule.Reached(), r.errs)
	}
}

func lostAddPartitions(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	rule := b.proxy.On(&testenv.Rule{Dir: testenv.ToClient, APIKey: testenv.APIKey(testenv.AddPartitionsToTxn), Skip: 4, Count: 2, Do: testenv.Cut(0)})
	r.deliver(60, 3)
	r.check(60)
	if rule.Reached() != 2 || !r.sawError("txn_outcome_unknown") {
		t.Errorf("reached %d times, errors %v", rule.Reached(), r.errs)
	}
}

// lostProduce: the batch is written, we do not know, and send the same bytes
// again, on the same line.
func lostProduce(t *testing.T, b *realBroker) {
	for _, delivery := range []string{ExactlyOnce, AtLeastOnce} {
		r := newRig(t, b, func(c *Config) { c.Delivery = delivery })
		r.deliver(5, 1)
		rule := b.proxy.On(&testenv.Rule{Dir: testenv.ToClient, APIKey: testenv.APIKey(testenv.Produce), Skip: 3, Count: 5, Do: testenv.Cut(0)})
		if err := r.send(5+60, 3); err != nil {
			t.Fatal(err)
		}
		r.check(65)
		if rule.Reached() != 5 {
			t.Errorf("reached %d times", rule.Reached())
		}
		r.close()
	}
}

// zombie: a paused owner wakes after its successor wrote.
func zombie(t *testing.T, b *realBroker) {
	for _, delivery := range []string{ExactlyOnce, AtLeastOnce} {
		r := newRig(t, b, func(c *Config) { c.Delivery = delivery; c.CheckpointInterval = 5 * time.Millisecond })
		r.rows = func(uint64) int { return 30 } // every partition is written
		r.deliver(10, 5)
		old, oldPacker := r.sink, r.packer
		r.reopen()
		r.deliver(20, 5)
		young, youngPacker := r.sink, r.packer

		r.sink, r.packer = old, oldPacker
		b, err := r.pack(11)
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan error, 1)
		old.Send(testContext(t), b, true, func(_ sink.Ack, err error) { told <- err })
		wantError(t, <-told, resilience.Fenced, "producer_fenced")
		_, err = old.Connect(testContext(t), 1, checkpoint.Checkpoint{})
		wantError(t, err, resilience.Fenced, "producer_fenced")

		r.sink, r.packer = young, youngPacker
		r.next = 21
		if err := r.send(30, 5); err != nil {
			t.Errorf("the successor suffers from the zombie: %v", err)
		}
		r.checkAtLeast(30, delivery == ExactlyOnce)
		r.close()
	}
}

// timedOut: the broker ends our transaction while we sleep and raises the
// epoch. Nobody took over, so we go on.
func timedOut(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) { c.TransactionTimeout = 5 * time.Second })
	r.deliver(10, 1)
	l := r.sink.line
	l.producer.timeout = time.Second
	if err := l.producer.init(testContext(t), l.producer.session); err != nil {
		t.Fatal(err)
	}
	r.sink.session = l.producer.session
	if err := l.producer.addPartitions(testContext(t), []*partition{l.m.partition(l.checkpointKey())}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for l.producer.addPartitions(testContext(t), []*partition{l.m.partition(l.checkpointKey())}) == nil {
		if time.Now().After(deadline) {
			t.Fatal("the broker does not end the transaction")
		}
		time.Sleep(100 * time.Millisecond)
	}
	err := r.send(20, 1)
	wantError(t, err, resilience.Transient, "producer_epoch_lost")
	r.deliver(30, 1)
	r.check(30)
}

// abortedNewest: the newest record of the checkpoint topic belongs to an
// aborted transaction. Whoever believed it would skip data.
func abortedNewest(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	r.deliver(10, 1)
	l := r.sink.line
	if err := l.drain(testContext(t)); err != nil {
		t.Fatal(err)
	}
	ahead := clone(l.cp)
	ahead.Position.Seq, ahead.Saved = 1000, time.Now()
	value, err := checkpoint.Encode(ahead)
	if err != nil {
		t.Fatal(err)
	}
	p := l.m.partition(l.checkpointKey())
	if err := l.producer.addPartitions(testContext(t), []*partition{p}); err != nil {
		t.Fatal(err)
	}
	bad := encodeEntries(p.topic, time.Now(), []entry{{keyPosition, value}})
	stamp(bad.bytes(), l.producer.session.pid, l.producer.session.epoch, p.seq, true)
	if err := l.writeBatch(testContext(t), bad); err != nil {
		t.Fatal(err)
	}
	if err := l.producer.endTxn(testContext(t), false); err != nil {
		t.Fatal(err)
	}
	r.sink, r.term = nil, r.term+1
	r.mustOpen()
	if r.cp.Position.Seq != 10 {
		t.Errorf("goes on from %d, want 10", r.cp.Position.Seq)
	}
	l.cluster.close()
}

// othersInTopic: a transaction of somebody else stays open in a topic and holds
// back the stable offset. Ours are told by their markers.
func othersInTopic(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	r.rows = func(uint64) int { return 30 }
	r.deliver(10, 1)
	c, err := newCluster(&r.cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	other := &producer{c: c, id: "other." + r.topics[0], timeout: time.Minute, transactional: true}
	if err := other.init(testContext(t), noSession); err != nil {
		t.Fatal(err)
	}
	p := &partition{topic: &topic{name: r.topics[0]}, id: 1}
	if err := other.addPartitions(testContext(t), []*partition{p}); err != nil {
		t.Fatal(err)
	}
	record := encodeEntries(p.topic, time.Now(), []entry{{"k", []byte("not ours")}})
	record.part = p.id
	stamp(record.bytes(), other.session.pid, other.session.epoch, 0, true)
	if err := other.produce(testContext(t), []*batch{record})[0]; err != nil {
		t.Fatal(err)
	}
	r.deliver(20, 1)
	r.close()
	r.deliver(30, 1)
	if len(r.errs) > 0 || len(r.settled) > 0 {
		t.Errorf("errors %v, settled %+v", r.errs, r.settled)
	}
	if err := other.endTxn(testContext(t), false); err != nil {
		t.Fatal(err)
	}
	r.decided()
	r.check(30)
}

func mirrorAhead(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	r.deliver(10, 1)
	r.mirror = clone(r.cp)
	r.mirror.Position.Seq = 10
	r.mustOpen()
	r.mirror.Position.Seq = 11
	wantError(t, r.open(), resilience.Fatal, "checkpoint_behind_mirror")
	r.mirror.Position.Seq, r.mirror.Generation = 5, 2
	wantError(t, r.open(), resilience.Fatal, "checkpoint_behind_mirror")

	fresh := newRig(t, b, nil)
	fresh.mirror = r.mirror
	wantError(t, fresh.open(), resilience.Fatal, "checkpoint_topic_missing")
}

func partitionCount(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	r.rows = func(uint64) int { return 2 }
	r.deliver(10, 1)
	client := &kafka.Client{Addr: kafka.TCP(b.Addrs()...), Timeout: 30 * time.Second}
	res, err := client.CreatePartitions(testContext(t), &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: r.topics[0], Count: 5}}})
	if err != nil || res.Errors[r.topics[0]] != nil {
		t.Fatal(err, res)
	}
	r.mustOpen()
	wantError(t, r.send(20, 1), resilience.Fatal, "partition_count_changed")
	r.close()
	r.cfg.PartitionChange = policyFollow
	r.deliver(20, 1)
	r.close()
	r.cfg.PartitionChange = policyStop
	r.deliver(30, 1)
}

func deletedTopic(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	r.rows = func(uint64) int { return 2 }
	r.deliver(10, 1)
	client := &kafka.Client{Addr: kafka.TCP(b.Addrs()...), Timeout: 30 * time.Second}
	if _, err := client.DeleteTopics(testContext(t), &kafka.DeleteTopicsRequest{Topics: r.topics[:1]}); err != nil {
		t.Fatal(err)
	}
	err := r.send(20, 1)
	for range 20 {
		if resilience.ClassOf(err) != resilience.Transient {
			break
		}
		if err = r.open(); err == nil {
			err = r.send(20, 1)
		}
	}
	wantError(t, err, resilience.Fatal, "topic_deleted")
	r.mustOpen()
	wantError(t, r.send(20, 1), resilience.Fatal, "topic_deleted")
	r.close()
	r.cfg.DeletedTopics = policyRecreate
	r.deliver(20, 1)
}

func oversizeRow(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) { c.CreateTopics.Config = map[string]string{"max.message.bytes": "20000"} })
	r.rows = func(uint64) int { return 400 }
	r.deliver(2, 2)
	r.check(2)
	rec := format.Record{Route: r.routes.Topic(r.topics[0]), Value: []byte(strings.Repeat("x", 20000)), Ordinal: 1}
	r.packer.Start(&event.Piece{Tx: eventtest.Tx(3)})
	wantError(t, r.packer.Emit(&rec), resilience.Poison, "record_too_large")
}

// largeTransaction: more batches than any budget, inside one transaction; their
// done comes as soon as their memory is free.
func largeTransaction(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) { c.InflightBytes = 1 << 20; c.GroupBytes = 1 << 20; c.Compression = None })
	r.mustOpen()
	const pieces, perPiece = 40, 200
	tx := eventtest.Tx(1)
	tx.Rows = pieces * perPiece
	value := strings.Repeat("v", 1000)
	now := time.Now().UnixMilli()
	early := make(chan struct{}, pieces)
	end := make(chan error, 1)
	for i := range uint64(pieces) {
		last := i == pieces-1
		r.packer.Start(&event.Piece{Tx: tx, First: i == 0, Last: last})
		for j := range uint64(perPiece) {
			n := i*perPiece + j + 1
			rec := format.Record{Route: r.routes.Topic(r.topics[0]), Key: fmt.Append(nil, n), Value: []byte(value), Ordinal: n, Millis: now}
			if err := r.packer.Emit(&rec); err != nil {
				t.Fatal(err)
			}
		}
		p, err := r.packer.Pack()
		if err != nil {
			t.Fatal(err)
		}
		batch := sink.Batch{Packed: p, Open: !last}
		if last {
			batch.Ends = []event.Coord{tx.End}
		}
		r.sink.Send(testContext(t), batch, last, func(_ sink.Ack, err error) {
			if err != nil || last {
				end <- err
				return
			}
			early <- struct{}{}
		})
	}
	for range pieces - 1 {
		<-early
	}
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	recs, err := b.Consume(testContext(t), testenv.ConsumeOptions{Topics: r.topics[:1]})
	if err != nil || len(recs) != pieces*perPiece {
		t.Errorf("%d records, %v", len(recs), err)
	}
}

// endlessTransaction: a source transaction that takes longer than a Kafka
// transaction may stops by name, before the brokers end it.
func endlessTransaction(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) { c.TransactionTimeout = 5 * time.Second })
	r.rows = func(uint64) int { return 30 }
	r.deliver(1, 1) // to every partition: the first batches for a new one may have to be repeated
	told := make(chan error, 100)
	for i := range uint64(100) {
		r.packer.Start(&event.Piece{Tx: tx(2, 100), First: i == 0})
		rec := format.Record{Route: r.routes.Topic(r.topics[0]), Key: fmt.Append(nil, i), Millis: time.Now().UnixMilli(), Ordinal: i + 1}
		if err := r.packer.Emit(&rec); err != nil {
			t.Fatal(err)
		}
		p, err := r.packer.Pack()
		if err != nil {
			t.Fatal(err)
		}
		r.sink.Send(testContext(t), sink.Batch{Packed: p, Open: true}, false, func(_ sink.Ack, err error) { told <- err })
		if err := <-told; err != nil {
			wantError(t, err, resilience.Fatal, "oversize_transaction")
			return
		}
		time.Sleep(100 * time.Millisecond) // a slow source
	}
	t.Error("the transaction stays open")
}

func closing(t *testing.T, b *realBroker) {
	ignore := goleak.IgnoreCurrent()
	r := newRig(t, b, nil)
	r.deliver(20, 20)
	bt, err := r.pack(21)
	if err != nil {
		t.Fatal(err)
	}
	bt.Open, bt.Ends = true, nil
	told := make(chan error, 2)
	r.sink.Send(testContext(t), bt, true, func(_ sink.Ack, err error) { told <- err })
	<-told // its memory is free; its transaction has no end
	if err := r.sink.Close(testContext(t)); err != nil {
		t.Error(err)
	}
	if err := r.sink.Close(testContext(t)); err != nil {
		t.Error(err)
	}
	r.sink = nil
	goleak.VerifyNone(t, ignore)
	r.rows = func(seq uint64) int { return int(seq % 5) }
	r.check(20) // the beginning of transaction 21 is not seen, and hides nothing
}

// findings are the codes and severities the doctor has for the rig's sink.
func findings(r *rig) map[string]resilience.Severity {
	all := map[string]resilience.Severity{}
	for _, f := range New(r.cfg, Options{}).Doctor(testContext(r.t)) {
		r.trace("%s %s: %s (%s)", f.Severity, f.Code, f.Text, f.Fix)
		all[f.Code] = f.Severity
		noSecret(r.t, f.Text+f.Fix)
		if f.Severity != resilience.Good && f.Fix == "" {
			r.t.Errorf("%s tells no fix: %s", f.Code, f.Text)
		}
	}
	return all
}

func doctor(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	for _, code := range []string{"kafka_reachable", "transaction_timeout", "min_insync_replicas", "checkpoint_topic"} {
		if s, ok := findings(r)[code]; !ok || s != resilience.Good {
			t.Errorf("on a fresh cluster %s is %s, %v", code, s, ok)
		}
	}
	r.cfg.CreateTopics.Config = map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "1"}
	r.deliver(5, 1)
	r.close()
	r.cfg.TransactionTimeout = time.Hour
	got := findings(r)
	if got["transaction_timeout"] != resilience.Problem || got["compacted_topic"] != resilience.Warning ||
		got["topic_retention"] != resilience.Warning {
		t.Errorf("findings %v", got)
	}
	_, err := New(r.cfg, Options{}).Connect(testContext(t), r.term, checkpoint.Checkpoint{})
	wantError(t, err, resilience.Fatal, "transaction_timeout_too_long")
	r.cfg.Brokers = []string{"127.0.0.1:1"}
	if got := findings(r); got["kafka_unreachable"] != resilience.Problem || len(got) != 1 {
		t.Errorf("findings without a broker: %v", got)
	}
}

func brokerKilled(t *testing.T, b *realBroker) {
	r := newRig(t, b, nil)
	r.deliver(50, 10)
	before := r.retries.Load() // new topics cause some
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range 4 {
			time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
			if err := b.Kill(); err != nil {
				t.Error(err)
			}
			r.trace("killed")
			if err := b.Restart(context.Background()); err != nil {
				t.Error(err)
			}
			r.trace("restarted")
		}
	}()
	to := uint64(50)
	for running := true; running; {
		select {
		case <-stop:
			running = false
		default:
		}
		to += 50
		r.deliver(to, 10)
		r.trace("delivered %d", to)
	}
	r.check(to)
	if len(r.errs) == 0 && r.retries.Load() == before {
		t.Error("the kills were not noticed")
	}
}
