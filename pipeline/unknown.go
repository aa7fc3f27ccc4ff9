package pipeline

import (
	"fmt"
	"strings"

	"github.com/cdcd-io/cdcd/internal/nearest"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// unknownTables is the error of a request that names tables which are not there,
// or are not captured. It says which ones may have been meant.
func unknownTables(names []string, captured []source.TableInfo) error {
	known := make([]string, len(captured))
	for i, t := range captured {
		known[i] = t.Database + "." + t.Name
	}
	told := make([]string, len(names))
	for i, n := range names {
		told[i] = n
		if near := nearestTable(n, known); near != "" {
			told[i] = fmt.Sprintf("%s (did you mean %s?)", n, near)
		}
	}
	return resilience.Errorf(resilience.Fatal, "bad_request", "ask for a snapshot", "not captured, or not there: %s", strings.Join(told, ", ")).
		WithHint("tables are named as database.table; tables.include and tables.exclude of the source say which are captured")
}

// nearestTable also finds a table that was named without its database.
func nearestTable(name string, known []string) string {
	if !strings.Contains(name, ".") {
		for _, k := range known {
			if strings.HasSuffix(k, "."+name) {
				return k
			}
		}
	}
	return nearest.Word(name, known)
}
