package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// requestLimit bounds one administrative request.
const requestLimit = 30 * time.Second

// Topic describes a topic to create. Partitions defaults to 1, Replicas to the cluster's default.
type Topic struct {
	Name       string
	Partitions int
	Replicas   int
	Config     map[string]string
}

// CreateTopics makes topics and returns when every partition has a leader that
// knows it.
func (k *Kafka) CreateTopics(ctx context.Context, topics ...Topic) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestLimit, fmt.Errorf("not done after %v", requestLimit))
	defer cancel()
	return k.withClient(k.DirectAddrs(), func(c *kafka.Client) error {
		request := &kafka.CreateTopicsRequest{}
		for _, t := range topics {
			request.Topics = append(request.Topics, t.request())
		}
		response, err := c.CreateTopics(ctx, request)
		if err != nil {
			return fmt.Errorf("testenv: create topics: %w", err)
		}
		for name, err := range response.Errors {
			if err != nil {
				return fmt.Errorf("testenv: create topic %s: %w", name, err)
			}
		}
		return poll(ctx, 20*time.Millisecond, func() error { return haveLeaders(ctx, c, topics) })
	})
}

func (t Topic) request() kafka.TopicConfig {
	config := kafka.TopicConfig{Topic: t.Name, NumPartitions: max(t.Partitions, 1), ReplicationFactor: t.Replicas}
	if t.Replicas == 0 {
		config.ReplicationFactor = -1 // the broker's default
	}
	for key, value := range t.Config {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	return config
}

func haveLeaders(ctx context.Context, c *kafka.Client, topics []Topic) error {
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	meta, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: names})
	if err != nil {
		return err
	}
	for _, t := range meta.Topics {
		for _, p := range t.Partitions {
			if p.Error != nil {
				return fmt.Errorf("partition %d of %s: %w", p.ID, t.Name, p.Error)
			}
		}
		if t.Error != nil || len(t.Partitions) == 0 {
			return errors.Join(fmt.Errorf("topic %s has no partitions yet", t.Name), t.Error)
		}
	}
	return leadersKnow(ctx, c, meta.Topics)
}

// leadersKnow asks the leaders themselves: the cluster's metadata name a leader
// some milliseconds before it takes the part.
func leadersKnow(ctx context.Context, c *kafka.Client, topics []kafka.Topic) error {
	ask := map[string][]kafka.OffsetRequest{}
	for _, t := range topics {
		for _, p := range t.Partitions {
			ask[t.Name] = append(ask[t.Name], kafka.LastOffsetOf(p.ID))
		}
	}
	response, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: ask})
	if err != nil {
		return err
	}
	for name, partitions := range response.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return fmt.Errorf("partition %d of %s: %w", p.Partition, name, p.Error)
			}
		}
	}
	return nil
}

// answers is the readiness of a broker: the whole cluster is in its metadata, so it has joined and the controller lets it work.
// A controller of its own is ready when it listens: it works once the brokers do.
func (k *Kafka) answers(ctx context.Context, b *Broker) error {
	if !slices.Contains(k.brokers, b) {
		return listens(ctx, loopback(b.votePort))
	}
	return k.withClient([]string{b.DirectAddr()}, func(c *kafka.Client) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		meta, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{}})
		if err != nil {
			return err
		}
		for _, known := range meta.Brokers {
			if known.ID == b.id {
				return nil
			}
		}
		return fmt.Errorf("broker %d is not among the %d the cluster knows", b.id, len(meta.Brokers))
	})
}

func listens(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// withClient uses a client whose connections do not outlive the call: no goroutine of it may show up in a test that counts.
func (k *Kafka) withClient(addrs []string, use func(*kafka.Client) error) error {
	transport := &kafka.Transport{ClientID: "testenv", DialTimeout: time.Second}
	defer transport.CloseIdleConnections()
	return use(&kafka.Client{Addr: kafka.TCP(addrs...), Transport: transport, Timeout: requestLimit})
}
