package kafka

import (
	"context"
	"errors"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/resilience"
)

// verdict is what an error code of the broker means for a line.
type verdict uint8

const (
	endLine verdict = iota // Transient: start a new line, which begins with a new epoch
	again                  // the same bytes may be sent again in place
	done                   // it is there already
	fenced                 // a newer epoch exists
	stop                   // Fatal
)

// codes are the answers to Produce, AddPartitionsToTxn, EndTxn and
// InitProducerId that mean something of their own. All others end the line as
// Transient. "again" is honoured for Produce only; what may be repeated of the
// transaction calls is decided there.
var codes = map[kafka.Error]struct {
	verdict verdict
	name    string
	hint    string
}{
	kafka.DuplicateSequenceNumber: {verdict: done},

	kafka.LeaderNotAvailable:           {again, "leader_not_available", hintCopies},
	offsetNotAvailable:                 {again, "leader_not_available", ""},
	kafka.NotLeaderForPartition:        {again, "not_leader", ""},
	kafka.RequestTimedOut:              {again, "request_timed_out", hintCopies},
	kafka.BrokerNotAvailable:           {again, "broker_not_available", ""},
	kafka.ReplicaNotAvailable:          {again, "replica_not_available", ""},
	kafka.NetworkException:             {again, "network_exception", ""},
	kafka.NotEnoughReplicas:            {again, "not_enough_replicas", hintCopies},
	kafka.NotEnoughReplicasAfterAppend: {again, "not_enough_replicas", hintCopies},
	kafka.KafkaStorageError:            {again, "kafka_storage_error", ""},
	kafka.FencedLeaderEpoch:            {again, "not_leader", ""},
	kafka.UnknownLeaderEpoch:           {again, "not_leader", ""},
	kafka.UnknownTopicOrPartition:      {again, "unknown_topic", ""},
	kafka.ThrottlingQuotaExceeded:      {again, "throttled", ""},
	kafka.ConcurrentTransactions:       {again, "concurrent_transactions", ""},

	kafka.InvalidProducerEpoch:         {fenced, "producer_fenced", ""},
	kafka.ProducerFenced:               {fenced, "producer_fenced", ""},
	kafka.TransactionCoordinatorFenced: {fenced, "producer_fenced", ""},

	kafka.GroupLoadInProgress:          {endLine, "coordinator_not_available", ""},
	kafka.GroupCoordinatorNotAvailable: {endLine, "coordinator_not_available", hintCopies},
	kafka.NotCoordinatorForGroup:       {endLine, "coordinator_not_available", ""},

	kafka.OutOfOrderSequenceNumber: {endLine, "out_of_order_sequence", ""},
	kafka.UnknownProducerId:        {endLine, "unknown_producer_id", ""},
	kafka.InvalidProducerIDMapping: {endLine, "invalid_producer_id_mapping", ""},
	kafka.InvalidTransactionState:  {endLine, "invalid_txn_state", ""},
	kafka.InvalidMessage:           {endLine, "corrupt_message", ""},
	transactionAbortable:           {endLine, "transaction_abortable", ""},

	kafka.MessageSizeTooLarge: {stop, "batch_too_large",
		"raise max.message.bytes of the topic, or lower batch_bytes of this sink"},
	kafka.RecordListTooLarge: {stop, "batch_too_large",
		"raise segment.bytes of the topic, or lower batch_bytes of this sink"},
	kafka.InvalidTopic: {stop, "invalid_topic",
		"topic names may hold letters, digits, '.', '_' and '-', at most 249 of them"},
	kafka.InvalidRecord: {stop, "record_refused",
		"a compacted topic takes no records without a key: set cleanup.policy=delete, give the table a key, or set truncate: skip"},
	kafka.InvalidTransactionTimeout: {stop, "transaction_timeout_too_long",
		"lower transaction_timeout of this sink or raise transaction.max.timeout.ms of the brokers"},
	kafka.TopicAuthorizationFailed: {stop, "topic_not_authorized",
		"allow this user WRITE and DESCRIBE on the topic (kafka-acls.sh --add)"},
	kafka.ClusterAuthorizationFailed: {stop, "cluster_not_authorized",
		"allow this user IDEMPOTENT_WRITE on the cluster (kafka-acls.sh --add)"},
	kafka.TransactionalIDAuthorizationFailed: {stop, "transactional_id_not_authorized",
		"allow this user WRITE and DESCRIBE on the transactional id (kafka-acls.sh --add)"},
	kafka.SASLAuthenticationFailed: {stop, "authentication_failed",
		"check sasl.user and sasl.password of this sink"},
	kafka.IllegalSASLState: {stop, "sasl_unavailable",
		"this port of the brokers takes no login: use another, or leave sasl of this sink out"},
	kafka.UnsupportedSASLMechanism: {stop, "sasl_mechanism_unsupported",
		"check sasl.mechanism of this sink against sasl.enabled.mechanisms of the brokers"},
	kafka.UnsupportedVersion: {stop, "broker_too_old",
		"Kafka 2.5 or later is needed"},
	kafka.UnsupportedCompressionType: {stop, "compression_unsupported",
		"choose another compression for this sink"},
	kafka.PolicyViolation: {stop, "policy_violation",
		"the brokers' policy refuses this topic: see create_topics"},
	kafka.InvalidReplicationFactor: {stop, "invalid_replication_factor",
		"lower create_topics.replication: there are not that many brokers"},
	kafka.InvalidPartitionNumber: {stop, "invalid_partition_number",
		"see create_topics.partitions"},
	kafka.InvalidConfiguration: {stop, "invalid_topic_config",
		"see create_topics.config"},
}

// offsetNotAvailable is a new leader's answer until it knows what all copies
// have.
const offsetNotAvailable kafka.Error = 78

const hintCopies = "too few brokers have a copy of the partition, or one that hangs is still counted among them (min.insync.replicas): start the brokers that are down; " +
	"cdcd goes on by itself then"

// transactionAbortable is sent by brokers that know the newer transaction flow.
const transactionAbortable kafka.Error = 120

const hintUnreachable = "start the brokers, or check brokers, tls and sasl of this sink, what stands between, and the advertised.listeners of the brokers; " +
	"cdcd goes on by itself once they answer"

// verdictOf judges an error of a request. What is no answer of the broker is a
// lost connection or a time-out: it may be repeated where repeating is safe.
func verdictOf(err error) verdict {
	var named *resilience.Error
	if errors.As(err, &named) && named.Class == resilience.Fatal {
		return stop
	}
	var code kafka.Error
	if errors.As(err, &code) {
		return codes[code].verdict
	}
	return again
}

// classify gives an error of a request its meaning for whoever is not the
// sink. It leaves errors that have one alone.
func classify(err error, op, at string) error {
	var known *resilience.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	e := &resilience.Error{Class: resilience.Transient, Code: "kafka_unreachable", Op: op, At: at, Err: err, Hint: hintUnreachable}
	var code kafka.Error
	switch {
	case errors.As(err, &code):
		e.Class, e.Code, e.Hint = classOfCode(code)
	case errors.Is(err, context.Canceled):
		e.Code, e.Hint = "canceled", ""
	}
	var d *denial
	if errors.As(err, &d) {
		e.Hint = d.hint
	}
	return e
}

func classOfCode(code kafka.Error) (resilience.Class, string, string) {
	c, ok := codes[code]
	if !ok {
		return resilience.Transient, "kafka_error", ""
	}
	switch c.verdict {
	case stop:
		return resilience.Fatal, c.name, c.hint
	case fenced:
		return resilience.Fenced, c.name, "another process writes under this transactional.id"
	}
	return resilience.Transient, c.name, c.hint
}
