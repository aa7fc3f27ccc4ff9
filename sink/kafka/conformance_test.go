package kafka

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/sinktest"
)

func conformance(t *testing.T, b *realBroker) {
	for _, delivery := range []string{ExactlyOnce, AtLeastOnce} {
		t.Run(delivery, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Harness { return harness(t, b, delivery) })
		})
	}
}

const suiteTopic = "shop.orders"

func harness(t *testing.T, b *realBroker, delivery string) sinktest.Harness {
	r := newRig(t, b, func(c *Config) {
		c.TransactionalID = "suite." + c.Pipeline
		c.Installation, c.Pipeline, c.Delivery = sinktest.Installation, sinktest.Pipeline, delivery
		c.CheckpointInterval = 5 * time.Millisecond
		c.CreateTopics.Config = map[string]string{"retention.ms": "-1"} // the suite's records are old
	})
	removeTopic(t, b, suiteTopic)
	return sinktest.Harness{
		Replays: delivery == AtLeastOnce,
		Open:    func() sink.Sink { return New(r.cfg, Options{}) },
		Read: func() []string {
			recs, err := b.Consume(testContext(t), testenv.ConsumeOptions{Pattern: "shop[.]orders"})
			if err != nil {
				t.Fatal(err)
			}
			values := make([]string, len(recs))
			for i := range recs {
				values[i] = string(recs[i].Value)
			}
			return values
		},
		Break: func() func() {
			rule := b.proxy.On(&testenv.Rule{Dir: testenv.ToClient, APIKey: testenv.APIKey(testenv.Produce), Do: testenv.Edit(refuseBatch)})
			return func() { b.proxy.Off(rule) }
		},
		Stall: func() func() {
			b.proxy.Blackhole(testenv.ToServer, true)
			return func() { b.proxy.Blackhole(testenv.ToServer, false) }
		},
	}
}

// refuseBatch makes the reply to a produce request say that the first batch
// was refused for a reason that ends the line.
func refuseBatch(reply []byte) []byte {
	const firstTopic = 4 + 4 + 4 // length, correlation id, number of topics
	at := firstTopic + 2 + int(binary.BigEndian.Uint16(reply[firstTopic:])) + 4 + 4
	binary.BigEndian.PutUint16(reply[at:], uint16(kafka.InvalidTransactionState))
	return reply
}

func removeTopic(t *testing.T, b *realBroker, name string) {
	client := &kafka.Client{Addr: kafka.TCP(b.DirectAddrs()...), Transport: &kafka.Transport{MetadataTTL: 20 * time.Millisecond}}
	defer client.Transport.(*kafka.Transport).CloseIdleConnections()
	ctx := testContext(t)
	for {
		res, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{name}})
		switch {
		case errors.Is(err, kafka.BrokerNotAvailable): // the client has not heard of the controller yet
			time.Sleep(20 * time.Millisecond) // its metadata's life
		case err != nil:
			t.Fatal(err)
		case res.Errors[name] != nil: // unknown by now
			return
		}
	}
}
