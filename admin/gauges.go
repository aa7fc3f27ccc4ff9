package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cdcd-io/cdcd/pipeline"
)

// gauge is a metric that is read off a pipeline whenever somebody asks.
type gauge struct {
	desc  *prometheus.Desc
	value func(s *pipeline.Status) float64
}

func newGauge(name, help string, value func(s *pipeline.Status) float64) gauge {
	return gauge{describe(name, help), value}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"pipeline"}, labels...), nil)
}

var gauges = []gauge{
	newGauge("cdcd_pipeline_lag_seconds", "Age of the oldest committed change that the sink has not acknowledged.",
		func(s *pipeline.Status) float64 { return s.LagSeconds }),
	newGauge("cdcd_pipeline_lag_transactions", "Source transactions read and not yet durable in the sink.",
		func(s *pipeline.Status) float64 { return float64(s.ReadSeq) - float64(min(s.Seq, s.ReadSeq)) }),
	newGauge("cdcd_pipeline_ready", "1 while the pipeline makes progress or has nothing to do.",
		func(s *pipeline.Status) float64 { return oneIf(s.Ready) }),
	newGauge("cdcd_pipeline_output_bytes", "Rendered bytes that wait for the sink or are in flight to it.",
		func(s *pipeline.Status) float64 { return float64(s.OutputBytes) }),
	newGauge("cdcd_buffer_ring_bytes", "Raw bytes in the ring between source and encoders.",
		func(s *pipeline.Status) float64 { return float64(s.RingBytes) }),
	newGauge("cdcd_buffer_spill_bytes", "Bytes of spilled transactions on disk.",
		func(s *pipeline.Status) float64 { return float64(s.SpillBytes) }),
	newGauge("cdcd_buffer_spilled_transactions", "Transactions of the running line that went through the disk.",
		func(s *pipeline.Status) float64 { return float64(s.SpilledTx) }),
	newGauge("cdcd_source_silence_seconds", "Time since the source was last heard of.",
		func(s *pipeline.Status) float64 { return age(s.LastEvent) }),
	newGauge("cdcd_sink_silence_seconds", "Time since the sink last acknowledged.",
		func(s *pipeline.Status) float64 { return age(s.LastAck) }),
	newGauge("cdcd_snapshot_tables_left", "Tables that are being read or wait to be.", tablesLeft),
	newGauge("cdcd_snapshot_speed_ratio", "How fast tables are read for the sake of the source, from 0 (not at all) to 1.",
		func(s *pipeline.Status) float64 {
			if s.SnapshotSpeed == nil {
				return 1
			}
			return *s.SnapshotSpeed
		}),
	newGauge("cdcd_gap_open", "1 while tables are read anew because changes were lost.",
		func(s *pipeline.Status) float64 { return oneIf(s.Gap != nil && !s.Gap.Closed) }),
	newGauge("cdcd_gap_timestamp_seconds", "When changes were lost last, as Unix time; 0 for never.",
		func(s *pipeline.Status) float64 {
			if s.Gap == nil {
				return 0
			}
			return float64(s.Gap.At.UnixMilli()) / 1000
		}),
}

func tablesLeft(s *pipeline.Status) (n float64) {
	for i := range s.Snapshot {
		if !s.Snapshot[i].Ended() {
			n++
		}
	}
	return n
}

var (
	stateDesc  = describe("cdcd_pipeline_state", "1 for the state that the pipeline is in.", "state")
	behindDesc = describe("cdcd_source_lag_bytes", "Bytes of the source's log after the stored position.")
	purgeDesc  = describe("cdcd_source_purge_seconds", "Time left until the source may purge the log that the stored position needs.")
	readDesc   = describe("cdcd_snapshot_progress_ratio", "How much of a table is read, guessed, from 0 to 1; only of tables that are being read.", "table")
	states     = []pipeline.State{pipeline.Starting, pipeline.Running, pipeline.Retrying, pipeline.Paused, pipeline.Stopped}
)

// collector reads all gauges of all pipelines.
type collector []Pipeline

func (m *Metrics) watch(ps []Pipeline) { m.registry.MustRegister(collector(ps)) }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges {
		ch <- g.desc
	}
	ch <- stateDesc
	ch <- behindDesc
	ch <- purgeDesc
	ch <- readDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range c {
		s := p.Status()
		for _, g := range gauges {
			ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(&s), s.Name)
		}
		for _, st := range states {
			ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, oneIf(st == s.State), s.Name, string(st))
		}
		c.survey(ch, p, s.Name)
		c.tables(ch, &s)
	}
}

// tables tells of those that are being read: as many as there are readers, never
// as many as there are tables.
func (c collector) tables(ch chan<- prometheus.Metric, s *pipeline.Status) {
	for i := range s.Snapshot {
		if t := &s.Snapshot[i]; t.Reading {
			ch <- prometheus.MustNewConstMetric(readDesc, prometheus.GaugeValue, t.Fraction(), s.Name, t.Table)
		}
	}
}

func (c collector) survey(ch chan<- prometheus.Metric, p Pipeline, name string) {
	sv, ok := p.Survey()
	if !ok {
		return
	}
	ch <- prometheus.MustNewConstMetric(behindDesc, prometheus.GaugeValue, float64(sv.BehindBytes), name)
	if sv.Expires {
		ch <- prometheus.MustNewConstMetric(purgeDesc, prometheus.GaugeValue, sv.PurgeIn.Seconds(), name)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// age is the time since t in seconds; 0 for never.
func age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return time.Since(t).Seconds()
}
