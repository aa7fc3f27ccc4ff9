package mysql

import (
	"regexp"
	"strconv"
	"strings"
)

// chunkQuery is the SELECT of one chunk.
type chunkQuery struct {
	table  string // quoted, with its database
	fields string
	index  *tableIndex // nil: all rows, in no order
	after  []string    // literals of the last key before the chunk; nil at the start
	until  []string    // literals of the largest key wanted; nil for no bound
	where  string
	byKeys bool // where is met by rows that the index finds
	limit  int  // 0: none
	skip   int  // rows before the first
}

// sql renders the statement. Bounds stand in expanded form, column by column:
// for a comparison of whole rows both servers read the index from its start.
func (q *chunkQuery) sql() string {
	var conditions []string
	fixed := 0
	for _, b := range []bound{{at: q.after, behind: true}, {at: q.until}} {
		if b.at == nil {
			continue
		}
		text, n := b.condition(q.index)
		conditions = append(conditions, text)
		fixed = max(fixed, n)
	}
	if q.where != "" {
		// The line break ends a comment that the condition may end in.
		conditions = append(conditions, "("+q.where+"\n)")
	}
	var b strings.Builder
	b.WriteString("SELECT " + q.fields + " FROM " + q.table)
	if q.index != nil {
		b.WriteString(" FORCE INDEX (" + quoteName(q.index.name) + ")")
	}
	for i, c := range conditions {
		b.WriteString([]string{" WHERE ", " AND "}[min(i, 1)] + c)
	}
	if q.index != nil {
		b.WriteString(" ORDER BY " + q.index.order(min(fixed, len(q.index.columns)-1), false))
	}
	if q.limit > 0 {
		b.WriteString(" LIMIT " + strconv.Itoa(q.limit))
	}
	return b.String()
}

// oneInteger reports whether the far bound is that of a key of one integer.
func (q *chunkQuery) oneInteger(d *definition) bool {
	if len(q.until) != 1 || q.index.columns[0].labels > 0 || !integerLiteral.MatchString(q.until[0]) {
		return false
	}
	key := d.indexesOf(q.index.names())
	return fits(d.table.Columns[key[0]].Type, atInt)
}

var integerLiteral = regexp.MustCompile(`^-?[0-9]+$`)

// passes reports whether a key of one integer lies behind the far bound.
func (q *chunkQuery) passes(key string) bool {
	if q.index.columns[0].descending {
		return lessInteger(key, q.until[0])
	}
	return lessInteger(q.until[0], key)
}

// lessInteger compares decimal numbers of any size without leading zeros.
func lessInteger(a, b string) bool {
	negative := strings.HasPrefix(a, "-")
	switch {
	case negative != strings.HasPrefix(b, "-"):
		return negative
	case negative:
		a, b = b[1:], a[1:]
	}
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// bound is one side of a chunk: keys behind a place, or those up to it.
type bound struct {
	at     []string // literals
	behind bool
}

// condition renders the bound. All keys that meet it have the same values in
// the first columns, as many as fixed says: MySQL sorts instead of reading in
// the order of the index when such columns stand in ORDER BY.
func (b *bound) condition(x *tableIndex) (text string, fixed int) {
	var terms []string
	equal := ""
	for i, value := range b.at {
		c := &x.columns[i]
		if t := b.term(c, value, i == len(b.at)-1); t != "" {
			terms = append(terms, equal+t)
		}
		if len(terms) == 0 {
			fixed++
		}
		equal += quoteName(c.name) + " = " + value + " AND "
	}
	if len(terms) == 0 {
		return "FALSE", 0
	}
	return "(" + strings.Join(terms, " OR ") + ")", fixed
}

// term compares one column; "" where no value meets it.
func (b *bound) term(c *indexColumn, value string, last bool) string {
	greater, equal := b.behind != c.descending, !b.behind && last
	if c.labels == 0 {
		return quoteName(c.name) + operator(greater, equal) + value
	}
	// Neither server reads a range of an ENUM by an index, but single values.
	at, _ := strconv.Atoi(value)
	var list []string
	for n := range c.labels + 1 {
		if n == at && equal || n != at && n > at == greater {
			list = append(list, strconv.Itoa(n))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return quoteName(c.name) + " IN (" + strings.Join(list, ", ") + ")"
}

func operator(greater, equal bool) string {
	op := " <"
	if greater {
		op = " >"
	}
	if equal {
		op += "="
	}
	return op + " "
}

// order is the ORDER BY of the index, or of its reverse, from a column on.
func (x *tableIndex) order(from int, reverse bool) string {
	var list []string
	for _, c := range x.columns[from:] {
		name := quoteName(c.name)
		if c.descending != reverse {
			name += " DESC"
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}

// maxQuery selects the key of the last row.
func maxQuery(table, fields string, x *tableIndex) string {
	return "SELECT " + fields + " FROM " + table + " FORCE INDEX (" + quoteName(x.name) + ") ORDER BY " + x.order(0, true) + " LIMIT 1"
}
