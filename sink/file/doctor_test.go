package file

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cdcd-io/cdcd/resilience"
)

func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	there, file := filepath.Join(dir, "there"), filepath.Join(dir, "file")
	for _, p := range []string{there, file} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]resilience.Severity{
		there: resilience.Good, filepath.Join(dir, "not", "yet"): resilience.Good,
		dir: resilience.Problem, filepath.Join(file, "below"): resilience.Problem,
	} {
		c := DefaultConfig()
		c.Path = path
		if f := New(c).Doctor(t.Context()); len(f) != 1 || f[0].Severity != want || (f[0].Fix == "") != (want == resilience.Good) {
			t.Errorf("%s: %+v", path, f)
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 2 {
		t.Errorf("something was left behind: %v", names)
	}
}
