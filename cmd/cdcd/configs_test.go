package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/cdcd-io/cdcd/internal/config"
)

// testSystem is a system with an environment of its own.
func testSystem() *system {
	return &system{env: func(name string) (string, bool) {
		return "secret", name == "CDCD_MYSQL_PASSWORD" || name == "CDCD_KAFKA_PASSWORD"
	}}
}

func effectiveOf(t *testing.T, path string) string {
	t.Helper()
	p, err := readPlan(testSystem(), path, &configFlags{})
	if err != nil {
		t.Fatalf("%s:\n%v", path, err)
	}
	return p.file.Effective()
}

func TestSamplesAreValid(t *testing.T) {
	for _, pattern := range []string{"../../configs/*.yaml", "../../configs/compose/cdcd.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, f := range files {
			effectiveOf(t, f)
		}
	}
}

// TestDefaults holds every default there is.
func TestDefaults(t *testing.T) {
	golden(t, "testdata/defaults.yaml", effectiveOf(t, "testdata/bare.yaml"))
}

// TestReferenceShowsTheDefaults: the reference names every key, and what it
// says is the default is the default.
func TestReferenceShowsTheDefaults(t *testing.T) {
	const path = "../../configs/reference.yaml"
	if got := effectiveOf(t, path); got != effectiveOf(t, "testdata/bare.yaml") {
		golden(t, "testdata/defaults.yaml", got) // shows the difference
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all, written yaml.Node
	if yaml.Unmarshal([]byte(effectiveOf(t, path)), &all) != nil || yaml.Unmarshal(text, &written) != nil {
		t.Fatal("not YAML")
	}
	named := map[string]bool{}
	keys(&written, "", func(k string) { named[k] = true })
	keys(&all, "", func(k string) {
		last := k[strings.LastIndexByte(k, '.')+1:]
		written := named[k] || strings.Contains(string(text), "# "+last+": ")
		if !written && !strings.HasPrefix(k, ".pipelines.shop-screen.") && !strings.HasPrefix(k, ".pipelines.shop-cache.") { // the other pipeline names them
			t.Errorf("the reference does not name %s", k)
		}
	})
}

// keys visits the path of every key.
func keys(n *yaml.Node, path string, visit func(string)) {
	if n.Kind == yaml.DocumentNode {
		keys(n.Content[0], path, visit)
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := path + "." + n.Content[i].Value
		visit(k)
		keys(n.Content[i+1], k, visit)
	}
}

func TestSharedSinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdcd.yaml")
	text := `
sources: {a: {hosts: ["h:1"], user: u}}
sinks: {one: {kafka: {brokers: ["k:1"], transactional_id: x}}, many: {kafka: {brokers: ["k:1"]}}}
pipelines:
  p: {source: a, sink: one}
  q: {source: a, sink: one}
  r: {source: a, sink: many}
  s: {source: a, sink: many}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := readPlan(testSystem(), path, &configFlags{})
	ps, _ := err.(config.Problems)
	if len(ps) != 1 || ps[0].Key != "pipelines.q.sink" || ps[0].Line != 6 {
		t.Errorf("%v", err)
	}
}

// TestSpillFollowsTheCheckpoints: large transactions go to the disk that a
// person chose for what must stay.
func TestSpillFollowsTheCheckpoints(t *testing.T) {
	flags := &configFlags{set: listFlag{"checkpoint.file.dir=/var/lib/cdcd"}}
	p, err := readPlan(testSystem(), "../../configs/minimal.yaml", flags)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.lines[0].Line.Buffer.SpillDir; got != "/var/lib/cdcd/spill" {
		t.Errorf("spill to %s", got)
	}
	if got := p.socket(); got != "/var/lib/cdcd/cdcd.sock" {
		t.Errorf("socket at %s", got)
	}
}

// TestHelpNamesEveryFlag keeps the hand-written help and the flags together.
func TestHelpNamesEveryFlag(t *testing.T) {
	for _, v := range verbs() {
		fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
		v.setup(fs)
		for _, name := range flagNames(fs) {
			if !strings.Contains(v.long, "  --"+name+" ") {
				t.Errorf("cdcd help %s does not explain --%s", v.name, name)
			}
		}
		for _, line := range strings.Split(v.long, "\n") {
			if len([]rune(line)) > 82 {
				t.Errorf("cdcd help %s: a line of %d characters", v.name, len([]rune(line)))
			}
		}
	}
}
