package kafka

import (
	"context"
	"errors"
	"io"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// Reader reads what a sink has written: its topics and its checkpoint. It is a
// client of its own, has no consumer group, no producer id and no transactional
// id, and changes nothing: the sink may be at work meanwhile. It serves one
// goroutine.
type Reader struct {
	cfg     Config
	cluster *cluster
	log     *checkpointLog
}

// Message is one committed record. Its bytes belong to whoever gets it.
type Message struct {
	Partition  int32
	Offset     int64
	Time       time.Time
	Key, Value []byte // nil for null
	Oversize   bool   // it has the columns of its key only
}

// Extent is what there is of one partition: offsets from First to End, without
// End. The last ones may be undecided yet.
type Extent struct{ First, End int64 }

// headerOversize marks a row that has the columns of its key only.
const headerOversize = "cdcd.oversize"

// NewReader returns a reader of the topics of the sink with the configuration.
func NewReader(cfg Config, opts Options) (*Reader, error) {
	cfg.ClientID += "-verify"
	c, err := newCluster(&cfg, opts.Dial)
	if err != nil {
		return nil, resilience.Errorf(resilience.Fatal, "bad_config", "connect", "%w", err)
	}
	c.readOnly = true
	return &Reader{cfg: cfg, cluster: c, log: newCheckpointLog(c, cfg.checkpointTopic())}, nil
}

// Close ends all connections.
func (r *Reader) Close() { r.cluster.close() }

// Checkpoint returns what is stored, as far as that is decided; zero where
// nothing is.
func (r *Reader) Checkpoint(ctx context.Context) (checkpoint.Checkpoint, error) {
	if err := r.log.read(ctx, false); err != nil {
		return checkpoint.Checkpoint{}, err
	}
	return r.log.checkpoint()
}

// Extents returns what there is of each partition of a topic; none where there
// is no such topic.
func (r *Reader) Extents(ctx context.Context, topic string) ([]Extent, error) {
	m, err := describe(ctx, r.cluster, topic)
	if err != nil || m == nil {
		return nil, classify(err, "read topic", topic)
	}
	places := make([]place, len(m.Partitions))
	for i := range places {
		places[i] = place{topic, int32(i)}
	}
	list := make([]Extent, len(places))
	err = r.cluster.patiently(ctx, func() error { return r.extents(ctx, places, list) })
	return list, classify(err, "read topic", topic)
}

func (r *Reader) extents(ctx context.Context, places []place, list []Extent) error {
	first, err := r.cluster.offsets(ctx, readUncommitted, atStart, places)
	if err != nil {
		return err
	}
	end, err := r.cluster.offsets(ctx, readUncommitted, atEnd, places)
	if err != nil {
		return err
	}
	for i, p := range places {
		if err := errors.Join(first[p].err, end[p].err); err != nil {
			return err
		}
		list[i] = Extent{first[p].at, end[p].at}
	}
	return nil
}

// Read visits the records of a partition from an offset to another one, without
// the latter and without those of aborted transactions, in order. It waits for
// what is not decided yet, no longer than a transaction may be open.
func (r *Reader) Read(ctx context.Context, topic string, part int32, from, to int64, visit func(*Message) error) error {
	p := partitionReader{c: r.cluster, topic: topic, part: part, next: from}
	var refused error // by visit
	p.visit = func(b *protocol.RecordBatch, aborted bool) (err error) {
		refused, err = p.messages(b, to, aborted, visit)
		return errors.Join(refused, err)
	}
	moved := time.Now()
	for p.next < to {
		before := p.next
		err := r.cluster.patiently(ctx, func() error { return p.fetch(ctx) })
		switch {
		case refused != nil:
			return refused
		case errors.Is(err, kafka.OffsetOutOfRange):
			return historyGone(topic, part, p.next)
		case err != nil:
			return classify(err, "read topic", topic)
		case p.next > before:
			moved = time.Now()
		case time.Since(moved) > r.cfg.TransactionTimeout:
			return stuckAt(topic, part, p.next)
		}
	}
	return nil
}

// messages visits those records of a batch that are wanted: brokers answer with
// whole batches.
func (p *partitionReader) messages(b *protocol.RecordBatch, to int64, aborted bool, visit func(*Message) error) (refused, err error) {
	from := p.next
	for {
		rec, err := b.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		p.next = max(p.next, rec.Offset+1)
		if aborted || rec.Offset < from || rec.Offset >= to {
			continue
		}
		m, err := messageOf(rec, p.part)
		if err != nil {
			return nil, err
		}
		if err := visit(m); err != nil {
			return err, nil
		}
	}
}

func historyGone(topic string, part int32, at int64) error {
	return resilience.Errorf(resilience.Fatal, "topic_history_gone", "read topic", "offset %d was removed meanwhile", at).
		WithPlace("topic %s, partition %d", topic, part).WithHint("let the topic keep its records for longer: retention.ms, retention.bytes")
}

func stuckAt(topic string, part int32, at int64) error {
	return resilience.Errorf(resilience.Fatal, "topic_undecided", "read topic", "offset %d belongs to a transaction that does not end", at).
		WithPlace("topic %s, partition %d", topic, part).
		WithHint("the pipeline settles its own when it starts or writes there; kafka-transactions.sh find-hanging tells of others")
}

func messageOf(r *protocol.Record, part int32) (*Message, error) {
	m := &Message{Partition: part, Offset: r.Offset, Time: r.Time}
	var err error
	if m.Key, err = protocol.ReadAll(r.Key); err != nil {
		return nil, err
	}
	if m.Value, err = protocol.ReadAll(r.Value); err != nil {
		return nil, err
	}
	for _, h := range r.Headers {
		m.Oversize = m.Oversize || h.Key == headerOversize
	}
	return m, nil
}
