package cachekeys

import (
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// predicate is a parsed where: comparisons under AND and OR. There is no NOT,
// so it may be evaluated as "could this be true": where a comparison depends on
// a collation it answers yes.
type predicate struct {
	text string
	root node
}

// node is a comparison, or an AND or OR of nodes.
type node struct {
	op      operator
	column  string
	literal string // a number in canonical form, or text
	number  bool
	at      int // offset in the text
	of      []node
}

type operator uint8

const (
	opAnd operator = iota
	opOr
	opIsNull
	opIsNotNull
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
)

// boundWhere is a predicate bound to a table version.
type boundWhere struct {
	root    boundNode
	columns []int
	scratch []byte
}

type boundNode struct {
	op      operator
	column  int
	literal string
	label   int64 // ENUM: index of the literal
	typ     event.Type
	of      []boundNode
}

func (p *predicate) bind(table *event.Table) (*boundWhere, error) {
	w := &boundWhere{}
	var err error
	w.root, err = w.bindNode(p, &p.root, table)
	return w, err
}

func (w *boundWhere) bindNode(p *predicate, n *node, table *event.Table) (boundNode, error) {
	b := boundNode{op: n.op, literal: n.literal}
	for i := range n.of {
		child, err := w.bindNode(p, &n.of[i], table)
		if err != nil {
			return b, err
		}
		b.of = append(b.of, child)
	}
	if n.op <= opOr {
		return b, nil
	}
	b.column = slices.IndexFunc(table.Columns, func(c event.Column) bool { return strings.EqualFold(c.Name, n.column) })
	if b.column < 0 || table.Columns[b.column].Excluded {
		return b, noColumn(table, n.column, "where")
	}
	w.columns = append(w.columns, b.column)
	return b, b.check(p, n, table, &table.Columns[b.column])
}

// check refuses comparisons whose result is not known here as the server knows it.
func (b *boundNode) check(p *predicate, n *node, table *event.Table, col *event.Column) error {
	refuse := func(cause, hint string) error {
		return resilience.Errorf(resilience.Fatal, "cache_rule_where", "compile cache rule", "%s", cause).
			WithPlace("%q, byte %d, for %s.%s, column %s", p.text, n.at+1, table.Database, table.Name, col.Name).WithHint("%s", hint)
	}
	b.typ = col.Type
	if n.op <= opIsNotNull {
		return nil
	}
	switch col.Type {
	case event.TypeTinyInt, event.TypeSmallInt, event.TypeMediumInt, event.TypeInt, event.TypeBigInt, event.TypeYear, event.TypeBit, event.TypeDecimal:
		if !n.number {
			return refuse("the column holds numbers, the literal is text", "compare it with a number, without quotes")
		}
		return nil
	case event.TypeEnum:
		return b.checkEnum(n, col, refuse)
	case event.TypeChar, event.TypeText:
		if n.number || n.op > opNotEqual {
			return refuse("text is compared with = and != 'text' only: its order depends on the collation", "use = or !=, or leave out the condition")
		}
		return nil
	}
	return refuse("columns of this type are not compared", "use IS NULL or IS NOT NULL, or leave out the condition")
}

func (b *boundNode) checkEnum(n *node, col *event.Column, refuse func(cause, hint string) error) error {
	i := slices.Index(col.Labels, n.literal)
	if n.number || n.op > opNotEqual || i < 0 {
		return refuse("an ENUM is compared with = and != and one of its labels", "labels are '"+strings.Join(col.Labels, "', '")+"'")
	}
	b.label = int64(i + 1)
	return nil
}

// mayHold reports whether the predicate could be true of the image.
func (w *boundWhere) mayHold(image []event.Value) bool { return w.holds(&w.root, image) }

func (w *boundWhere) holds(n *boundNode, image []event.Value) bool {
	switch n.op {
	case opAnd:
		for i := range n.of {
			if !w.holds(&n.of[i], image) {
				return false
			}
		}
		return true
	case opOr:
		for i := range n.of {
			if w.holds(&n.of[i], image) {
				return true
			}
		}
		return false
	}
	v := &image[n.column]
	switch {
	case v.Kind == event.Absent:
		return true
	case n.op == opIsNull || n.op == opIsNotNull:
		return (v.Kind == event.Null) == (n.op == opIsNull)
	case v.Kind == event.Null:
		return false
	}
	return w.compare(n, v)
}

func (w *boundWhere) compare(n *boundNode, v *event.Value) bool {
	switch v.Kind {
	case event.Enum:
		return (v.Num == n.label) == (n.op == opEqual)
	case event.Text:
		return mayCompare(n.op, v.Bytes, n.literal)
	}
	var ok bool
	if w.scratch, ok = cachekey.AppendNumber(w.scratch[:0], v); !ok {
		return true
	}
	return n.op.holds(compareNumbers(w.scratch, n.literal))
}

// holds reports whether a result of a comparison (negative, zero, positive)
// satisfies the operator.
func (o operator) holds(cmp int) bool {
	switch o {
	case opEqual:
		return cmp == 0
	case opNotEqual:
		return cmp != 0
	case opLess:
		return cmp < 0
	case opLessEqual:
		return cmp <= 0
	case opGreater:
		return cmp > 0
	}
	return cmp >= 0
}

// mayCompare is false where no collation could make the comparison true. Two
// texts of printable ASCII are equal in some collation only if they are equal
// but for case and trailing spaces; equal bytes are equal in every one.
func mayCompare(op operator, v []byte, literal string) bool {
	if op == opNotEqual {
		return string(v) != literal
	}
	a, b := trimSpaces(v), trimSpaces(literal)
	if !printable(a) || !printable(b) {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func trimSpaces[T string | []byte](s T) T {
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

func printable[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// compareNumbers compares two numbers in canonical decimal form.
func compareNumbers[A, B string | []byte](a A, b B) int {
	na, nb := len(a) > 0 && a[0] == '-', len(b) > 0 && b[0] == '-'
	switch {
	case na && !nb:
		return -1
	case nb && !na:
		return 1
	case na:
		return -compareSizes(a[1:], b[1:])
	}
	return compareSizes(a, b)
}

func compareSizes[A, B string | []byte](a A, b B) int {
	if d := wholeDigits(a) - wholeDigits(b); d != 0 {
		return d
	}
	for i := range min(len(a), len(b)) {
		if d := int(a[i]) - int(b[i]); d != 0 {
			return d
		}
	}
	return len(a) - len(b)
}

func wholeDigits[T string | []byte](s T) int {
	for i := range len(s) {
		if s[i] == '.' {
			return i
		}
	}
	return len(s)
}
