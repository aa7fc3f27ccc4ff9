package main

import (
	"errors"
	"os"
	"path/filepath"

	checkpointfile "github.com/cdcd-io/cdcd/checkpoint/file"
	"github.com/cdcd-io/cdcd/internal/config"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// plan is a configuration of which every section was understood. Nothing is
// open yet.
type plan struct {
	file       *config.File
	checkpoint checkpointfile.Config
	sources    map[string]*mysql.Config
	sinks      map[string]*sinkSpec
	lines      []*linePlan
}

// linePlan is one pipeline and what it is made of.
type linePlan struct {
	*config.Pipeline
	source *mysql.Config
	sink   *sinkSpec
	format formatSpec
}

// readPlan reads the file and decodes every section into its driver's struct.
// The error holds all problems.
func readPlan(sys *system, path string, flags *configFlags) (*plan, error) {
	f, err := config.Read(path, flags.options(sys))
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("cdcd help config > "+path+" writes one to begin with", "there is no file %s", path)
	}
	if err != nil {
		return nil, usagef("", "%v", err)
	}
	p := &plan{file: f, checkpoint: checkpointfile.DefaultConfig(), sources: map[string]*mysql.Config{}, sinks: map[string]*sinkSpec{}}
	p.decodeParts()
	for _, l := range f.Lines(p.lineDefaults()) {
		p.lines = append(p.lines, p.line(l))
	}
	p.checkSharing()
	return p, f.Err()
}

// decodeParts decodes what pipelines refer to. Errors are in the file's list.
func (p *plan) decodeParts() {
	for _, s := range p.file.Sources {
		c := mysql.DefaultConfig()
		_ = s.Decode(&c)
		p.sources[s.Name] = &c
	}
	for _, s := range p.file.Sinks {
		if build := sinkTable[s.Kind]; build != nil {
			spec := build(func(target any) { _ = s.Decode(target) })
			p.sinks[s.Name] = &spec
		}
	}
	if p.file.Checkpoint.Kind != "" {
		_ = p.file.Checkpoint.Decode(&p.checkpoint)
	}
}

// lineDefaults spills beside the checkpoints, which are on a disk that stays.
func (p *plan) lineDefaults() pipeline.Config {
	c := pipeline.DefaultConfig()
	c.Buffer.SpillDir = filepath.Join(p.checkpoint.Dir, "spill")
	return c
}

// line decodes the format, whose kind the sink may know better than the
// default does, and whose topics stand with the brokers.
func (p *plan) line(l *config.Pipeline) *linePlan {
	lp := &linePlan{Pipeline: l, source: p.sources[l.Source], sink: p.sinks[l.Sink]}
	var into sinkSpec
	if lp.sink != nil {
		into = *lp.sink
		if into.format != "" && !l.Format.Chosen {
			l.Format.Kind = into.format
		}
	}
	if build := formatTable[l.Format.Kind]; build != nil {
		lp.format = build(func(target any) { _ = l.Format.Decode(target) }, into)
	}
	if no := lp.format.noKeyOnly; no.why != "" && lp.sink != nil && lp.sink.keyOnly {
		l.Format.Report(no.key, "does not go with oversize_row: key_only of sink %s: %s", l.Sink, no.why)
	}
	if lp.sink != nil {
		lp.checkCache()
	}
	if no := lp.format.noGap; no.why != "" && l.Line.Snapshot.Gap == pipeline.GapTruncate {
		l.Format.Report(no.key, "does not go with snapshot: {gap: truncate}: %s", no.why)
	}
	return lp
}

// checkCache reports what does not go with a sink that deletes keys, or goes
// with no other.
func (l *linePlan) checkCache() {
	caches := l.sink.keys != nil
	if caches != (l.Format.Kind == cachekeysKind) && formatTable[l.Format.Kind] != nil {
		l.Format.Report("kind", "%s does not go with sink %s: format %s goes with redis sinks, and only that one does", l.Format.Kind, l.Pipeline.Sink, cachekeysKind)
	}
	if !caches {
		return
	}
	if l.Line.Snapshot.Mode != pipeline.SnapshotNever {
		l.Section.Report("snapshot", "mode %s does not go with sink %s: reading rows makes no key stale; leave it out", l.Line.Snapshot.Mode, l.Pipeline.Sink)
	}
	if l.source == nil {
		return
	}
	source := mysql.New(*l.source, "", l.Name) // connects to nothing yet
	for i := range l.sink.keys {
		if database, table, ok := l.sink.keys[i].Names(); ok && !source.Matches(source.Filter(), database, table) {
			l.Section.Report("source", "%s does not capture %s.%s, of which sink %s deletes keys: see its tables", l.Pipeline.Source, database, table, l.Pipeline.Sink)
		}
	}
}

// checkSharing reports pipelines that would write over one another.
func (p *plan) checkSharing() {
	first := map[string]string{}
	for _, l := range p.lines {
		if l.sink == nil || l.sink.shared {
			continue
		}
		if other, taken := first[l.Sink]; taken {
			l.Section.Report("sink", "pipeline %s delivers to this sink already, and it takes only one: add another", other)
			continue
		}
		first[l.Sink] = l.Name
	}
}
