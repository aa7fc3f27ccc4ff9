package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/event"
)

// The servers tell labels in three-byte UTF-8: of a character beyond it they
// show a question mark. Labels with one are in doubt until a row has shown them.

// doubt is a label of which the server may not have told the truth.
type doubt struct {
	column int
	label  int // from 0
}

// doubtsOf finds the labels with a question mark in columns whose character set
// has more than three bytes can hold.
func doubtsOf(t *event.Table) (list []doubt) {
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Excluded || c.Charset != "utf8mb4" {
			continue
		}
		for j, label := range c.Labels {
			if strings.Contains(label, "?") {
				list = append(list, doubt{i, j})
			}
		}
	}
	return list
}

// proveLabels settles the doubts that the rows of a chunk depend on and returns
// the definition with the labels as they are.
func (r *chunkReader) proveLabels(ctx context.Context, q *session, d *definition, query *chunkQuery, rows *chunkRows) (*definition, error) {
	used, err := d.doubtsIn(rows.bodies, map[doubt]bool{})
	if err != nil {
		return d, err
	}
	return r.prove(ctx, q, d, query, rows.last, used)
}

// prove settles doubts.
func (r *chunkReader) prove(ctx context.Context, q *session, d *definition, query *chunkQuery, last []byte, used []doubt) (*definition, error) {
	if len(used) == 0 {
		return d, nil
	}
	proven := map[doubt]string{}
	for _, x := range used {
		label, found, err := q.labelInUse(ctx, d, query, last, x)
		if err != nil {
			return d, err
		}
		// Where no row is found any more, those of the chunk that had the label
		// have changed since: they are not what leaves.
		if found {
			proven[x] = label
		}
	}
	return r.source.definitions.learn(d, proven), nil
}

// doubtsIn are the doubts whose label stands in a row and was not seen before.
func (d *definition) doubtsIn(bodies []event.RawRows, seen map[doubt]bool) (used []doubt, err error) {
	for _, raw := range bodies {
		for off := 0; off < len(raw.Body); {
			row, next := chunkRow(raw.Body, off)
			off = next
			w := d.layout.walk(row)
			for w.next() {
				for _, x := range d.doubts {
					if x.column == w.column && w.value != nil && !seen[x] && d.stands(x, w.value) {
						seen[x] = true
						used = append(used, x)
					}
				}
			}
			if !w.done() {
				return nil, d.layout.malformed("a row does not fit its columns")
			}
		}
	}
	return used, nil
}

// stands reports whether a value has the label.
func (d *definition) stands(x doubt, value []byte) bool {
	var v event.Value
	var dec chunkDecoder
	if !dec.value(&d.layout.steps[x.column], &v, value) {
		return false
	}
	if v.Kind == event.Enum {
		return v.Num == int64(x.label)+1
	}
	return uint64(v.Num)>>x.label&1 != 0
}

// labelInUse asks for the text of one value that has the label, among the rows
// up to the last of the chunk.
func (q *session) labelInUse(ctx context.Context, d *definition, query *chunkQuery, last []byte, x doubt) (label string, found bool, err error) {
	column := &d.table.Columns[x.column]
	name := quoteName(column.Name)
	one := *query
	one.fields, one.limit = "CAST("+name+" AS UNSIGNED) | 0, "+name, 1
	one.where = fmt.Sprintf("%s = %d", name, x.label+1)
	if column.Type == event.TypeSet {
		one.where = fmt.Sprintf("CAST(%s AS UNSIGNED) & %d", name, uint64(1)<<x.label)
	}
	if query.index != nil {
		if one.until, err = d.placeOf(last, query); err != nil {
			return "", false, err
		}
	}
	r, err := q.row(ctx, one.sql())
	if err != nil || r == nil {
		return "", false, err
	}
	label, ok := labelIn(column.Type, number(r[0]), r[1], x.label)
	if !ok || !utf8.ValidString(label) {
		return "", false, d.layout.malformed("%q is no value of column %s", r[1], column.Name)
	}
	return label, true, nil
}

// labelIn cuts the label with a number out of the text of a value. The text of
// a SET has the labels of its bits, lowest first.
func labelIn(t event.Type, value uint64, text string, label int) (string, bool) {
	if t == event.TypeEnum {
		return text, true
	}
	before := 0
	for i := range label {
		before += int(value >> i & 1)
	}
	list := strings.Split(text, ",")
	if before >= len(list) {
		return "", false
	}
	return list[before], true
}

// withLabels is the definition with those labels, which are then beyond doubt.
func (d *definition) withLabels(proven map[doubt]string) *definition {
	n := *d
	n.table = &event.Table{Database: d.table.Database, Name: d.table.Name, Columns: slices.Clone(d.table.Columns), Key: d.table.Key}
	n.layout = &chunkLayout{table: n.table, steps: d.layout.steps}
	n.table.Layout = n.layout
	n.doubts = nil
	for _, x := range d.doubts {
		label, ok := proven[x]
		if !ok {
			n.doubts = append(n.doubts, x)
			continue
		}
		c := &n.table.Columns[x.column]
		c.Labels = slices.Clone(c.Labels)
		c.Labels[x.label] = label
	}
	return &n
}
