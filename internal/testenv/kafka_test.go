package testenv

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

func TestKafkaKeepsDataThroughKill(t *testing.T) {
	ctx := t.Context()
	start := time.Now()
	k := ForTest(t).Kafka(KafkaOptions{})
	t.Logf("up after %v", time.Since(start))
	if err := k.CreateTopics(ctx, Topic{Name: "shop", Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	produce(t, k, "shop", kafka.Record{Key: kafka.NewBytes([]byte("k")), Value: nil, Headers: []kafka.Header{{Key: "h", Value: []byte{0xff}}}})
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	if err := k.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("back after %v", time.Since(start))
	start = time.Now()
	records, err := k.Consume(ctx, ConsumeOptions{Topics: []string{"shop"}})
	t.Logf("read after %v", time.Since(start))
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 1 || string(records[0].Key) != "k" || records[0].Value != nil {
		t.Fatalf("after a kill the topic holds %+v", records)
	}
	if v, ok := records[0].Header("h"); !ok || string(v) != "\xff" {
		t.Fatalf("header h reads %x, %v", v, ok)
	}
	for r, err := range k.Follow(ctx, ConsumeOptions{Pattern: "sh.p"}) {
		if err != nil || r.Topic != "shop" {
			t.Fatal(r, err)
		}
		break
	}
}

func produce(t *testing.T, k *Kafka, topic string, records ...kafka.Record) {
	t.Helper()
	err := k.withClient(k.Addrs(), func(c *kafka.Client) error {
		response, err := c.Produce(t.Context(), &kafka.ProduceRequest{Topic: topic, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
		if err == nil {
			err = response.Error
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
