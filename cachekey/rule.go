package cachekey

import "strings"

// Rule says which keys the rows of a table make stale. It is part of the
// configuration of a cache and is understood by whoever renders keys.
type Rule struct {
	// Table is the table as database.table, in the case the server uses.
	Table string `yaml:"table"`
	// Key is the template of the key (see [Parse]).
	Key string `yaml:"key"`
	// OnlyIfChanged lists the columns that what is cached shows: an update that
	// changes none of them, nor a column of Key or Where, makes nothing stale.
	// Empty means any column.
	OnlyIfChanged []string `yaml:"only_if_changed,omitempty"`
	// Where restricts the rows: column op literal, IS NULL, IS NOT NULL, AND,
	// OR and parentheses. Both images of an update are looked at. Empty means
	// all rows.
	Where string `yaml:"where,omitempty"`
}

// Names splits Table; it is false where there is no database or no table.
func (r *Rule) Names() (database, table string, ok bool) {
	database, table, ok = strings.Cut(r.Table, ".")
	return database, table, ok && database != "" && table != ""
}
