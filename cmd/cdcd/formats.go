package main

import (
	"errors"
	"slices"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/format/cachekeys"
	"github.com/cdcd-io/cdcd/format/debezium"
	"github.com/cdcd-io/cdcd/format/text"
)

// defaultFormat is the kind of a pipeline that names none, unless its sink is
// made for another.
const defaultFormat = "debezium"

// cachekeysKind is the format of sinks that delete keys, and of no other.
const cachekeysKind = "cachekeys"

// formatTable is every kind of format there is. A new one is a line here and a
// function below.
var formatTable = map[string]func(decode func(any), into sinkSpec) formatSpec{
	"debezium":    debeziumFormat,
	"text":        textFormat,
	cachekeysKind: cachekeysFormat,
}

// formatSpec is how a pipeline of the configuration writes changes.
type formatSpec struct {
	json bool // keys and values are JSON
	// noKeyOnly is why rows cannot be rendered with their key only; zero where
	// they can.
	noKeyOnly refusal
	// noGap is why nothing tells of changes that were lost; zero where something
	// does.
	noGap refusal
	// encoders returns what makes the encoders of a pipeline.
	encoders func(d formatDeps) encoders
	debezium *debezium.Config // where it is one
}

// refusal is a setting that keeps something from being done, and why.
type refusal struct{ key, why string }

// encoders makes an encoder for one worker.
type encoders func(*format.Routes, event.Flavor) format.Encoder

// formatDeps are what a format gets from the pipeline it belongs to.
type formatDeps struct {
	source, pipeline string
	color            bool // a person reads it on a terminal
	metrics          *admin.Metrics
}

// formatKinds lists the kinds, the default first.
func formatKinds() []string {
	var kinds []string
	for k := range formatTable {
		if k != defaultFormat {
			kinds = append(kinds, k)
		}
	}
	slices.Sort(kinds)
	return append([]string{defaultFormat}, kinds...)
}

// debeziumFormat starts from the topics of the sink, where it has some.
func debeziumFormat(decode func(any), into sinkSpec) formatSpec {
	c := debezium.DefaultConfig()
	if into.topic != "" {
		c.Topic = into.topic
	}
	decode(&c)
	spec := formatSpec{json: true, debezium: &c}
	if c.Schemas {
		spec.noKeyOnly = refusal{"schemas", "a schema promises columns that such rows lack"}
	}
	if c.Truncate == "skip" {
		spec.noGap = refusal{"truncate", "skip leaves out what tells of changes that were lost"}
	}
	spec.encoders = func(d formatDeps) encoders {
		stats := &debezium.Stats{}
		d.metrics.CounterFunc("cdcd_encode_invalid_dates_total", "Dates rendered that no calendar has.", d.pipeline,
			func() float64 { return float64(stats.InvalidDates.Load()) })
		return func(r *format.Routes, f event.Flavor) format.Encoder {
			return debezium.New(c, debezium.Deps{Source: d.source, Flavor: f, Routes: r, Stats: stats})
		}
	}
	return spec
}

func textFormat(decode func(any), _ sinkSpec) formatSpec {
	c := text.DefaultConfig()
	decode(&c)
	return formatSpec{noKeyOnly: refusal{"", "lines for people have no such form"}, encoders: func(d formatDeps) encoders {
		c.Color = d.color
		return func(r *format.Routes, _ event.Flavor) format.Encoder { return text.New(c, r) }
	}}
}

// cachekeysSection is what can be set of the keys of a cache beside the sink's
// list of them.
type cachekeysSection struct {
	GenerationAbove uint64 `yaml:"generation_above"`
}

// Validate tells what is wrong with the section.
func (c cachekeysSection) Validate() error {
	if c.GenerationAbove == 0 {
		return errors.New("generation_above: want 1 or more, have 0")
	}
	return nil
}

// cachekeysFormat takes the keys from the sink, where a person looks for them.
func cachekeysFormat(decode func(any), into sinkSpec) formatSpec {
	c := cachekeys.DefaultConfig()
	section := cachekeysSection{GenerationAbove: c.GenerationAbove}
	decode(&section)
	c.GenerationAbove, c.Keys = section.GenerationAbove, into.keys
	return formatSpec{
		noKeyOnly: refusal{"kind", "keys of a cache are no rows"},
		encoders: func(formatDeps) encoders {
			return func(r *format.Routes, _ event.Flavor) format.Encoder { return cachekeys.New(c, r) }
		},
	}
}
