package config

import (
	"errors"

	"github.com/cdcd-io/cdcd/pipeline"
)

// Pipeline joins one source and one sink.
type Pipeline struct {
	Name string `yaml:"-"`
	// Source is the name of an entry of sources. Required.
	Source string `yaml:"source"`
	// Sink is the name of an entry of sinks. Required.
	Sink string `yaml:"sink"`
	// Format is how changes are written: the settings of the envelope, and its
	// kind. Default {kind: debezium}.
	Format Section `yaml:"format"`
	// Line tunes the pipeline; see pipeline.Config.
	Line pipeline.Config `yaml:",inline"`

	Section *Section `yaml:"-"` // where problems of the pipeline are reported
}

// Validate tells what is wrong with the pipeline by itself.
func (p *Pipeline) Validate() error {
	var errs []error
	if p.Source == "" {
		errs = append(errs, errors.New("source: required: the name of an entry of sources"))
	}
	if p.Sink == "" {
		errs = append(errs, errors.New("sink: required: the name of an entry of sinks"))
	}
	return errors.Join(append(errs, p.Line.Validate())...)
}

// Kinds that a person may expect from the documentation of a later release.
var (
	laterCheckpoints = map[string]string{"etcd": "checkpoints are kept in files; write checkpoint: {file: {dir: ./data}}"}
)

// checkCore resolves kinds and references once the whole file was read.
func (f *File) checkCore() {
	for _, s := range f.Sources {
		f.flatKind(s, sourceKinds, sourceNames)
	}
	for _, s := range f.Sinks {
		f.kindOf(s, f.opts.SinkKinds, nil)
	}
	f.checkpointKind()
	f.required("sources", len(f.Sources))
	f.required("sinks", len(f.Sinks))
	f.required("pipelines", len(f.Config.Pipelines))
}

// Lines decodes the pipelines, whose tuning starts from def, and returns them
// in the order of the file. It is called once.
func (f *File) Lines(def pipeline.Config) []*Pipeline {
	var lines []*Pipeline
	for _, s := range f.Pipelines {
		lines = append(lines, f.pipeline(s, def))
	}
	return lines
}

// required reports an empty list of things, unless its section is there and
// wrong: that was told already.
func (f *File) required(key string, n int) {
	if n > 0 || f.isBlamed(key) {
		return
	}
	f.report(lookup(f.root, key), key, "required: at least one is needed")
}

var sourceKinds = []string{"mysql"}

// A source that a person may ask for by the name of its server.
var sourceNames = map[string]string{"mariadb": "write mysql, or leave it out: that kind reads MariaDB too and finds out which one it talks to"}

// flatKind takes the optional key kind out of a section that holds the
// settings of its kind directly. The first known kind is the default.
func (f *File) flatKind(s *Section, known []string, hints map[string]string) {
	kind := resolve(lookup(s.node, "kind"))
	s.node = without(s.node, "kind")
	switch {
	case kind == nil:
		s.Kind = known[0]
	case contains(known, kind.Value):
		s.Kind, s.Chosen = kind.Value, true
	case hints[kind.Value] != "":
		f.report(kind, join(s.Path, "kind"), "%s", hints[kind.Value])
	default:
		f.report(kind, join(s.Path, "kind"), "unknown kind, %s", suggest(kind.Value, known))
	}
}

func (f *File) checkpointKind() {
	s := &f.Checkpoint
	if s.node != nil && !isNull(s.node) {
		f.kindOf(s, f.opts.CheckpointKinds, laterCheckpoints)
		return
	}
	*s = f.absent("checkpoint", f.opts.CheckpointKinds)
}

// absent is the section that stands for one the file lacks: the first kind,
// with its defaults.
func (f *File) absent(path string, kinds []string) Section {
	s := Section{file: f, Path: path, wrapped: true}
	if len(kinds) > 0 {
		s.Kind, s.Path = kinds[0], join(path, kinds[0])
	}
	return s
}

// pipeline decodes one pipeline and follows its references.
func (f *File) pipeline(s *Section, def pipeline.Config) *Pipeline {
	p := &Pipeline{Name: s.Name, Section: s, Line: def}
	_ = s.Decode(p) // its problems are in the file's list
	f.follow(s, "source", p.Source, f.Sources.Names())
	f.follow(s, "sink", p.Sink, f.Sinks.Names())
	if p.Format.file == nil {
		p.Format = Section{file: f, Path: join(s.Path, "format"), above: s.node}
	}
	f.flatKind(&p.Format, f.opts.FormatKinds, nil)
	return p
}

// follow reports a name that stands for nothing.
func (f *File) follow(s *Section, key, name string, known []string) {
	if name != "" && !contains(known, name) {
		s.Report(key, "there is no %s named %q, %s", key, name, suggest(name, known))
	}
}
