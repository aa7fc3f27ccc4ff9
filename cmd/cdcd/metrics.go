package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/sink/kafka"
)

// sinkMetrics counts what drivers of sinks tell of themselves, beside what the
// pipeline tells of every sink.
type sinkMetrics struct {
	txnOpen, txnEnd, produce *prometheus.HistogramVec
	records, retries         *prometheus.CounterVec
	splits, keyOnly          *prometheus.CounterVec
	forgotten                *prometheus.CounterVec
}

func newSinkMetrics(m *admin.Metrics) *sinkMetrics {
	return &sinkMetrics{
		txnOpen:   m.Histogram("cdcd_kafka_transaction_seconds", "How long Kafka transactions were open."),
		txnEnd:    m.Histogram("cdcd_kafka_commit_seconds", "How long the brokers took to commit Kafka transactions."),
		produce:   m.Histogram("cdcd_kafka_produce_seconds", "How long the brokers took to acknowledge produce requests."),
		records:   m.Counter("cdcd_kafka_records_total", "Records that the brokers acknowledged."),
		retries:   m.Counter("cdcd_kafka_retries_total", "Requests to brokers that were repeated."),
		keyOnly:   m.Counter("cdcd_kafka_key_only_rows_total", "Records of rows that were too large for their topic and left with their key only."),
		splits:    m.Counter("cdcd_kafka_splits_total", "Kafka transactions that ended inside a transaction of the source."),
		forgotten: m.Counter("cdcd_kafka_forgotten_transactions_total", "Transactions that the brokers forgot to end and that were ended later."),
	}
}

// kafka returns what counts for the pipeline of that name.
func (m *sinkMetrics) kafka(pipeline string) kafka.Observer {
	if m == nil {
		return kafka.Observer{}
	}
	open, end := m.txnOpen.WithLabelValues(pipeline), m.txnEnd.WithLabelValues(pipeline)
	produce, records, retries := m.produce.WithLabelValues(pipeline), m.records.WithLabelValues(pipeline), m.retries.WithLabelValues(pipeline)
	splits, keyOnly, forgotten := m.splits.WithLabelValues(pipeline), m.keyOnly.WithLabelValues(pipeline), m.forgotten.WithLabelValues(pipeline)
	return kafka.Observer{
		Txn: func(opened, ended time.Duration, _, _ int) {
			open.Observe(opened.Seconds())
			end.Observe(ended.Seconds())
		},
		Split:   splits.Inc,
		KeyOnly: keyOnly.Inc,
		Settled: func(kafka.Settlement) { forgotten.Inc() },
		Produced: func(took time.Duration, _, n, _ int) {
			produce.Observe(took.Seconds())
			records.Add(float64(n))
		},
		Retry: func(r kafka.Retry) {
			if r.Attempts > 0 {
				retries.Inc()
			}
		},
	}
}
