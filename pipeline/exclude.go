package pipeline

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// narrowedFilter is a source's filter without the tables that the configuration
// leaves out of the snapshot: what a finished plan has covered.
type narrowedFilter struct {
	Captured string   `json:"captured"`
	Exclude  []string `json:"snapshot_exclude"`
}

// filterText is the text of the filter of a plan, which is stored.
func filterText(exclude []string, captured string) string {
	if len(exclude) == 0 {
		return captured
	}
	text, err := json.Marshal(narrowedFilter{captured, exclude})
	if err != nil {
		panic(err) // of texts
	}
	return string(text)
}

// matches tells whether a stored filter lets a table through.
func matches(text string, n snapshot.Name, src source.Snapshotter) bool {
	var f narrowedFilter
	if json.Unmarshal([]byte(text), &f) != nil || f.Exclude == nil {
		return src.Matches(text, n.Database, n.Table)
	}
	return !leavesOut(f.Exclude, n) && src.Matches(f.Captured, n.Database, n.Table)
}

// Excludes tells whether rows of the table are left out of snapshots.
func (c *SnapshotConfig) Excludes(database, table string) bool {
	return leavesOut(c.Exclude, snapshot.Name{Database: database, Table: table})
}

// leavesOut tells whether a list of tables, or of "database.*", holds a table.
func leavesOut(exclude []string, n snapshot.Name) bool {
	return slices.ContainsFunc(exclude, func(x string) bool {
		return x == n.Database+"."+n.Table || x == n.Database+".*"
	})
}

// namesTables tells whether a text is one that leavesOut understands.
func namesTables(x string) bool {
	database, table, ok := strings.Cut(x, ".")
	return ok && database != "" && table != "" && !strings.Contains(database, "*") &&
		(table == "*" || !strings.Contains(table, "*"))
}
