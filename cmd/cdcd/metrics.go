package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/sink/kafka"
	"github.com/cdcd-io/cdcd/sink/redis"
)

// sinkMetrics counts what drivers of sinks tell of themselves, beside what the
// pipeline tells of every sink.
type sinkMetrics struct {
	txnOpen, txnEnd, produce *prometheus.HistogramVec
	records, retries         *prometheus.CounterVec
	splits, keyOnly          *prometheus.CounterVec
	forgotten                *prometheus.CounterVec

	unlink                     *prometheus.HistogramVec
	rendered, unlinked, missed *prometheus.CounterVec
	repeated, refilled         *prometheus.CounterVec
	rewinds, gaps, scripts     *prometheus.CounterVec
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

		unlink:   m.Histogram("cdcd_redis_delete_seconds", "How long Redis took to acknowledge a group of deletes."),
		rendered: m.Counter("cdcd_redis_keys_rendered_total", "Keys of changed rows, before those that are the same were merged."),
		unlinked: m.Counter("cdcd_redis_keys_deleted_total", "Keys that Redis was told to delete."),
		missed:   m.Counter("cdcd_redis_keys_absent_total", "Those of them that were not there."),
		repeated: m.Counter("cdcd_redis_keys_repeated_total", "Keys that were deleted again because the source did not show the change at the first time."),
		refilled: m.Counter("cdcd_redis_keys_refilled_total", "Those of them that were there again."),
		rewinds:  m.Counter("cdcd_redis_rewinds_total", "Returns to an earlier position because Redis had lost deletes."),
		gaps:     m.Counter("cdcd_redis_gaps_total", "Starts over entries that may have missed a delete."),
		scripts:  m.Counter("cdcd_redis_script_loads_total", "Times that Redis had forgotten the script."),
	}
}

// redis returns what counts for the pipeline of that name.
func (m *sinkMetrics) redis(pipeline string) redis.Observer {
	if m == nil {
		return redis.Observer{}
	}
	unlink, rendered, unlinked := m.unlink.WithLabelValues(pipeline), m.rendered.WithLabelValues(pipeline), m.unlinked.WithLabelValues(pipeline)
	missed, rewinds, gaps, scripts := m.missed.WithLabelValues(pipeline), m.rewinds.WithLabelValues(pipeline), m.gaps.WithLabelValues(pipeline), m.scripts.WithLabelValues(pipeline)
	repeated, refilled := m.repeated.WithLabelValues(pipeline), m.refilled.WithLabelValues(pipeline)
	return redis.Observer{
		Repeated: func(keys, existed int) {
			repeated.Add(float64(keys))
			refilled.Add(float64(existed))
		},
		Deleted: func(all, keys, existed int, took time.Duration) {
			unlink.Observe(took.Seconds())
			rendered.Add(float64(all))
			unlinked.Add(float64(keys))
			missed.Add(float64(keys - existed))
		},
		ScriptLoaded: scripts.Inc,
		Rewound:      func(uint64, uint64) { rewinds.Inc() },
		Gap:          func(redis.OnGap, int) { gaps.Inc() },
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
