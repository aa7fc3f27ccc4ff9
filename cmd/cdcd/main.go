package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/checkpoint"
	checkpointfile "github.com/cdcd-io/cdcd/checkpoint/file"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/format/debezium"
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
func assemble(p *plan, log *slog.Logger) (*daemon, error) {
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
		r.surveyor, _ = any(mysql.New(*l.source, p.file.Installation, l.Name)).(source.Surveyor)
		r.build = func() (line, error) {
			return assembleLine(l, parts{p.file.Installation, store, metrics.Observer(l.Name), sinkMetrics, r.log})
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
	observer     pipeline.Observer
	sinkMetrics  *sinkMetrics
	log          *slog.Logger
}

// assembleLine puts one pipeline together: server → source → format → sink,
// and the checkpoint behind it.
func assembleLine(l *linePlan, d parts) (line, error) {
	cfg := l.Line
	cfg.Name, cfg.Installation = l.Name, d.installation
	return pipeline.New(cfg, pipeline.Deps{
		Source: mysql.New(*l.source, d.installation, l.Name),
		Encoder: func(r *format.Routes) format.Encoder {
			return debezium.New(l.format, debezium.Deps{Source: l.Pipeline.Source, Flavor: d.flavor(l.Name), Routes: r})
		},
		Sink:     l.sink.open(sinkDeps{d.installation, l.Name, d.sinkMetrics}),
		Store:    d.store,
		Observer: d.observer,
		Log:      d.log,
	})
}

// flavor is the family of the server that the pipeline reads. The stored
// position knows it: one is stored before a line makes its first encoder.
func (d parts) flavor(pipeline string) event.Flavor {
	cp, err := d.store.Load(context.Background(), pipeline)
	if err != nil {
		return event.MySQL
	}
	return cp.Position.Flavor
}
