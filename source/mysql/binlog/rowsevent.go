package binlog

import "github.com/cdcd-io/cdcd/event"

// Rows is a rows event up to its column count: enough to decide by the table
// whether its rows are wanted.
type Rows struct {
	TableID uint64
	Type    EventType // for event.RawRows.Type; of inflated rows the type without compression
	Op      event.Op
	Body    []byte // from the column count on: event.RawRows.Body
}

// The table ids that mark a rows event without rows whose only use is to end a
// statement: the first on MariaDB, the second on MySQL.
const (
	dummyTable24 = 1<<24 - 1
	dummyTable48 = 1<<48 - 1
)

// IsDummyTable reports whether a rows event with this table id may be one without
// table and rows that only ends a statement. It is one when no table map gave
// the id to a table.
func IsDummyTable(id uint64) bool { return id == dummyTable24 || id == dummyTable48 }

// ParseRows reads the fixed part of a rows event of any type. Rows of a
// compressed type must go through Inflater.Rows before they are decoded.
func ParseRows(t EventType, body []byte) (Rows, error) {
	op := rowsOp(t)
	if op == 0 {
		return Rows{}, malformed("read rows event", "%s is no rows event", t)
	}
	c := cursor{b: body}
	r := Rows{TableID: c.uint(6), Type: t, Op: op}
	c.u16() // flags
	if hasExtraData(t) {
		n := uint64(c.u16())
		if n < 2 {
			return Rows{}, malformed("read rows event", "extra data of %d bytes", n)
		}
		c.take(n - 2)
	}
	if c.bad || len(c.b) == 0 {
		return Rows{}, malformed("read rows event", "truncated after %d bytes", len(body))
	}
	r.Body = c.b
	return r, nil
}

func rowsOp(t EventType) event.Op {
	switch t {
	case TypeWriteRowsV1, TypeWriteRows, TypeWriteRowsCompressedV1, TypeWriteRowsCompressed:
		return event.Insert
	case TypeUpdateRowsV1, TypeUpdateRows, TypePartialUpdateRows, TypeUpdateRowsCompressedV1, TypeUpdateRowsCompressed:
		return event.Update
	case TypeDeleteRowsV1, TypeDeleteRows, TypeDeleteRowsCompressedV1, TypeDeleteRowsCompressed:
		return event.Delete
	}
	return 0
}

func hasExtraData(t EventType) bool {
	return t >= TypeWriteRows && t <= TypeDeleteRows || t == TypePartialUpdateRows || t >= TypeWriteRowsCompressed && t <= TypeDeleteRowsCompressed
}
