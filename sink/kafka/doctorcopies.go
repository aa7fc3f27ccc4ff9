package kafka

import (
	"fmt"
	"maps"
	"strconv"

	meta "github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/cdcd-io/cdcd/resilience"
)

const keyInSync = "min.insync.replicas"

// checkpointSettings are those of the checkpoint topic: the position must be
// worth as much as the changes.
func (c *Config) checkpointSettings() map[string]string {
	s := maps.Clone(checkpointTopicConfig)
	if v, ok := c.CreateTopics.Config[keyInSync]; ok {
		s[keyInSync] = v
	}
	return s
}

// replication looks at what an acknowledgement is worth: with acks=all it means
// as many copies as min.insync.replicas says.
func (e *examination) replication() {
	copies := e.cfg.CreateTopics.Replication
	if copies < 0 {
		copies = number(e.broker["default.replication.factor"])
	}
	if brokers := len(e.meta.Brokers); copies > brokers {
		e.add(resilience.Problem, "replication", fmt.Sprintf("start the other brokers, or set create_topics.replication to at most %d", brokers),
			"new topics are to have %d copies and there are %s", copies, resilience.Count(brokers, "broker"))
		return
	}
	inSync, ok := e.cfg.CreateTopics.Config[keyInSync]
	if !ok {
		inSync = e.broker[keyInSync]
	}
	create := "set create_topics: {replication: 3, config: {min.insync.replicas: \"2\"}}"
	if e.copies("new topics", create, copies, number(inSync)) {
		e.add(resilience.Good, "min_insync_replicas", "", "new topics have %s, acks=all waits for %s of them (min.insync.replicas)", countCopies(copies), inSync)
	}
	e.copies("the log of transactions (__transaction_state)", "set transaction.state.log.replication.factor=3 and transaction.state.log.min.isr=2 before its first use",
		number(e.broker["transaction.state.log.replication.factor"]), number(e.broker["transaction.state.log.min.isr"]))
}

// copies judges how many copies there are and how many must be written before
// something counts as delivered. It reports whether all is well; where a number
// is not known (0), nothing can be said.
func (e *examination) copies(what, fix string, copies, inSync int) (good bool) {
	worry := func(s resilience.Severity, format string, args ...any) bool {
		e.add(s, "min_insync_replicas", fix, what+" "+format, args...)
		return false
	}
	switch {
	case copies == 0 || inSync == 0:
		return false
	case inSync > copies:
		return worry(resilience.Problem, "have %s and min.insync.replicas is %d: nothing could ever be written", countCopies(copies), inSync)
	case len(e.meta.Brokers) == 1:
		return true
	case copies == 1:
		return worry(resilience.Warning, "have one copy: it stands still while its broker is down, and is lost with its disk")
	case inSync == 1:
		return worry(resilience.Warning, "have min.insync.replicas 1: a broker that dies may take acknowledged changes along")
	case inSync == copies:
		return worry(resilience.Warning, "have %s and min.insync.replicas %d: nothing can be written while one broker is down", countCopies(copies), inSync)
	}
	return true
}

// topicCopies judges an existing topic.
func (e *examination) topicCopies(m *meta.ResponseTopic, settings map[string]string) {
	copies := len(m.Partitions[0].ReplicaNodes)
	for _, p := range m.Partitions {
		copies = min(copies, len(p.ReplicaNodes))
	}
	fix := "kafka-reassign-partitions.sh gives it more copies; " + alterTopic(m.Name, keyInSync+"=2")
	e.copies("records of topic "+m.Name, fix, copies, number(settings[keyInSync]))
}

func countCopies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return strconv.Itoa(n) + " copies"
}

// number reads a setting; 0 when it is not there.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
