package kafka

import (
	"context"
	"fmt"
	"io"
	"testing"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/resilience"
)

func TestErrorsHaveTheirClass(t *testing.T) {
	tests := []struct {
		err     error
		verdict verdict
		class   resilience.Class
		code    string
	}{
		{kafka.NotLeaderForPartition, again, resilience.Transient, "not_leader"},
		{kafka.LeaderNotAvailable, again, resilience.Transient, "leader_not_available"},
		{kafka.Error(78), again, resilience.Transient, "leader_not_available"},
		{kafka.NotCoordinatorForGroup, endLine, resilience.Transient, "coordinator_not_available"},
		{kafka.IllegalSASLState, stop, resilience.Fatal, "sasl_unavailable"},
		{&answer{kafka.SASLAuthenticationFailed, "no such user"}, stop, resilience.Fatal, "authentication_failed"},
		{fmt.Errorf("dial: %w", refused("tls_verify", "a:1", io.EOF, "trust it")), stop, resilience.Fatal, "tls_verify"},
		{kafka.RequestTimedOut, again, resilience.Transient, "request_timed_out"},
		{kafka.NotEnoughReplicas, again, resilience.Transient, "not_enough_replicas"},
		{kafka.NotEnoughReplicasAfterAppend, again, resilience.Transient, "not_enough_replicas"},
		{kafka.UnknownTopicOrPartition, again, resilience.Transient, "unknown_topic"},
		{kafka.ThrottlingQuotaExceeded, again, resilience.Transient, "throttled"},
		{kafka.KafkaStorageError, again, resilience.Transient, "kafka_storage_error"},
		{kafka.ConcurrentTransactions, again, resilience.Transient, "concurrent_transactions"},
		{kafka.DuplicateSequenceNumber, done, resilience.Transient, ""},
		{kafka.OutOfOrderSequenceNumber, endLine, resilience.Transient, "out_of_order_sequence"},
		{kafka.UnknownProducerId, endLine, resilience.Transient, "unknown_producer_id"},
		{kafka.InvalidTransactionState, endLine, resilience.Transient, "invalid_txn_state"},
		{transactionAbortable, endLine, resilience.Transient, "transaction_abortable"},
		{kafka.Error(9999), endLine, resilience.Transient, "kafka_error"},
		{kafka.InvalidProducerEpoch, fenced, resilience.Fenced, "producer_fenced"},
		{kafka.ProducerFenced, fenced, resilience.Fenced, "producer_fenced"},
		{kafka.MessageSizeTooLarge, stop, resilience.Fatal, "batch_too_large"},
		{&answer{kafka.InvalidRecord, "no key"}, stop, resilience.Fatal, "record_refused"},
		{kafka.TopicAuthorizationFailed, stop, resilience.Fatal, "topic_not_authorized"},
		{kafka.TransactionalIDAuthorizationFailed, stop, resilience.Fatal, "transactional_id_not_authorized"},
		{kafka.InvalidTransactionTimeout, stop, resilience.Fatal, "transaction_timeout_too_long"},
		{fmt.Errorf("dial: %w", kafka.SASLAuthenticationFailed), stop, resilience.Fatal, "authentication_failed"},
		{io.ErrUnexpectedEOF, again, resilience.Transient, "kafka_unreachable"},
		{context.Canceled, again, resilience.Transient, "canceled"},
	}
	for _, tt := range tests {
		if got := verdictOf(tt.err); got != tt.verdict {
			t.Errorf("verdict of %v is %d, want %d", tt.err, got, tt.verdict)
		}
		err := classify(tt.err, "produce", "a/0")
		if resilience.ClassOf(err) != tt.class || resilience.CodeOf(err) != tt.code {
			t.Errorf("%v is %s %q, want %s %q", tt.err, resilience.ClassOf(err), resilience.CodeOf(err), tt.class, tt.code)
		}
	}
}

// Whoever has delivered waits for those who change passwords and rules.
func TestRefusedAccessIsWaitedOutOnceDelivered(t *testing.T) {
	for _, tt := range []struct {
		err       error
		delivered bool
		class     resilience.Class
	}{
		{kafka.SASLAuthenticationFailed, false, resilience.Fatal},
		{kafka.SASLAuthenticationFailed, true, resilience.Transient},
		{kafka.TopicAuthorizationFailed, true, resilience.Transient},
		{refused("tls_client_certificate", "a:1", io.EOF, "renew it"), true, resilience.Transient},
		{kafka.MessageSizeTooLarge, true, resilience.Fatal},
		{kafka.ProducerFenced, true, resilience.Fenced},
		{io.EOF, true, resilience.Transient},
	} {
		before := classify(tt.err, "produce", "a/0")
		after := patient(before, tt.delivered)
		if resilience.ClassOf(after) != tt.class || resilience.CodeOf(after) != resilience.CodeOf(before) || after.Error() != before.Error() {
			t.Errorf("delivered %v: %v becomes %s %v", tt.delivered, before, resilience.ClassOf(after), after)
		}
	}
	if patient(nil, true) != nil {
		t.Error("nil became an error")
	}
}

func TestEveryFatalCodeHasAHint(t *testing.T) {
	for code, c := range codes {
		if c.verdict == stop && c.hint == "" {
			t.Errorf("%d (%s) stops the pipeline without a hint", code, c.name)
		}
	}
}

// An answer to EndTxn or AddPartitionsToTxn that leaves open what was done must
// not look like one after which all is known.
func TestUnknownOutcomeIsNamed(t *testing.T) {
	for _, err := range []error{io.EOF, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup, kafka.RequestTimedOut} {
		got := outcomeUnknown(err, "end transaction", "id")
		if resilience.CodeOf(got) != "txn_outcome_unknown" || resilience.ClassOf(got) != resilience.Transient {
			t.Errorf("%v becomes %v", err, got)
		}
	}
	if got := outcomeUnknown(kafka.ProducerFenced, "end transaction", "id"); resilience.ClassOf(got) != resilience.Fenced {
		t.Errorf("a fenced writer hears %v", got)
	}
}
