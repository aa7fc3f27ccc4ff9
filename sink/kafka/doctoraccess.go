package kafka

import (
	"context"
	"errors"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/endtxn"
	meta "github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/cdcd-io/cdcd/resilience"
)

// transactionalID sees whether we may write under it. It offers to end a
// transaction of a producer that cannot exist: brokers look at the right first,
// and nothing comes of the rest.
func (e *examination) transactionalID(ctx context.Context) {
	id := e.cfg.transactionalID()
	ctx, cancel := e.l.cluster.withTimeout(ctx)
	defer cancel()
	res, err := e.l.cluster.dialer.ask(ctx, &endtxn.Request{TransactionalID: id, ProducerID: noSession.pid, ProducerEpoch: noSession.epoch})
	if err == nil {
		err = kafka.Error(res.(*endtxn.Response).ErrorCode)
	}
	if errors.Is(err, kafka.TransactionalIDAuthorizationFailed) {
		e.problem(err, "look at transactional id", id)
	}
}

// problem adds an error as a finding; at is the topic it is about, if any.
func (e *examination) problem(err error, op, at string) {
	e.findings = append(e.findings, resilience.Found(classify(e.l.cluster.denied(err, at), op, at)))
}

// may adds a finding for a topic on which we lack one of the rights.
func (e *examination) may(m *meta.ResponseTopic, rights ...kafka.ACLOperationType) bool {
	for _, right := range rights {
		if !allowed(m, right) {
			e.problem(&answer{kafka.TopicAuthorizationFailed, right.String() + " is not allowed"}, "look at topic", m.Name)
			return false
		}
	}
	return true
}

// allowed tells whether we have the right, as far as brokers tell.
func allowed(m *meta.ResponseTopic, right kafka.ACLOperationType) bool {
	const notTold = -1 << 31
	return m.TopicAuthorizedOperations == notTold || m.TopicAuthorizedOperations&(1<<right) != 0
}

// couldCreate lets the brokers look at the checkpoint topic as the first start
// would make it, without making it.
func (e *examination) couldCreate(ctx context.Context, name string) error {
	ctx, cancel := e.l.cluster.withTimeout(ctx)
	defer cancel()
	t := createtopics.RequestTopic{Name: name, NumPartitions: 1, ReplicationFactor: int16(e.cfg.CreateTopics.Replication)}
	for k, v := range e.cfg.checkpointSettings() {
		t.Configs = append(t.Configs, createtopics.RequestConfig{Name: k, Value: v})
	}
	res, err := e.l.cluster.dialer.ask(ctx, &createtopics.Request{
		Topics: []createtopics.RequestTopic{t}, TimeoutMs: int32(e.cfg.RequestTimeout.Milliseconds()), ValidateOnly: true,
	})
	if err != nil {
		return err
	}
	for _, t := range res.(*createtopics.Response).Topics {
		if code := kafka.Error(t.ErrorCode); code != 0 && code != kafka.NotController { // only old brokers do not pass it on
			return &answer{kafka.Error(t.ErrorCode), t.ErrorMessage}
		}
	}
	return nil
}

// readablePassword warns of a login that everybody on the way can read.
func (e *examination) readablePassword() {
	if e.cfg.SASL.Mechanism == "plain" && !e.cfg.TLS.Enabled {
		e.add(resilience.Warning, "readable_password", "use tls, or sasl.mechanism: scram-sha-512", "sasl.mechanism plain sends the password as it is, and tls is off")
	}
}
