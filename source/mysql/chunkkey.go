package mysql

import (
	"slices"
	"strings"
)

// tableIndex is a unique index as the server lists it.
type tableIndex struct {
	name    string
	columns []indexColumn
	// unfit says that chunks cannot be cut by the index: a part is nullable, a
	// prefix, an expression or a SET, it has no order, or the server hides it.
	unfit bool
	// partial says that the index cannot stand in for a primary key in the log:
	// a part is nullable, a prefix or an expression.
	partial bool
}

type indexColumn struct {
	name       string
	descending bool
	labels     int // of an ENUM
}

const primaryIndex = "PRIMARY"

// chunkIndex chooses the index that chunks of a table are cut by: the primary
// key, else the unique index with the fewest columns, by name where several
// have as few; nil where there is none.
func chunkIndex(indexes []tableIndex) *tableIndex {
	var best *tableIndex
	for i := range indexes {
		if x := &indexes[i]; !x.unfit && (best == nil || x.before(best)) {
			best = x
		}
	}
	return best
}

func (x *tableIndex) before(y *tableIndex) bool {
	if xp, yp := x.name == primaryIndex, y.name == primaryIndex; xp != yp {
		return xp
	}
	if len(x.columns) != len(y.columns) {
		return len(x.columns) < len(y.columns)
	}
	return x.name < y.name
}

func (x *tableIndex) names() []string {
	names := make([]string, len(x.columns))
	for i, c := range x.columns {
		names[i] = c.name
	}
	return names
}

// indexOver returns the fit index over exactly those columns, in that order.
func indexOver(indexes []tableIndex, columns []string) *tableIndex {
	for i := range indexes {
		if x := &indexes[i]; !x.unfit && slices.Equal(x.names(), columns) {
			return x
		}
	}
	return nil
}

// indexPart is one line of the server's list of index parts.
type indexPart struct {
	index, column, order, prefix, nullable, kind string
	hidden                                       bool
}

// appendPart adds a part to the index that is last in the list, or begins a
// new one. unusable tells the columns that are no part of a key of chunks.
func appendPart(list []tableIndex, p indexPart, unusable func(column string) bool) []tableIndex {
	if len(list) == 0 || list[len(list)-1].name != p.index {
		list = append(list, tableIndex{name: p.index})
	}
	x := &list[len(list)-1]
	x.columns = append(x.columns, indexColumn{name: p.column, descending: p.order == "D"})
	x.partial = x.partial || p.column == "" || p.prefix != "" || p.nullable == "YES"
	x.unfit = x.unfit || x.partial || p.hidden || !strings.EqualFold(p.kind, "BTREE") || unusable(p.column)
	return list
}

// maxKeyLabels is how many labels an ENUM in a key may have: a chunk's SELECT
// lists those before or behind a place.
const maxKeyLabels = 1000

// unorderedType reports whether no server reads ranges of a column of that type
// by an index, nor we in its place.
func unorderedType(columnType string) bool {
	return strings.HasPrefix(columnType, "set(") || strings.HasPrefix(columnType, "enum(") && len(labelsOf(columnType)) > maxKeyLabels
}
