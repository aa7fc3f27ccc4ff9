package mysql

import (
	"fmt"
	"slices"
)

// What the last field of a hidden column says, in place of the server's own
// notes on a column.
const (
	hashColumn = "hash of a unique key"
	rowEnd     = "end of a row's time"
)

// hiddenColumns are those that MariaDB logs with the rows of a table, after
// the others, and that no list of columns shows: hashes of unique keys over
// long values, and the times of rows in a table that is versioned without
// columns of its own for them. They come in the form of the others.
func hiddenColumns(columns, indexes rows, kind, engine string) (hidden rows) {
	if kind == "SYSTEM VERSIONED" && !slices.ContainsFunc(columns, isRowTime) {
		hidden = append(hidden,
			[]string{"", "row_start", "NO", "timestamp", "timestamp(6)", "", "", "0", "0", "0", "6", ""},
			[]string{"", "row_end", "NO", "timestamp", "timestamp(6)", "", rowEnd, "0", "0", "0", "6", ""})
	}
	if engine == "MEMORY" {
		return hidden // its indexes are hashes by nature
	}
	n := 0
	for _, x := range indexes {
		if x[1] != "0" || x[10] != "HASH" {
			continue
		}
		if x[3] == "1" {
			n++
			hidden = append(hidden, []string{"", fmt.Sprintf("DB_ROW_HASH_%d", n), "NO", "bigint", "bigint(20) unsigned", "", hashColumn, "0", "0", "0", "0", ""})
		}
		if x[9] == "YES" {
			hidden[len(hidden)-1][2] = "YES"
		}
	}
	return hidden
}

// isRowTime recognises a column that holds a time of its row: the only columns
// that are generated from no expression.
func isRowTime(column []string) bool {
	return column[6] == "STORED GENERATED" && column[3] == "timestamp"
}
