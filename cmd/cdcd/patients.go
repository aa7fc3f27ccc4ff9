package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// patients are all parts of the plan that can be examined: sources, then sinks,
// each once, then the place of the checkpoints.
func (p *plan) patients() []patient {
	var ps []patient
	for _, s := range p.file.Sources {
		src := mysql.New(*p.sources[s.Name], p.file.Installation, s.Name)
		ps = append(ps, patient{Kind: "source", Name: s.Name, doctor: p.sourceDoctor(s.Name, src)})
	}
	for _, s := range p.file.Sinks {
		ps = append(ps, patient{Kind: "sink", Name: s.Name, doctor: doctorOf(
			p.sinks[s.Name].open(sinkDeps{installation: p.file.Installation, pipeline: p.firstInto(s.Name)}))})
	}
	return append(ps, patient{Kind: "checkpoint", Name: p.checkpoint.Dir, doctor: p.checkDir})
}

// firstInto names the first pipeline that delivers to the sink.
func (p *plan) firstInto(sink string) string {
	for _, l := range p.lines {
		if l.Pipeline.Sink == sink {
			return l.Name
		}
	}
	return "check"
}

// sourceDoctor asks a source, and looks at the tables that pipelines are to read
// from it.
func (p *plan) sourceDoctor(name string, src *mysql.Source) func(context.Context) []resilience.Finding {
	return func(ctx context.Context) []resilience.Finding {
		found := src.Doctor(ctx)
		var tables []resilience.Finding
		for _, l := range p.lines {
			if c := &l.Line.Snapshot; l.Pipeline.Source == name && c.Mode != pipeline.SnapshotNever {
				if tables == nil {
					tables = src.SnapshotDoctor(ctx)
				}
				tables = append(tables, keyless(ctx, l.Name, c, src)...)
				tables = append(tables, healthFindings(ctx, c, src)...)
			}
		}
		return append(found, tables...)
	}
}

// keyless names the tables that a pipeline is to read and that no key divides
// into chunks.
func keyless(ctx context.Context, line string, c *pipeline.SnapshotConfig, src source.Snapshotter) []resilience.Finding {
	tables, err := src.Tables(ctx)
	if err != nil {
		return []resilience.Finding{resilience.Found(err)}
	}
	var names []string
	for _, t := range tables {
		if len(t.Key) == 0 && !c.Excludes(t.Database, t.Name) {
			names = append(names, t.Database+"."+t.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []resilience.Finding{{
		Severity: resilience.Warning, Code: "snapshot_no_key",
		Text: "to be read for " + line + " as a whole, at a time when nothing changes them, since no key cuts them into chunks: " + strings.Join(names, ", "),
		Fix:  "ALTER TABLE ... ADD PRIMARY KEY, or leave them out: snapshot: {exclude: [" + strings.Join(names, ", ") + "]}",
	}}
}

// healthFindings asks once what holds the readers back, whether it does so now or not.
func healthFindings(ctx context.Context, c *pipeline.SnapshotConfig, src source.HealthChecker) (found []resilience.Finding) {
	probe := src.OpenHealth()
	defer probe.Close()
	add := func(code, subject, says string, err error) {
		f := resilience.Finding{Severity: resilience.Good, Code: code, Text: subject + " " + says}
		if err != nil {
			f = resilience.Found(err)
			f.Text = subject + " would hold snapshots back: " + f.Text
		}
		found = append(found, f)
	}
	for _, addr := range c.Replicas {
		lag, err := probe.ReplicaLag(ctx, addr)
		add("snapshot_replicas", "replica "+addr, "is "+lag.String()+" behind", err)
	}
	if c.HealthQuery != "" {
		x, err := probe.Number(ctx, c.HealthQuery)
		add("snapshot_health_query", "health_query", "says "+strconv.FormatFloat(x, 'f', -1, 64), err)
	}
	return found
}

// doctorOf asks a part, if it is one that can be asked.
func doctorOf(part any) func(context.Context) []resilience.Finding {
	return func(ctx context.Context) []resilience.Finding {
		if d, ok := part.(resilience.Doctor); ok {
			return d.Doctor(ctx)
		}
		return []resilience.Finding{{Code: "nothing_to_check", Text: "needs nothing"}}
	}
}

// checkDir tries whether files can be made where the checkpoints will be. It
// leaves nothing behind.
func (p *plan) checkDir(context.Context) []resilience.Finding {
	dir := p.checkpoint.Dir
	for {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		if parent := filepath.Dir(dir); parent == dir {
			break
		} else {
			dir = parent
		}
	}
	f, err := os.CreateTemp(dir, ".cdcd-check-*")
	if err != nil {
		return []resilience.Finding{{Severity: resilience.Problem, Code: "checkpoint_dir", Text: "no file can be made in " + dir + ": " + err.Error(),
			Fix: "give the user that runs cdcd the right to write there, or set checkpoint.file.dir"}}
	}
	f.Close()
	os.Remove(f.Name())
	return []resilience.Finding{{Code: "checkpoint_dir", Text: "files can be made in " + dir}}
}
