package pipeline

import (
	"testing"

	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// oneDatabase is a source whose filters are names of databases.
type oneDatabase struct{ source.Snapshotter }

func (oneDatabase) Matches(filter, database, _ string) bool { return filter == database }

func TestExcludedTablesAreNotCoveredByTheFilter(t *testing.T) {
	for _, c := range []struct {
		exclude []string
		n       snapshot.Name
		want    bool
	}{
		{nil, snapshot.Name{Database: "d", Table: "a"}, true},
		{nil, snapshot.Name{Database: "e", Table: "a"}, false},
		{[]string{"d.a"}, snapshot.Name{Database: "d", Table: "a"}, false},
		{[]string{"d.a"}, snapshot.Name{Database: "d", Table: "b"}, true},
		{[]string{"d.a"}, snapshot.Name{Database: "e", Table: "b"}, false},
		{[]string{"d.*"}, snapshot.Name{Database: "d", Table: "b"}, false},
	} {
		if got := matches(filterText(c.exclude, "d"), c.n, oneDatabase{}); got != c.want {
			t.Errorf("without %q: %v covered: %v", c.exclude, c.n, got)
		}
	}
}

func TestExcludeNamesTables(t *testing.T) {
	for x, ok := range map[string]bool{"d.a": true, "d.*": true, "a": false, "*.a": false, "d.a*": false, "d.": false} {
		c := DefaultSnapshotConfig()
		c.Exclude = []string{x}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%s: %v", x, err)
		}
	}
}
