package kafka

import (
	"context"
	"encoding/json"
	"errors"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	meta "github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// takeOver gets a session: whatever it takes the first time in a term, later
// only if nobody newer came. Brokers also raise the epoch when they end a
// transaction by time-out; then nobody claimed the pipeline and it is ours.
func (s *Sink) takeOver(ctx context.Context, l *line) error {
	err := l.producer.init(ctx, s.session)
	if !epochRefused(err) {
		return classify(err, "get producer id", l.producer.id)
	}
	if e := l.refuseNewer(ctx, false); e != nil {
		return e
	}
	if err = l.producer.init(ctx, noSession); epochRefused(err) {
		return epochLost(err) // somebody else is taking over at this moment
	}
	return classify(err, "get producer id", l.producer.id)
}

// takeOverAndSettle gets a session and ends what the brokers forgot to end. The
// session that did so does nothing else: who finds it in a note may use it.
func (s *Sink) takeOverAndSettle(ctx context.Context, l *line, told checkpoint.Checkpoint) error {
	if err := l.log.readTail(ctx); err != nil {
		return err
	}
	if err := l.resume(ctx, l.log.note); err != nil {
		return err
	}
	for range settleRounds {
		if err := s.takeOver(ctx, l); err != nil {
			return err
		}
		s.session = l.producer.session
		if checkpoint.After(s.told, told) {
			told = s.told
		}
		acted, err := l.settle(ctx, told)
		if err != nil || !acted {
			return err
		}
		p := l.m.partition(l.checkpointKey())
		p.seq, p.check = 0, unchecked
	}
	return l.forgetful()
}

func epochRefused(err error) bool {
	return err != nil && (verdictOf(err) == fenced || errors.Is(err, kafka.InvalidProducerIDMapping))
}

// refuseNewer reads the checkpoint topic and stops if a newer term claimed it.
func (l *line) refuseNewer(ctx context.Context, settled bool) error {
	if err := l.log.read(ctx, settled); err != nil {
		return err
	}
	o, err := l.log.owner()
	if err == nil && o.newerThan(l.me) {
		err = fencedBy(o, l.producer.id, errors.New("its claim is in the checkpoint topic"))
	}
	return err
}

// reach sees that brokers talk to us, and what they say of their cluster.
func (l *line) reach(ctx context.Context) (*meta.Response, error) {
	var res *meta.Response
	err := l.checkVersions(ctx)
	if err == nil {
		res, err = l.cluster.metadata(ctx)
	}
	if err != nil {
		ctx, cancel := l.cluster.withTimeout(ctx)
		defer cancel()
		err = l.cluster.dialer.loginWanted(ctx, err)
	}
	return res, classify(err, "connect", l.cluster.String())
}

// checkVersions refuses brokers that cannot tell an old owner from a new one.
func (l *line) checkVersions(ctx context.Context) error {
	ctx, cancel := l.cluster.withTimeout(ctx)
	defer cancel()
	res, err := l.cluster.client.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return l.cluster.explain(ctx, err)
	}
	for _, k := range res.ApiKeys {
		if k.ApiKey == int(protocol.InitProducerId) && k.MaxVersion >= 3 {
			return nil
		}
	}
	return resilience.Errorf(resilience.Fatal, "broker_too_old", "connect", "the brokers do not know InitProducerId version 3").
		WithHint("%s", codes[kafka.UnsupportedVersion].hint)
}

// checkpointTopic finds the checkpoint topic, or makes it at a first start.
func (l *line) checkpointTopic(ctx context.Context, mirror checkpoint.Checkpoint) (*topic, error) {
	name := l.log.topic
	m, err := describe(ctx, l.cluster, name)
	if err == nil && m == nil && !mirror.IsZero() {
		m, err = awaitTopic(ctx, l.cluster, name)
	}
	if err == nil && m == nil {
		if !mirror.IsZero() {
			return nil, resilience.Errorf(resilience.Fatal, "checkpoint_topic_missing", "connect",
				"the checkpoint topic %s is gone, and this pipeline ran before (seq %d)", name, mirror.Position.Seq).
				WithHint("restore the topic; if its cluster is a new one, %s", resilience.StartOver)
		}
		r := l.cfg.CreateTopics.Replication
		if err = l.cluster.create(ctx, name, 1, r, l.cfg.checkpointSettings()); err == nil {
			m, err = awaitTopic(ctx, l.cluster, name)
		}
	}
	if err == nil && m == nil {
		err = kafka.UnknownTopicOrPartition
	}
	if err != nil {
		return nil, classify(err, "find checkpoint topic", name)
	}
	if n := len(m.Partitions); n != 1 {
		return nil, resilience.Errorf(resilience.Fatal, "checkpoint_topic_partitions", "connect", "topic %s has %d partitions", name, n).
			WithHint("it must have one: then its records have an order")
	}
	t := &topic{name: name, partitions: 1, maxBytes: defaultMaxMessage, pinned: true, leaders: make([]int32, 1)}
	t.setLeaders(m)
	return t, nil
}

// restore takes over what the topic holds and compares it with the mirror.
func (l *line) restore(mirror checkpoint.Checkpoint) error {
	cp, err := l.log.checkpoint()
	if err != nil {
		return err
	}
	pins, err := l.log.partitions()
	if err != nil {
		return err
	}
	if !cp.IsZero() {
		if err := checkpoint.Verify(cp, l.cfg.Installation, l.cfg.Pipeline); err != nil {
			return err
		}
	}
	if !mirror.IsZero() && checkpoint.After(mirror, cp) {
		if cp, err = l.behind(cp, mirror); err != nil {
			return err
		}
	}
	l.cp = cp
	l.cp.Term = l.me.Term
	l.topics = newTopics(l.cfg, l.cluster, pins)
	return nil
}

// behind decides what a mirror ahead of the topic means. In at_least_once both
// are written after the data and either may be the later one; in exactly_once
// the topic is written first, so it lost something.
func (l *line) behind(cp, mirror checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	if !l.cfg.exactlyOnce() && !cp.IsZero() && mirror.Generation == cp.Generation {
		return clone(mirror), nil
	}
	return cp, resilience.Errorf(resilience.Fatal, "checkpoint_behind_mirror", "connect",
		"topic %s is at generation %d, seq %d, and the stored checkpoint at generation %d, seq %d: the topic lost records or is another one",
		l.log.topic, cp.Generation, cp.Position.Seq, mirror.Generation, mirror.Position.Seq).
		WithHint("if the records behind the topic's position are gone too, remove the stored checkpoint and go on from the topic")
}

// clone returns a copy whose position may be changed.
func clone(c checkpoint.Checkpoint) checkpoint.Checkpoint {
	c.Position = c.Position.Clone()
	return c
}

// claim writes down that this process in this term owns the pipeline, once.
func (l *line) claim(ctx context.Context) error {
	if o, _ := l.log.owner(); o == l.me {
		return nil
	}
	value, err := json.Marshal(l.me)
	if err != nil {
		return err
	}
	return l.write(ctx, entry{keyOwner, value})
}
