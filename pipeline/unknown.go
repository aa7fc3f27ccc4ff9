package pipeline

import (
	"fmt"
	"slices"
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
	return resilience.Errorf(resilience.Fatal, "bad_request", "ask for a snapshot", "not captured, or not there: %s", meant(names, known)).
		WithHint("tables are named as database.table; tables.include and tables.exclude of the source say which are captured")
}

// notRead is the error of a request to give up tables that are not being read.
func notRead(names, reading []string) error {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(reading, n) })
	if len(names) == 0 {
		return nil
	}
	err := resilience.Errorf(resilience.Fatal, "bad_request", "give tables up", "nobody reads %s", meant(names, reading))
	if len(reading) == 0 {
		return err.WithHint("no table is being read")
	}
	return err.WithHint("being read, or waiting for that: %s", strings.Join(reading, ", "))
}

// meant lists names, each with the known one that may have been meant.
func meant(names, known []string) string {
	told := make([]string, len(names))
	for i, n := range names {
		told[i] = n
		if near := nearestTable(n, known); near != "" {
			told[i] = fmt.Sprintf("%s (did you mean %s?)", n, near)
		}
	}
	return strings.Join(told, ", ")
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
