package testenv

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// txProducer writes one record and ends its transaction, with the least code that makes a broker believe it.
type txProducer struct {
	t      *testing.T
	client *kafka.Client
	id     int
	epoch  int
	seq    int32
}

func newTxProducer(t *testing.T, k *Kafka, txID string) *txProducer {
	t.Helper()
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &kafka.Client{Addr: kafka.TCP(k.Addrs()...), Transport: transport, Timeout: 20 * time.Second}
	p := &txProducer{t: t, client: c}
	p.until("InitProducerId", func(ctx context.Context) error {
		r, err := c.InitProducerID(ctx, &kafka.InitProducerIDRequest{TransactionalID: txID, TransactionTimeoutMs: 10_000, ProducerID: -1, ProducerEpoch: -1})
		if err == nil {
			err = r.Error
		}
		if err == nil {
			p.id, p.epoch = r.Producer.ProducerID, r.Producer.ProducerEpoch
		}
		return err
	})
	return p
}

// until repeats a request for as long as the broker prepares or ends something in the background.
func (p *txProducer) until(what string, do func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	if err := poll(ctx, 20*time.Millisecond, func() error { return do(ctx) }); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// write puts one record into one transaction and ends it; the reply to EndTxn is returned as it came.
func (p *txProducer) write(txID, topic, value string, commit bool) error {
	p.t.Helper()
	p.until("AddPartitionsToTxn", func(ctx context.Context) error {
		r, err := p.client.AddPartitionsToTxn(ctx, &kafka.AddPartitionsToTxnRequest{TransactionalID: txID, ProducerID: p.id, ProducerEpoch: p.epoch,
			Topics: map[string][]kafka.AddPartitionToTxn{topic: {{Partition: 0}}}})
		if err == nil {
			err = r.Topics[topic][0].Error
		}
		return err
	})
	r, err := p.client.RawProduce(p.t.Context(), &kafka.RawProduceRequest{Topic: topic, RequiredAcks: kafka.RequireAll,
		TransactionalID: txID, RawRecords: protocol.RawRecordSet{Reader: strings.NewReader(string(p.batch(value)))}})
	if err == nil {
		err = r.Error
	}
	if err != nil {
		p.t.Fatalf("produce: %v", err)
	}
	end, err := p.client.EndTxn(p.t.Context(), &kafka.EndTxnRequest{TransactionalID: txID, ProducerID: p.id, ProducerEpoch: p.epoch, Committed: commit})
	if err == nil {
		err = end.Error
	}
	return err
}

// batch is a transactional v2 record batch of one record, with its length before it.
func (p *txProducer) batch(value string) []byte {
	body := append([]byte{0, 0, 0, 1}, binary.AppendVarint(nil, int64(len(value)))...)
	body = append(append(body, value...), 0)
	record := append(binary.AppendVarint(nil, int64(len(body))), body...)
	now := uint64(time.Now().UnixMilli())
	var b []byte // from the attributes on: what the checksum covers
	b = binary.BigEndian.AppendUint16(b, 1<<4)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, now)
	b = binary.BigEndian.AppendUint64(b, now)
	b = binary.BigEndian.AppendUint64(b, uint64(p.id))
	b = binary.BigEndian.AppendUint16(b, uint16(p.epoch))
	b = binary.BigEndian.AppendUint32(b, uint32(p.seq))
	b = binary.BigEndian.AppendUint32(b, 1)
	b = append(b, record...)
	p.seq++
	out := make([]byte, 0, 128)
	out = binary.BigEndian.AppendUint32(out, uint32(21+len(b)))
	out = binary.BigEndian.AppendUint64(out, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(9+len(b)))
	out = binary.BigEndian.AppendUint32(out, 0)
	out = append(out, 2)
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return append(out, b...)
}

// TestConsumerSeesCommittedOnly is what every proof of exactly-once rests on: the reader tells committed from aborted, and the
// proxy really loses the one reply it is told to lose.
func TestConsumerSeesCommittedOnly(t *testing.T) {
	var proxy *Proxy
	k := ForTest(t).Kafka(KafkaOptions{Advertise: func(_ int, addr string) (string, error) {
		p, err := NewProxy(addr, KafkaProtocol)
		if err != nil {
			return "", err
		}
		proxy = p
		return p.Addr(), nil
	}})
	t.Cleanup(func() { proxy.Close() })
	if err := k.CreateTopics(t.Context(), Topic{Name: "tx"}); err != nil {
		t.Fatal(err)
	}
	p := newTxProducer(t, k, "a")
	for _, step := range []struct {
		value  string
		commit bool
	}{{"one", true}, {"lost", false}, {"two", true}, {"gone", false}} {
		if err := p.write("a", "tx", step.value, step.commit); err != nil {
			t.Fatalf("end the transaction of %q: %v", step.value, err)
		}
	}
	expect(t, k, ConsumeOptions{Topics: []string{"tx"}}, "one two")
	expect(t, k, ConsumeOptions{Topics: []string{"tx"}, Isolation: ReadUncommitted}, "one lost two gone")

	for isolation, want := range map[Isolation]int{ReadCommitted: 2, ReadUncommitted: 4} {
		o := ConsumeOptions{Topics: []string{"tx"}, Isolation: isolation}
		records, err := k.ConsumeKcat(t.Context(), o)
		if err != nil || len(records) != want || string(records[0].Value) != "one" || records[0].Key != nil {
			t.Fatalf("kcat reads %v as %+v, %v", isolation, records, err)
		}
	}

	r := proxy.On(&Rule{Dir: ToClient, APIKey: APIKey(EndTxn), Count: 1, Do: Cut(0)})
	if err := p.write("a", "tx", "unknown", true); err == nil || r.Reached() != 1 {
		t.Fatalf("the reply to EndTxn came through: %v, the rule acted %d times", err, r.Reached())
	}
	expect(t, k, ConsumeOptions{Topics: []string{"tx"}, Count: 3}, "one two unknown")
}

func expect(t *testing.T, k *Kafka, o ConsumeOptions, want string) {
	t.Helper()
	records, err := k.Consume(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		got = append(got, string(r.Value))
	}
	if strings.Join(got, " ") != want {
		t.Fatalf("%v reads %q, want %q", o, got, want)
	}
}

func TestThreeBrokersOutliveOne(t *testing.T) {
	start := time.Now()
	k := ForTest(t).Kafka(KafkaOptions{Brokers: 3, HeapMB: 256})
	t.Logf("up after %v", time.Since(start))
	if err := k.CreateTopics(t.Context(), Topic{Name: "shop", Partitions: 3}); err != nil {
		t.Fatal(err)
	}
	if err := k.Broker(0).Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := poll(ctx, 50*time.Millisecond, func() error {
		return k.withClient(k.DirectAddrs()[1:], func(c *kafka.Client) error {
			return leadersAmong(ctx, c, "shop", 2, 3)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	if err := k.Broker(0).Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("back after %v", time.Since(start))
}

func leadersAmong(ctx context.Context, c *kafka.Client, topic string, ids ...int) error {
	meta, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	for _, p := range meta.Topics[0].Partitions {
		if p.Leader.ID != ids[0] && p.Leader.ID != ids[1] {
			return fmt.Errorf("partition %d is led by %d", p.ID, p.Leader.ID)
		}
	}
	return nil
}
