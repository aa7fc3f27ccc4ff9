package mysql

import (
	"strconv"
	"strings"
)

// chunkQuery is the SELECT of one chunk.
type chunkQuery struct {
	table  string // quoted, with its database
	fields string
	index  *tableIndex
	after  []string // literals of the last key before the chunk; nil at the start
	until  []string // literals of the largest key wanted; nil for no bound
	where  string
	limit  int
}

// sql renders the statement. Bounds stand in expanded form, column by column:
// for a comparison of whole rows both servers read the index from its start.
func (q *chunkQuery) sql() string {
	var conditions []string
	if q.after != nil {
		conditions = append(conditions, q.bound(q.after, true))
	}
	if q.until != nil {
		conditions = append(conditions, q.bound(q.until, false))
	}
	if q.where != "" {
		// The line break ends a comment that the condition may end in.
		conditions = append(conditions, "("+q.where+"\n)")
	}
	var b strings.Builder
	b.WriteString("SELECT " + q.fields + " FROM " + q.table + " FORCE INDEX (" + quoteName(q.index.name) + ")")
	for i, c := range conditions {
		b.WriteString([]string{" WHERE ", " AND "}[min(i, 1)] + c)
	}
	b.WriteString(" ORDER BY " + q.index.order(false) + " LIMIT " + strconv.Itoa(q.limit))
	return b.String()
}

// bound is the condition of keys behind a place, or of those up to it.
func (q *chunkQuery) bound(at []string, behind bool) string {
	var b strings.Builder
	b.WriteByte('(')
	for i := range at {
		if i > 0 {
			b.WriteString(" OR ")
		}
		for j := range i {
			b.WriteString(quoteName(q.index.columns[j].name) + " = " + at[j] + " AND ")
		}
		b.WriteString(quoteName(q.index.columns[i].name) + operator(behind != q.index.columns[i].descending, !behind && i == len(at)-1) + at[i])
	}
	b.WriteByte(')')
	return b.String()
}

func operator(greater, equal bool) string {
	op := " < "
	if greater {
		op = " > "
	}
	if equal {
		return op[:2] + "= "
	}
	return op
}

// order is the ORDER BY of the index, or of its reverse.
func (x *tableIndex) order(reverse bool) string {
	list := make([]string, len(x.columns))
	for i, c := range x.columns {
		list[i] = quoteName(c.name)
		if c.descending != reverse {
			list[i] += " DESC"
		}
	}
	return strings.Join(list, ", ")
}

// maxQuery selects the key of the last row.
func maxQuery(table, fields string, x *tableIndex) string {
	return "SELECT " + fields + " FROM " + table + " FORCE INDEX (" + quoteName(x.name) + ") ORDER BY " + x.order(true) + " LIMIT 1"
}
