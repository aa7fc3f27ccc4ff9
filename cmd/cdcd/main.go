package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/checkpoint"
	checkpointfile "github.com/cdcd-io/cdcd/checkpoint/file"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

func main() { os.Exit(cdcd()) }

// cdcd runs the command line of this process.
func cdcd() int {
	return execute(context.Background(), osSystem(), os.Args[1:])
}

// assemble puts a daemon together. Read it as the list of its parts, in the
// order in which they need one another.
func assemble(sys *system, p *plan, log *slog.Logger) (*daemon, error) {
	// Where progress is kept, for all pipelines.
	at := p.checkpoint
	at.Installation = p.file.Installation
	store, err := checkpointfile.Open(at)
	if err != nil {
		return nil, err
	}
	// What is counted, for all pipelines.
	metrics := admin.NewMetrics()
	sinkMetrics := newSinkMetrics(metrics)

	// The pipelines. Each is built when it starts, so that one which an error
	// stopped can be built anew.
	d := &daemon{log: log, store: store}
	var shown []admin.Pipeline
	for _, l := range p.lines {
		r := newRunner(l.Name, l.Pipeline.Source, l.Pipeline.Sink)
		r.log, r.store = log.With("pipeline", l.Name), store
		r.surveyor = mysql.New(*l.source, p.file.Installation, l.Name) // beside the one that reads
		encoders := l.format.encoders(l.formatDeps(sys, metrics))
		r.build = func() (line, error) {
			return assembleLine(l, parts{
				installation: p.file.Installation, store: store, encoders: encoders, log: r.log,
				observer: metrics.Observer(l.Name), sinkMetrics: sinkMetrics, out: sys.out,
			})
		}
		d.runners, shown = append(d.runners, r), append(shown, r)
	}

	// What looks at them and commands them.
	d.server = admin.New(version(), shown, metrics, log)
	return d, nil
}

// parts are what a pipeline gets from the daemon.
type parts struct {
	installation string
	store        checkpoint.Store
	encoders     encoders
	observer     pipeline.Observer
	sinkMetrics  *sinkMetrics
	out          io.Writer
	log          *slog.Logger
}

// assembleLine puts one pipeline together: server → source → format → sink,
// and the checkpoint behind it.
func assembleLine(l *linePlan, d parts) (line, error) {
	cfg := l.Line
	cfg.Name, cfg.Installation = l.Name, d.installation
	return pipeline.New(cfg, pipeline.Deps{
		Source:  mysql.New(*l.source, d.installation, l.Name),
		Encoder: d.encoders,
		Sink: l.sink.open(sinkDeps{
			installation: d.installation, pipeline: l.Name, json: l.format.json, out: d.out, metrics: d.sinkMetrics, log: d.log,
			watermark: func() source.Watermark { return mysql.NewWatermark(*l.source, d.installation, l.Name) },
		}),
		Store:    d.store,
		Observer: d.observer,
		Log:      d.log,
	})
}

// formatDeps are what the pipeline's format gets.
func (l *linePlan) formatDeps(sys *system, m *admin.Metrics) formatDeps {
	return formatDeps{
		source: l.Pipeline.Source, pipeline: l.Name, metrics: m,
		color: l.sink.color != nil && l.sink.color(sys),
	}
}
