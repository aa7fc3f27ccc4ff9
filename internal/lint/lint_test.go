package lint

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/cdcd-io/cdcd/"

// levels holds who may import whom: a package imports lower levels only.
// ARCHITECTURE.md explains each edge that looks surprising.
var levels = map[string]int{
	"event":                 0,
	"resilience":            0,
	"internal/failpoint":    0,
	"event/eventtest":       1,
	"format":                1,
	"source":                1,
	"source/mysql/binlog":   1,
	"txbuffer":              1,
	"checkpoint":            1,
	"cachekey":              1,
	"cacheaside/protocol":   1,
	"format/debezium":       2,
	"format/text":           2,
	"format/cachekeys":      2,
	"cacheaside":            2,
	"sink":                  2,
	"snapshot":              2,
	"source/mysql":          2,
	"checkpoint/file":       2,
	"checkpoint/storetest":  2,
	"pipeline":              3,
	"sink/kafka":            3,
	"sink/file":             3,
	"sink/redis":            3,
	"sink/terminal":         3,
	"sink/sinktest":         3,
	"admin":                 4,
	"internal/verify":       3,
	"internal/config":       4,
	"internal/testenv":      4,
	"internal/lint":         4,
	"internal/testenv/cmd":  5,
	"cmd/cdcd":              5,
	"configs":               0,
	"internal/nearest":      0,
	"bench":                 5,
	"internal/proof":        5,
	"internal/proof/demo":   6,
	"internal/proof/record": 6,
}

// drivers may be imported by level 5 and internal/testenv only.
var drivers = []string{"source/mysql", "sink/kafka", "sink/file", "sink/redis", "sink/terminal", "checkpoint/file", "format/debezium", "format/text", "format/cachekeys"}

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointDownwards(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		level, ok := levelOf(from)
		if !ok {
			t.Errorf("package %s has no level: add it to the table in internal/lint", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module)
			if !ours {
				if level == 0 && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
					t.Errorf("%s is level 0 and imports %s: the standard library only", from, imp)
				}
				continue
			}
			toLevel, _ := levelOf(to)
			if toLevel >= level {
				t.Errorf("%s (level %d) imports %s (level %d): imports point to lower levels only", from, level, to, toLevel)
			}
			if level < 5 && from != "internal/testenv" && isDriver(to) {
				t.Errorf("%s imports the driver %s: only cmd/cdcd, bench and internal/testenv know drivers", from, to)
			}
		}
	}
}

func isDriver(p string) bool {
	for _, d := range drivers {
		if p == d {
			return true
		}
	}
	return false
}

// levelOf gives sub-packages of commands the level of their parent.
func levelOf(p string) (int, bool) {
	for p != "" {
		if l, ok := levels[p]; ok {
			return l, true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 || !(strings.HasPrefix(p, "internal/") || strings.HasPrefix(p, "cmd/") || strings.HasPrefix(p, "bench")) {
			return 0, false
		}
		p = p[:i]
	}
	return 0, false
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
