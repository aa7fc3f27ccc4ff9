package main

import (
	"errors"
	"io"
	"log/slog"
	"slices"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/format/cachekeys"
	"github.com/cdcd-io/cdcd/format/debezium"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/file"
	"github.com/cdcd-io/cdcd/sink/kafka"
	"github.com/cdcd-io/cdcd/sink/redis"
	"github.com/cdcd-io/cdcd/sink/terminal"
	"github.com/cdcd-io/cdcd/source"
)

// sinkTable is every kind of sink there is. A new one is a line here and a
// function below.
var sinkTable = map[string]func(decode func(any)) sinkSpec{
	"kafka":    kafkaSink,
	"file":     fileSink,
	"terminal": terminalSink,
	"redis":    redisSink,
}

// sinkSpec is a sink of the configuration, not yet open.
type sinkSpec struct {
	topic   string             // template of the names of topics; "" where the sink has none
	format  string             // kind of format it is made for; "" for the usual one
	shared  bool               // several pipelines may deliver to it
	keyOnly bool               // its rows may have to be rendered with their key only
	color   func(*system) bool // whether a person reads it in colour; nil for no
	open    func(d sinkDeps) sink.Sink
	keys    []cachekey.Rule // what it deletes, where it is a cache
	kafka   *kafka.Config   // where it is one
}

// sinkDeps are what a sink gets from the pipeline it belongs to.
type sinkDeps struct {
	installation, pipeline string
	json                   bool         // keys and values are JSON
	out                    io.Writer    // standard output
	metrics                *sinkMetrics // nil where nobody counts
	log                    *slog.Logger // nil where nobody reads it
	// watermark opens what tells of the source what it shows; nil where nothing is
	// delivered.
	watermark func() source.Watermark
}

func sinkKinds() []string {
	var kinds []string
	for k := range sinkTable {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// kafkaSection is the driver's section and the template of the topics, which
// stands with the brokers because that is where a person looks for it.
type kafkaSection struct {
	Topic        string `yaml:"topic"`
	kafka.Config `yaml:",inline"`
}

// Validate tells what is wrong with the section.
func (k *kafkaSection) Validate() error {
	return errors.Join(k.Config.Validate(), k.topicError())
}

func (k *kafkaSection) topicError() error {
	c := debezium.DefaultConfig()
	c.Topic = k.Topic
	return c.Validate()
}

func kafkaSink(decode func(any)) sinkSpec {
	c := kafkaSection{Config: kafka.DefaultConfig(), Topic: debezium.DefaultConfig().Topic}
	decode(&c)
	if c.topicError() != nil {
		c.Topic = "" // told once, here; pipelines need not inherit it
	}
	return sinkSpec{topic: c.Topic, shared: c.TransactionalID == "", keyOnly: c.KeyOnly(), kafka: &c.Config, open: func(d sinkDeps) sink.Sink {
		own := c.Config
		own.Installation, own.Pipeline = d.installation, d.pipeline
		return kafka.New(own, kafka.Options{Observer: d.kafkaObserver()})
	}}
}

// kafkaObserver counts what the sink does and tells of what a person should see.
func (d sinkDeps) kafkaObserver() kafka.Observer {
	o := d.metrics.kafka(d.pipeline)
	if d.log == nil {
		return o
	}
	count := o.Settled
	o.Settled = func(s kafka.Settlement) {
		d.log.Warn("ending a transaction that the brokers forgot", "pipeline", d.pipeline,
			"commit", s.Committed, "abort", s.Aborted, "because", s.Reason)
		if count != nil {
			count(s)
		}
	}
	return o
}

func fileSink(decode func(any)) sinkSpec {
	c := file.DefaultConfig()
	decode(&c)
	return sinkSpec{open: func(d sinkDeps) sink.Sink {
		own := c
		own.Text = !d.json
		return file.New(own)
	}}
}

func terminalSink(decode func(any)) sinkSpec {
	c := terminal.DefaultConfig()
	decode(&c)
	return sinkSpec{
		format: "text", shared: true,
		color: func(sys *system) bool { return c.Colors(sys.outTTY, sys.env) },
		open:  func(d sinkDeps) sink.Sink { return terminal.New(d.out) },
	}
}

// redisSection is the driver's section; the keys in it are the format's too.
type redisSection struct {
	redis.Config `yaml:",inline"`
}

// Validate tells what is wrong with the section.
func (r *redisSection) Validate() error {
	keys := cachekeys.DefaultConfig()
	keys.Keys = r.Keys
	return errors.Join(r.Config.Validate(), keys.Validate())
}

func redisSink(decode func(any)) sinkSpec {
	c := redisSection{Config: redis.DefaultConfig()}
	decode(&c)
	return sinkSpec{format: cachekeysKind, shared: true, keys: c.Keys, open: func(d sinkDeps) sink.Sink {
		own := c.Config
		own.Installation, own.Pipeline = d.installation, d.pipeline
		if d.watermark != nil {
			own.Watermark = d.watermark()
		}
		return redis.New(own, d.redisObserver())
	}}
}

// redisObserver counts what the sink does and tells of what a person should see.
func (d sinkDeps) redisObserver() redis.Observer {
	o := d.metrics.redis(d.pipeline)
	if d.log == nil {
		return o
	}
	rewound, gap := o.Rewound, o.Gap
	o.Rewound = func(from, to uint64) {
		d.log.Warn("Redis has lost acknowledged deletes, they are repeated", "pipeline", d.pipeline, "from_seq", to, "had_seq", from)
		if rewound != nil {
			rewound(from, to)
		}
	}
	o.Gap = func(policy redis.OnGap, keys int) {
		d.log.Warn("entries of the cache may have missed a delete", "pipeline", d.pipeline, "on_gap", policy, "keys_deleted", keys)
		if gap != nil {
			gap(policy, keys)
		}
	}
	return o
}
