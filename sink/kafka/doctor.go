package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	kafka "github.com/segmentio/kafka-go"
	meta "github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// examination gathers findings about a cluster.
type examination struct {
	l        *line
	cfg      *Config
	meta     *meta.Response
	broker   map[string]string // settings of one broker
	saved    time.Time         // when the position was stored; zero before there is one
	findings []resilience.Finding
}

// Doctor implements resilience.Doctor. It makes no topic and no producer id.
func (s *Sink) Doctor(ctx context.Context) []resilience.Finding {
	l, err := s.newLine()
	if err != nil {
		return []resilience.Finding{resilience.Found(err)}
	}
	defer l.cluster.close()
	e := &examination{l: l, cfg: &s.cfg}
	if e.reach(ctx) {
		e.transactions()
		e.replication()
		e.readablePassword()
		e.transactionalID(ctx)
		e.checkpointTopic(ctx)
		e.dataTopics(ctx)
	}
	return e.findings
}

func (e *examination) add(s resilience.Severity, code, fix, format string, args ...any) {
	e.findings = append(e.findings, resilience.Finding{Severity: s, Code: code, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// reach connects and asks what everything else needs.
func (e *examination) reach(ctx context.Context) bool {
	var err error
	if e.meta, err = e.l.reach(ctx); err != nil {
		f := resilience.Found(err)
		e.findings = append(e.findings, f)
		return false
	}
	e.add(resilience.Good, "kafka_reachable", "", "the cluster answers, it has %s", resilience.Count(len(e.meta.Brokers), "broker"))
	if len(e.meta.Brokers) > 0 {
		id := strconv.Itoa(int(e.meta.Brokers[0].NodeID))
		e.broker, err = e.l.cluster.configs(ctx, kafka.ResourceTypeBroker, id)
	}
	if err != nil {
		e.add(resilience.Warning, "broker_settings", e.l.cluster.grant("cluster", "", "DescribeConfigs"),
			"the brokers do not show their settings, so that part is not checked: %v", err)
	}
	return true
}

// transactions compares our time-out with what the brokers allow.
func (e *examination) transactions() {
	n, err := strconv.Atoi(e.broker["transaction.max.timeout.ms"])
	if err != nil {
		return
	}
	limit := time.Duration(n) * time.Millisecond
	if e.cfg.TransactionTimeout > limit {
		e.add(resilience.Problem, "transaction_timeout", fmt.Sprintf("set transaction_timeout: %s, or raise transaction.max.timeout.ms of the brokers", limit),
			"transaction_timeout is %s, the brokers allow %s", resilience.Span(e.cfg.TransactionTimeout), resilience.Span(limit))
		return
	}
	e.add(resilience.Good, "transaction_timeout", "", "transaction_timeout %s is within the brokers' transaction.max.timeout.ms (%s)", resilience.Span(e.cfg.TransactionTimeout), resilience.Span(limit))
}

// checkpointTopic looks at the topic that holds the position.
func (e *examination) checkpointTopic(ctx context.Context) {
	name := e.cfg.checkpointTopic()
	m, err := describeWith(ctx, e.l.cluster.askForMetadata, name)
	if err == nil && m == nil {
		if err = e.couldCreate(ctx, name); err == nil {
			e.add(resilience.Good, "checkpoint_topic", "", "checkpoint topic %s does not exist yet: the first start makes it", name)
			return
		}
	}
	if err != nil {
		e.problem(err, "look at checkpoint topic", name)
		return
	}
	if !e.may(m, kafka.ACLOperationTypeRead, kafka.ACLOperationTypeWrite) {
		return
	}
	if n := len(m.Partitions); n != 1 {
		e.add(resilience.Problem, "checkpoint_topic_partitions", "a new transactional_id makes a new topic", "checkpoint topic %s has %d partitions, it must have 1", name, n)
	}
	c, err := e.l.cluster.configs(ctx, kafka.ResourceTypeTopic, name, "cleanup.policy", keyInSync)
	if err == nil {
		e.topicCopies(m, c)
	}
	if err == nil && c["cleanup.policy"] != "compact" {
		e.add(resilience.Problem, "checkpoint_topic_cleanup",
			alterTopic(name, "cleanup.policy=compact"),
			"cleanup.policy of checkpoint topic %s is %s: the position will be deleted", name, c["cleanup.policy"])
		return
	}
	e.position(ctx, name)
}

// position reads the checkpoint topic as far as it is decided.
func (e *examination) position(ctx context.Context, name string) {
	err := e.l.log.read(ctx, false)
	cp, e2 := e.l.log.checkpoint()
	if err == nil {
		err = e2
	}
	if err == nil && !cp.IsZero() {
		err = checkpoint.Verify(cp, e.cfg.Installation, e.cfg.Pipeline)
	}
	if err != nil {
		e.problem(err, "", "")
		return
	}
	e.saved = cp.Saved
	e.add(resilience.Good, "checkpoint_topic", "", "checkpoint topic %s is at seq %d", name, cp.Position.Seq)
}

// dataTopics looks at the topics that were written before.
func (e *examination) dataTopics(ctx context.Context) {
	pins, err := e.l.log.partitions()
	if err != nil {
		e.problem(err, "", "")
		return
	}
	names := make([]string, 0, len(pins))
	for name := range pins {
		names = append(names, name)
	}
	slices.Sort(names)
	ts := newTopics(e.cfg, e.l.cluster, pins)
	for _, name := range names {
		e.dataTopic(ctx, ts, name)
	}
}

func (e *examination) dataTopic(ctx context.Context, ts *topics, name string) {
	m, err := describeWith(ctx, e.l.cluster.askForMetadata, name)
	if err == nil && m == nil {
		if e.cfg.DeletedTopics == policyStop {
			err = topicDeleted(name)
		}
	} else if err == nil {
		err = ts.checkPin(&topic{name: name, partitions: int32(len(m.Partitions))})
	}
	if err != nil {
		e.problem(err, "look at topic", name)
		return
	}
	if m == nil || !e.may(m, kafka.ACLOperationTypeWrite) {
		return
	}
	if !allowed(m, kafka.ACLOperationTypeRead) {
		e.add(resilience.Warning, "topic_unreadable", e.l.cluster.grant("topic", name, "Read"),
			"topic %s may not be read: a transaction that brokers forget to end there could not be ended", name)
	}
	c, err := e.l.cluster.configs(ctx, kafka.ResourceTypeTopic, name, "cleanup.policy", "retention.ms", "message.timestamp.type", keyInSync)
	if err != nil {
		return
	}
	e.topicCopies(m, c)
	if away := time.Since(e.saved); !e.saved.IsZero() && outlived(c, away) {
		e.add(resilience.Warning, "topic_retention", "before the pipeline starts, "+alterTopic(name, "retention.ms=-1")+", and back once it has caught up",
			"the position was stored %s ago, and topic %s has retention.ms %s: a record's time is that of its commit, so what was committed meanwhile may be deleted as soon as it is written",
			resilience.Span(away), name, c["retention.ms"])
	}
	if strings.Contains(c["cleanup.policy"], "compact") {
		e.add(resilience.Warning, "compacted_topic", "set truncate: skip or stop, or "+alterTopic(name, "cleanup.policy=delete"),
			"topic %s is compacted and takes no records without a key: a TRUNCATE or a table without a key would stop the pipeline", name)
	}
}

// outlived reports whether a topic with the given settings deletes what was
// committed that long ago.
func outlived(topic map[string]string, away time.Duration) bool {
	kept, err := strconv.ParseInt(topic["retention.ms"], 10, 64)
	return err == nil && kept >= 0 && away.Milliseconds() > kept &&
		topic["message.timestamp.type"] != "LogAppendTime" && strings.Contains(topic["cleanup.policy"], "delete")
}

func alterTopic(name, setting string) string {
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name %s --add-config %s", name, setting)
}
