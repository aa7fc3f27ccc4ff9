package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
)

// Metrics is the registry of a daemon. Names are cdcd_<stage>_<what>_<unit>;
// every metric carries the label pipeline.
type Metrics struct {
	registry *prometheus.Registry

	readTx, readRows, readBytes *prometheus.CounterVec
	readLatency                 *prometheus.HistogramVec
	encodeSeconds               *prometheus.HistogramVec
	sinkTx, sinkRows, sinkBytes *prometheus.CounterVec
	sinkSeconds, latency        *prometheus.HistogramVec
	saves                       *prometheus.HistogramVec
	retries, stalls             *prometheus.CounterVec
	starts, lineErrors, gaps    *prometheus.CounterVec
	rowChanges                  *prometheus.CounterVec

	chunks, chunksGivenUp            *prometheus.CounterVec
	chunkRows, chunkDrops, chunkSize *prometheus.CounterVec
}

// seconds are the buckets of all histograms: from half a millisecond, where
// delivery is at its best, to the minutes of an outage.
var seconds = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300}

// NewMetrics returns a registry with nothing counted yet.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.readTx = m.Counter("cdcd_read_transactions_total", "Source transactions read.")
	m.readRows = m.Counter("cdcd_read_rows_total", "Captured row changes read.")
	m.readBytes = m.Counter("cdcd_read_bytes_total", "Raw bytes of captured row events read.")
	m.readLatency = m.Histogram("cdcd_read_latency_seconds", "From the commit on the source to having read the transaction; the oldest of each unit.")
	m.encodeSeconds = m.Histogram("cdcd_encode_seconds", "Time one worker took to render a unit.")
	m.sinkTx = m.Counter("cdcd_sink_transactions_total", "Source transactions made durable in the sink.")
	m.sinkRows = m.Counter("cdcd_sink_rows_total", "Captured row changes made durable in the sink.")
	m.sinkBytes = m.Counter("cdcd_sink_bytes_total", "Rendered bytes made durable in the sink.")
	m.sinkSeconds = m.Histogram("cdcd_sink_seconds", "From handing a unit to the sink to its being durable.")
	m.latency = m.Histogram("cdcd_pipeline_latency_seconds", "From the commit on the source to being durable in the sink; the oldest of each unit.")
	m.saves = m.Histogram("cdcd_checkpoint_save_seconds", "Time to store a checkpoint; the count is the number of saves.")
	m.retries = m.Counter("cdcd_pipeline_retries_total", "Waits for a transient error to pass.", "where")
	m.stalls = m.Counter("cdcd_pipeline_stalls_total", "Stages found without progress by the watchdog.", "stage")
	m.starts = m.Counter("cdcd_pipeline_starts_total", "Lines started from a checkpoint.")
	m.lineErrors = m.Counter("cdcd_pipeline_errors_total", "Lines ended by an error.", "class", "code")
	m.gaps = m.Counter("cdcd_gaps_total", "Times that changes were lost and the pipeline went on behind them.")
	m.rowChanges = m.Counter("cdcd_row_changing_ddl_total", "DDL statements that may have changed rows of a table without row events.", "action")
	m.chunks = m.Counter("cdcd_snapshot_chunks_total", "Chunks of tables read and merged into the stream.")
	m.chunksGivenUp = m.Counter("cdcd_snapshot_chunks_given_up_total", "Chunks of tables given up and read again.", "reason")
	m.chunkRows = m.Counter("cdcd_snapshot_rows_total", "Rows of tables read by snapshots.")
	m.chunkDrops = m.Counter("cdcd_snapshot_dropped_rows_total", "Rows read by snapshots that left as changes instead, because the stream touched them meanwhile.")
	m.chunkSize = m.Counter("cdcd_snapshot_bytes_total", "Raw bytes of rows read by snapshots.")
	return m
}

// Counter registers a counter with the label pipeline and those given. It is for
// drivers, whose metrics whoever wires them makes.
func (m *Metrics) Counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"pipeline"}, labels...))
	m.registry.MustRegister(c)
	return c
}

// Histogram registers a histogram of seconds with the label pipeline.
func (m *Metrics) Histogram(name, help string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, []string{"pipeline"})
	m.registry.MustRegister(h)
	return h
}

// CounterFunc registers a counter of one pipeline that is read whenever somebody
// asks.
func (m *Metrics) CounterFunc(name, help, pipeline string, read func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: name, Help: help, ConstLabels: prometheus.Labels{"pipeline": pipeline},
	}, read))
}

// Observer returns what counts the events of the pipeline of that name.
func (m *Metrics) Observer(name string) pipeline.Observer {
	readTx, readRows, readBytes := m.readTx.WithLabelValues(name), m.readRows.WithLabelValues(name), m.readBytes.WithLabelValues(name)
	readLatency, encode, saves := m.readLatency.WithLabelValues(name), m.encodeSeconds.WithLabelValues(name), m.saves.WithLabelValues(name)
	starts := m.starts.WithLabelValues(name)
	return pipeline.Observer{
		UnitRead: func(u pipeline.UnitStats) {
			readTx.Add(float64(u.Transactions))
			readRows.Add(float64(u.Rows))
			readBytes.Add(float64(u.RawBytes))
			span(readLatency, u.OldestCommit, u.Read)
		},
		UnitEncoded: func(_ pipeline.UnitStats, took time.Duration) { encode.Observe(took.Seconds()) },
		UnitDone:    m.unitDone(name),
		Saved:       func(took time.Duration) { saves.Observe(took.Seconds()) },
		Retrying: func(where string, _ resilience.State) {
			m.retries.WithLabelValues(name, where).Inc()
		},
		Gap: m.gaps.WithLabelValues(name).Inc,
		RowChangingDDL: func(reread bool) {
			action := pipeline.RowChangingWarn
			if reread {
				action = pipeline.RowChangingSnapshot
			}
			m.rowChanges.WithLabelValues(name, action).Inc()
		},
		Stalled:     func(stage string) { m.stalls.WithLabelValues(name, stage).Inc() },
		ChunkMerged: m.chunkMerged(name),
		ChunkGivenUp: func(why snapshot.Reason) {
			m.chunksGivenUp.WithLabelValues(name, why.String()).Inc()
		},
		LineStarted: func() { starts.Inc() },
		LineEnded: func(err error) {
			if err != nil {
				m.lineErrors.WithLabelValues(name, resilience.ClassOf(err).String(), resilience.CodeOf(err)).Inc()
			}
		},
	}
}

func (m *Metrics) chunkMerged(name string) func(pipeline.ChunkStats) {
	chunks, rows := m.chunks.WithLabelValues(name), m.chunkRows.WithLabelValues(name)
	drops, size := m.chunkDrops.WithLabelValues(name), m.chunkSize.WithLabelValues(name)
	return func(c pipeline.ChunkStats) {
		chunks.Inc()
		rows.Add(float64(c.Rows))
		drops.Add(float64(c.Dropped))
		size.Add(float64(c.Bytes))
	}
}

func (m *Metrics) unitDone(name string) func(pipeline.UnitStats) {
	tx, rows, bytes := m.sinkTx.WithLabelValues(name), m.sinkRows.WithLabelValues(name), m.sinkBytes.WithLabelValues(name)
	took, latency := m.sinkSeconds.WithLabelValues(name), m.latency.WithLabelValues(name)
	return func(u pipeline.UnitStats) {
		tx.Add(float64(u.Transactions))
		rows.Add(float64(u.Rows))
		bytes.Add(float64(u.PackedBytes))
		span(took, u.Sent, u.Done)
		span(latency, u.OldestCommit, u.Done)
	}
}

// span observes the time between two moments, where both are known. Clocks of
// two machines differ: a negative span is none.
func span(h prometheus.Observer, from, to time.Time) {
	if !from.IsZero() && !to.IsZero() {
		h.Observe(max(0, to.Sub(from).Seconds()))
	}
}
