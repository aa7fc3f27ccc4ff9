package kafka

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"
	meta "github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/cdcd-io/cdcd/resilience"
)

// topic is what a line knows of one topic. Only leaders changes.
type topic struct {
	name       string
	partitions int32
	maxBytes   int  // max.message.bytes
	pinned     bool // its partition count was in the checkpoint when the line began

	mu      sync.Mutex
	leaders []int32
}

func (t *topic) leader(part int32) int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leaders[part]
}

func (t *topic) setLeaders(m *meta.ResponseTopic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range m.Partitions {
		if int(p.PartitionIndex) < len(t.leaders) {
			t.leaders[p.PartitionIndex] = p.LeaderID
		}
	}
}

// topics are the topics of one line; they are looked up, and made, when the
// first record for them comes.
type topics struct {
	cfg     *Config
	cluster *cluster
	pins    map[string]int32 // partition counts by the checkpoint

	mu     sync.Mutex
	known  map[string]*topic
	failed error // of a lookup: it ends the line, so the others need not wait for theirs
}

func newTopics(cfg *Config, c *cluster, pins map[string]int32) *topics {
	return &topics{cfg: cfg, cluster: c, pins: pins, known: map[string]*topic{}}
}

// topic implements topicSource. Lookups of packers wait for one another: a
// topic is made once.
func (ts *topics) topic(name string) (*topic, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.known[name]; t != nil {
		return t, nil
	}
	if ts.failed != nil {
		return nil, ts.failed
	}
	t, err := ts.look(ts.cluster.ctx, name)
	if err != nil {
		ts.failed = classify(err, "look up topic", name)
		return nil, ts.failed
	}
	ts.known[name] = t
	return t, nil
}

func (ts *topics) look(ctx context.Context, name string) (*topic, error) {
	if !validTopic(name) {
		return nil, resilience.Errorf(resilience.Fatal, "invalid_topic", "look up topic", "%q is no topic name", name).
			WithHint("%s", codes[kafka.InvalidTopic].hint)
	}
	m, err := ts.find(ctx, name)
	if err != nil {
		return nil, err
	}
	limit, err := ts.maxBytes(ctx, name)
	if err != nil {
		return nil, err
	}
	t := &topic{name: name, partitions: int32(len(m.Partitions)), leaders: make([]int32, len(m.Partitions)), maxBytes: limit}
	t.setLeaders(m)
	t.pinned = ts.pins[name] == t.partitions
	return t, ts.checkPin(t)
}

// find returns the topic's metadata, after making it where that is allowed.
func (ts *topics) find(ctx context.Context, name string) (*meta.ResponseTopic, error) {
	m, err := describe(ctx, ts.cluster, name)
	if err != nil || m != nil {
		return m, err
	}
	if _, existed := ts.pins[name]; existed {
		if m, err = awaitTopic(ctx, ts.cluster, name); err != nil || m != nil {
			return m, err
		}
		if ts.cfg.DeletedTopics == policyStop {
			return nil, topicDeleted(name)
		}
	}
	c := ts.cfg.CreateTopics
	if !c.Enabled {
		return nil, resilience.Errorf(resilience.Fatal, "topic_missing", "look up topic", "topic %s does not exist", name).
			WithHint("create it, or let cdcd do so with create_topics: {enabled: true}")
	}
	if err := ts.cluster.create(ctx, name, c.Partitions, c.Replication, c.Config); err != nil {
		return nil, classify(err, "create topic", name)
	}
	if m, err = awaitTopic(ctx, ts.cluster, name); err == nil && m == nil {
		err = kafka.UnknownTopicOrPartition
	}
	return m, err
}

// absence is how long a topic must be unknown before it counts as missing. A
// broker may learn late of one that was just made, and one that has just
// started may not know the old ones yet.
const absence = 10 * time.Second

// awaitTopic is describe for a topic that ought to be there.
func awaitTopic(ctx context.Context, c *cluster, name string) (*meta.ResponseTopic, error) {
	return await(ctx, func() (*meta.ResponseTopic, error) { return describe(ctx, c, name) })
}

func await(ctx context.Context, describe func() (*meta.ResponseTopic, error)) (*meta.ResponseTopic, error) {
	until := time.Now().Add(absence)
	for attempt := 1; ; attempt++ {
		m, err := describe()
		notYet := err == nil && m == nil || errors.Is(err, kafka.LeaderNotAvailable)
		if !notYet || !time.Now().Before(until) {
			return m, err
		}
		if !sleep(ctx, backoff(attempt)) {
			return nil, context.Cause(ctx)
		}
	}
}

func topicDeleted(name string) error {
	return resilience.Errorf(resilience.Fatal, "topic_deleted", "look up topic", "topic %s was written to and is gone", name).
		WithHint("restore it, or start it anew without its old records with deleted_topics: recreate")
}

// describe asks the brokers for a topic; nil means that there is none. What
// the transport's cache does not have is asked for by name: then brokers also
// tell that a topic is none of our business, and do not hide it.
func describe(ctx context.Context, c *cluster, name string) (*meta.ResponseTopic, error) {
	m, err := describeWith(ctx, c.metadata, name)
	if err == nil && m == nil {
		if m, err = describeWith(ctx, c.askForMetadata, name); m != nil {
			c.transport.CloseIdleConnections() // it shall know the topic too
		}
	}
	return m, c.denied(err, name)
}

type metadataFunc func(ctx context.Context, topics ...string) (*meta.Response, error)

func describeWith(ctx context.Context, ask metadataFunc, name string) (*meta.ResponseTopic, error) {
	res, err := ask(ctx, name)
	if err != nil {
		return nil, err
	}
	m := res.Topics[0]
	switch code := kafka.Error(m.ErrorCode); {
	case code == kafka.UnknownTopicOrPartition:
		return nil, nil
	case code != 0 && code != kafka.LeaderNotAvailable:
		return nil, code
	case len(m.Partitions) == 0:
		return nil, kafka.LeaderNotAvailable
	}
	return &m, nil
}

// maxBytes is the topic's max.message.bytes, the brokers' default where they do
// not tell. That they cannot tell now is another thing: with a wrong limit, rows
// that fit would be refused, or batches sent that do not.
func (ts *topics) maxBytes(ctx context.Context, name string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, absence)
	defer cancel()
	var c map[string]string
	err := ts.cluster.patiently(ctx, func() (err error) {
		c, err = ts.cluster.configs(ctx, kafka.ResourceTypeTopic, name, "max.message.bytes")
		return err
	})
	if err != nil && verdictOf(err) == again {
		return 0, err
	}
	if n, err := strconv.Atoi(c["max.message.bytes"]); err == nil && n > headerSize {
		return n, nil
	}
	return defaultMaxMessage, nil // not allowed to look, or an old broker
}

// checkPin compares the partition count with the one the keys were spread over.
func (ts *topics) checkPin(t *topic) error {
	was, ok := ts.pins[t.name]
	if !ok || was == t.partitions || ts.cfg.PartitionChange == policyFollow {
		return nil
	}
	return partitionsChanged(t.name, was, t.partitions)
}

func partitionsChanged(name string, was, is int32) error {
	return resilience.Errorf(resilience.Fatal, "partition_count_changed", "look up topic",
		"topic %s has %d partitions and had %d: keys would move to other partitions, out of order with what is there", name, is, was).
		WithHint("when its consumers have read all, go on with partition_change: follow")
}

// compare finds topics whose partition count is no longer the one in use.
func (ts *topics) compare(ctx context.Context) error {
	ts.mu.Lock()
	known := make([]*topic, 0, len(ts.known))
	names := make([]string, 0, len(ts.known))
	for name, t := range ts.known {
		known, names = append(known, t), append(names, name)
	}
	ts.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	res, err := ts.cluster.metadata(ctx, names...)
	if err != nil {
		return nil // whoever writes will notice
	}
	for i, t := range known {
		m := &res.Topics[i]
		if m.ErrorCode != 0 || int32(len(m.Partitions)) == t.partitions {
			continue
		}
		if ts.cfg.PartitionChange == policyFollow {
			return resilience.Errorf(resilience.Transient, "partition_count_changed", "compare partitions",
				"topic %s has %d partitions now, not %d: starting anew", t.name, len(m.Partitions), t.partitions)
		}
		return partitionsChanged(t.name, t.partitions, int32(len(m.Partitions)))
	}
	return nil
}
