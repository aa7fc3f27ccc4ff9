package mysql

import (
	"slices"
	"strings"
)

// maxFilterNames bounds the names a filter remembers its decisions for.
const maxFilterNames = 1 << 16

// filter decides which tables and columns are captured. Decisions about tables
// are remembered by name.
type filter struct {
	include, exclude, columns []string
	system                    map[string]bool // databases of the server that an include named
	decided                   map[tableName]bool
}

type tableName struct{ database, table string }

func newFilter(c *Config) *filter {
	f := &filter{
		include: c.Tables.Include, exclude: c.Tables.Exclude, columns: c.Columns.Exclude,
		system: map[string]bool{}, decided: map[tableName]bool{},
	}
	if c.Watermark != "" {
		f.exclude = append(slices.Clone(f.exclude), c.Watermark)
	}
	for _, g := range f.include {
		db, _, _ := strings.Cut(g, ".")
		f.system[strings.ToLower(db)] = true
	}
	return f
}

// captured reports whether rows of the table are wanted.
func (f *filter) captured(database, table string) bool {
	name := tableName{database, table}
	yes, known := f.decided[name]
	if known {
		return yes
	}
	yes = f.decide(database, database+"."+table)
	if len(f.decided) >= maxFilterNames {
		clear(f.decided)
	}
	f.decided[name] = yes
	return yes
}

func (f *filter) decide(database, full string) bool {
	if isSystem(database) && !f.system[strings.ToLower(database)] {
		return false
	}
	if matchAny(f.exclude, full) {
		return false
	}
	return len(f.include) == 0 || matchAny(f.include, full)
}

// capturesIn reports whether tables of the database may be wanted; it says yes
// rather than no.
func (f *filter) capturesIn(database string) bool {
	if isSystem(database) && !f.system[strings.ToLower(database)] {
		return false
	}
	for _, g := range f.exclude {
		if db, table, _ := strings.Cut(g, "."); table == "*" && match(db, database) {
			return false
		}
	}
	for _, g := range f.include {
		db, _, found := strings.Cut(g, ".")
		if !found || match(db, database) || strings.Contains(db, "*") && match(db+"*", database) {
			return true
		}
	}
	return len(f.include) == 0
}

// excluded reports whether a column is left out.
func (f *filter) excluded(database, table, column string) bool {
	return len(f.columns) > 0 && matchAny(f.columns, database+"."+table+"."+column)
}

func isSystem(database string) bool {
	switch strings.ToLower(database) {
	case "mysql", "sys", "performance_schema", "information_schema":
		return true
	}
	return false
}

func matchAny(globs []string, s string) bool {
	for _, g := range globs {
		if match(g, s) {
			return true
		}
	}
	return false
}

// match reports whether the glob fits all of s. It goes back to the last star
// only, so its time is bounded by the product of the lengths.
func match(glob, s string) bool {
	star, mark, g := -1, 0, 0
	for i := 0; i < len(s); {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, i
			g++
		case g < len(glob) && (glob[g] == '?' || glob[g] == s[i]):
			g, i = g+1, i+1
		case star >= 0:
			mark++
			g, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}
