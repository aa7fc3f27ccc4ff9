package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/pipeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

// server and queue stand for the structs of drivers.
type server struct {
	Hosts    []string          `yaml:"hosts"`
	User     string            `yaml:"user"`
	Password string            `yaml:"password"`
	Pin      string            `yaml:"pin" secret:"true"`
	Tables   tables            `yaml:"tables"`
	TLS      *tls              `yaml:"tls"`
	Wait     time.Duration     `yaml:"wait"`
	MaxBytes int64             `yaml:"max_bytes"`
	Port     uint16            `yaml:"port"`
	Ratio    float64           `yaml:"ratio"`
	Session  map[string]string `yaml:"session"`
	Level    level             `yaml:"level"`
	internal int
}

type tables struct {
	Include []string `yaml:"include"`
}

type tls struct {
	CA     string `yaml:"ca"`
	Verify bool   `yaml:"verify"`
}

type level int

func (l *level) UnmarshalText(b []byte) error {
	switch string(b) {
	case "low":
		*l = 1
	case "high":
		*l = 2
	default:
		return errors.New("must be low or high")
	}
	return nil
}

func (l level) MarshalText() ([]byte, error) { return []byte([]string{"none", "low", "high"}[l]), nil }

func (s *server) Validate() error {
	var errs []error
	if len(s.Hosts) == 0 {
		errs = append(errs, errors.New("hosts: at least one is needed"))
	}
	if s.TLS != nil && s.TLS.CA == "bad" {
		errs = append(errs, errors.New("tls.ca: cannot be read"))
	}
	if s.Port == 1 {
		errs = append(errs, errors.New("driver: port is 1: take another"), errors.New("hosts and ports do not go together"), errors.New("one of both: it is wrong"))
	}
	return errors.Join(errs...)
}

type empty struct{}

func defaultServer() server {
	return server{User: "cdcd", Wait: 10 * time.Second, MaxBytes: 64 << 20, Port: 3306, Ratio: 0.5, Level: 1}
}

var env = map[string]string{"PW": "hunter2", "PORT": "3307"}

func options(set ...string) Options {
	return Options{
		Set:             set,
		LookupEnv:       func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		SinkKinds:       []string{"queue", "terminal"},
		FormatKinds:     []string{"plain"},
		CheckpointKinds: []string{"file"},
	}
}

// load parses and decodes like a daemon does.
func load(text string, set ...string) (*File, map[string]*server) {
	f := Parse("cdcd.yaml", []byte(text), options(set...))
	servers := map[string]*server{}
	for _, s := range f.Sources {
		c := defaultServer()
		_ = s.Decode(&c)
		servers[s.Name] = &c
	}
	for _, s := range f.Sinks {
		if s.Kind != "" {
			_ = s.Decode(&empty{})
		}
	}
	f.Lines(pipeline.DefaultConfig())
	return f, servers
}

const minimal = `
sources:
  shop: {hosts: ["127.0.0.1:3306"]}
sinks:
  out: {terminal: {}}
pipelines:
  shop-out: {source: shop, sink: out}
`

func TestDefaults(t *testing.T) {
	f, _ := load(minimal)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	golden(t, "defaults.golden.yaml", core(f.Effective()))
}

func TestValues(t *testing.T) {
	f, servers := load(`
sources:
  shop:
    kind: mysql
    hosts: ["a:1", "b:2"]
    password: ${env:PW}
    port: ${env:PORT}
    tables: {include: [shop.*, "x$${y}"]}
    tls: {ca: ca.pem, verify: true}
    wait: 1m30s
    max_bytes: 16MiB
    ratio: 2
    session: {b: "1", a: x}
    level: high
  other: {hosts: [c], password: plain, pin: "4711", user: "007"}
sinks: {out: {terminal: }}
pipelines:
  p: {source: shop, sink: out}
`, "log.level=debug", "sources.shop.wait=5s", "sources.other.tables.include=[a, b]", "admin.listen=:1")
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	s := servers["shop"]
	if s.Password != "hunter2" || s.Port != 3307 || s.MaxBytes != 16<<20 || s.Wait != 5*time.Second ||
		s.Tables.Include[1] != "x${y}" || !s.TLS.Verify || s.Session["a"] != "x" || s.Level != 2 || s.internal != 0 {
		t.Errorf("shop: %+v", s)
	}
	if o := servers["other"]; o.User != "007" || len(o.Tables.Include) != 2 || f.Log.Level != "debug" || f.Admin.Listen != ":1" {
		t.Errorf("other: %+v, log %+v", o, f.Log)
	}
	golden(t, "values.golden.yaml", core(f.Effective()))
	if text := f.Effective(); strings.Contains(text, "hunter2") || strings.Contains(text, "password: plain") || strings.Contains(text, "4711") {
		t.Errorf("a secret is printed:\n%s", text)
	}
}

// TestProblems: every case is a whole story, so that a reader sees what a
// person would: text, then all problems in order.
func TestProblems(t *testing.T) {
	files, _ := filepath.Glob("testdata/problems/*.yaml")
	if len(files) < 5 {
		t.Fatalf("only %d cases", len(files))
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f, _ := load(string(text))
			err = f.Err()
			if err == nil {
				t.Fatal("no problem found")
			}
			golden(t, strings.TrimPrefix(strings.TrimSuffix(name, ".yaml"), "testdata/")+".txt", err.Error()+"\n")
		})
	}
}

func TestOverridesAreBlamedOnTheFlag(t *testing.T) {
	f, _ := load(minimal, "admin.listn=x", "sources.shop.password=hunter2", "nonsense", "shutdown_grace=5", "shutdown_grace.x=5", "log={level: {}}")
	golden(t, "overrides.txt", f.Err().Error()+"\n")
}

// TestNoMistakeTellsASecret: whatever is wrong with the place of a secret, the
// message is about the mistake.
func TestNoMistakeTellsASecret(t *testing.T) {
	inSource := func(settings string) string {
		return strings.Replace(minimal, "hosts:", settings+", hosts:", 1)
	}
	for _, c := range []struct{ name, text, set, want string }{
		{"an alias", inSource("password: *hunter2"), "", "quote a text that begins with *"},
		{"a tag", inSource("password: !hunter2 "), "", "sources.shop.password: YAML tags"},
		{"a tag of a text", inSource("password: !Secret hunter2"), "", "sources.shop.password: YAML tags"},
		{"a tag of a list", inSource("tables: {include: !hunter2 [a.b]}"), "", "sources.shop.tables.include: YAML tags"},
		{"a reference in a text type", inSource("level: \"${env:PW}\""), "", "sources.shop.level: what the reference stands for"},
		{"set", minimal, "sources.shop.password=hunter2", "sources.shop.password: a secret on the command line"},
		{"set in a section", minimal, "sources.shop={hosts: [a], password: hunter2}", "sources.shop.password: a secret"},
		{"set deep", minimal, "sources={shop: {hosts: [a], password: hunter2}}", "sources.shop.password: a secret"},
		{"set by an alias", minimal, "sources.shop={user: &a hunter2, password: *a}", "sources.shop.password: a secret"},
		{"set a list", minimal, "sources.shop.password=[hunter2]", "sources.shop.password: a secret"},
		{"set with an escape", minimal, "sources.shop.password=hunter2$${", "sources.shop.password: a secret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var set []string
			if c.set != "" {
				set = []string{c.set}
			}
			f, servers := load(c.text, set...)
			err := f.Err()
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v, want %q", err, c.want)
			}
			if s := servers["shop"]; s != nil && s.Password != "" {
				t.Errorf("the password is %q", s.Password)
			}
		})
	}
	f, servers := load(minimal, "sources.shop={hosts: [a], password: \"${env:PW}\"}")
	if err := f.Err(); err != nil || servers["shop"].Password != "hunter2" {
		t.Errorf("a reference: %v, %q", err, servers["shop"].Password)
	}
}

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(minimal, "hosts:", "password: \"${file:pw}\", hosts:", 1)
	f := Parse(filepath.Join(dir, "cdcd.yaml"), []byte(text), options())
	c := defaultServer()
	if err := f.Sources[0].Decode(&c); err != nil || c.Password != "s3cret" {
		t.Errorf("password %q, %v", c.Password, f.Err())
	}
}

func TestReadRefusesWhatIsNoFile(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none.yaml"), options()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, make([]byte, maxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(big, options()); err == nil || !strings.Contains(err.Error(), "over 1 MiB") {
		t.Errorf("big file: %v", err)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"hosts", "user", "password", "tables"}
	for word, want := range map[string]string{
		"host": `did you mean "hosts"?`, "pasword": `did you mean "password"?`, "Tabels": `did you mean "tables"?`,
		"zzz": "known: hosts, password, tables, user",
	} {
		if got := suggest(word, known); got != want {
			t.Errorf("suggest(%q) = %s, want %s", word, got, want)
		}
	}
}

// core leaves out the tuning of pipelines, whose defaults are another package's.
func core(effective string) string {
	head, rest, _ := strings.Cut(effective, "    workers:")
	_, tail, _ := strings.Cut(rest, "\ncheckpoint:")
	return head + "checkpoint:" + tail
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (write anew with -update)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}
