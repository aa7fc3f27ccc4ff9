package binlog

import (
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

const opDecode = "decode row"

// opcode says what becomes of the bytes of one column.
type opcode uint8

const (
	opSkip opcode = iota // an excluded column
	opInt8
	opUint8 // each unsigned operation follows its signed one
	opInt16
	opUint16
	opInt24
	opUint24
	opInt32
	opUint32
	opInt64
	opUint64
	opFloat
	opDouble
	opDecimal
	opDecimalText
	opBit
	opYear
	opDate
	opTime
	opDateTime
	opTimestamp
	opEnum
	opSet
	opText
	opASCII
	opLatin1
	opBytes
	opBinary
	opJSON
)

// step reads one column. A value has either a fixed size or a length prefix.
type step struct {
	op      opcode
	fixed   uint8 // bytes of a value, 0 where it has a prefix
	prefix  uint8 // bytes of the length prefix
	width   int   // bytes to which BINARY is padded; number of labels of ENUM and SET
	decimal decimalShape
}

// layout is the decode program of one table version: a step a column, in
// table order. It implements event.Layout.
type layout struct {
	table *event.Table
	steps []step
}

// Count walks the rows of body without decoding them. An image may leave out
// excluded columns only.
func (l *layout) Count(typ byte, body []byte) (uint32, error) {
	h, err := l.open(typ, body)
	if err != nil {
		return 0, err
	}
	rows := uint32(0)
	for pos := h.rows; pos < len(body); rows++ {
		start := pos
		for _, present := range h.images() {
			if pos = l.skipImage(body, pos, present); pos < 0 {
				return 0, l.malformed("row %d ends after the event", rows)
			}
		}
		if pos == start {
			return 0, l.malformed("rows without columns")
		}
	}
	return rows, nil
}

// Next decodes the row at off into the images of r.
func (l *layout) Next(raw *event.RawRows, off int, r *event.RowReader) (int, error) {
	h, err := l.open(raw.Type, raw.Body)
	if err != nil {
		return 0, err
	}
	if off == 0 {
		off = h.rows
	}
	d := decoder{body: raw.Body, pos: off, scratch: r.Scratch, steps: l.steps}
	ok := true
	if h.op != event.Insert {
		ok = d.image(r.Before(len(l.steps)), h.present[0])
	}
	if ok && h.op != event.Delete {
		ok = d.image(r.After(len(l.steps)), h.present[h.count-1])
	}
	r.Scratch = d.scratch
	if !ok {
		return 0, l.fault(&d)
	}
	return d.pos, nil
}

// rowsHead is what stands before the rows of an event.
type rowsHead struct {
	op      event.Op
	rows    int       // offset of the first row
	count   int       // images of a row
	present [2][]byte // bitmap of the columns in each image; nil where all are
}

func (h *rowsHead) images() [][]byte { return h.present[:h.count] }

// open reads and checks what stands before the rows.
func (l *layout) open(typ byte, body []byte) (h rowsHead, err error) {
	h.op, h.count = rowsOp(EventType(typ)), 1
	switch EventType(typ) {
	case TypeUpdateRows, TypeUpdateRowsV1:
		h.count = 2
	case TypeWriteRows, TypeWriteRowsV1, TypeDeleteRows, TypeDeleteRowsV1:
	case TypePartialUpdateRows:
		return h, l.refuse(CodePartialJSON, "the update carries parts of JSON documents").
			WithHint("SET GLOBAL binlog_row_value_options = '', and in every session that sets its own; then exclude the table or %s", resilience.StartOver)
	default:
		return h, l.malformed("%s cannot be decoded", EventType(typ))
	}
	c := cursor{b: body}
	if n := c.lenenc(); c.bad || n != uint64(len(l.steps)) {
		return h, l.malformed("%d columns in the rows, %d in the table map", n, len(l.steps))
	}
	for i := range h.count {
		bitmap := c.take(uint64(len(l.steps)+7) / 8)
		if c.bad {
			return h, l.malformed("truncated before the first row")
		}
		if l.full(bitmap) {
			continue
		}
		if err := l.checkMissing(bitmap); err != nil {
			return h, err
		}
		h.present[i] = bitmap
	}
	h.rows = len(body) - len(c.b)
	return h, nil
}

// full reports whether every column is in the bitmap.
func (l *layout) full(bitmap []byte) bool {
	last := len(bitmap) - 1
	for _, b := range bitmap[:last] {
		if b != 0xff {
			return false
		}
	}
	want := byte(0xff) >> (7 - (len(l.steps)-1)%8)
	return bitmap[last]&want == want
}

// checkMissing lets only excluded columns be out of the bitmap.
func (l *layout) checkMissing(bitmap []byte) error {
	for i := range l.steps {
		if bitmap[i/8]>>(i%8)&1 == 0 && l.steps[i].op != opSkip {
			return l.refuse(CodePartialImage, "the row image leaves column %s out", l.table.Columns[i].Name).
				WithHint("SET GLOBAL binlog_row_image = FULL, and in every session that sets its own, then " + resilience.StartOver + "; " +
					"MariaDB leaves generated columns out of updates and deletes even so: exclude them")
		}
	}
	return nil
}

// skipImage returns the offset after the image at pos, -1 past the end.
func (l *layout) skipImage(b []byte, pos int, present []byte) int {
	nulls, bit := pos, 0
	pos += (countColumns(present, len(l.steps)) + 7) / 8
	for i := range l.steps {
		if pos > len(b) {
			return -1
		}
		if present != nil && present[i>>3]>>(i&7)&1 == 0 {
			continue
		}
		null := b[nulls+bit>>3]>>(bit&7)&1 != 0
		bit++
		if null {
			continue
		}
		s := &l.steps[i]
		if s.prefix == 0 {
			pos += int(s.fixed)
			continue
		}
		if len(b)-pos < int(s.prefix) {
			return -1
		}
		pos += int(s.prefix) + prefixed(b[pos:], s.prefix)
	}
	if pos > len(b) {
		return -1
	}
	return pos
}

// countColumns is how many of n columns an image has.
func countColumns(present []byte, n int) int {
	if present == nil {
		return n
	}
	count := 0
	for i := range n {
		count += int(present[i>>3] >> (i & 7) & 1)
	}
	return count
}

// prefixed reads a length prefix of 1 to 4 bytes.
func prefixed(b []byte, size uint8) int {
	switch size {
	case 1:
		return int(b[0])
	case 2:
		return int(le16(b))
	case 3:
		return int(le24(b))
	}
	return int(le32(b))
}

// fault explains why the decoder stopped.
func (l *layout) fault(d *decoder) error {
	column := l.table.Columns[d.column].Name
	switch d.why {
	case whyText:
		e := columnError(resilience.Poison, CodeInvalidText, opDecode, l.table.Database, l.table.Name, column,
			"the value is no text in character set %s", l.table.Columns[d.column].Charset)
		return e.WithHint("correct the value at its source, or exclude the column")
	case whyValue:
		return l.malformed("column %s has no valid value", column)
	}
	return l.malformed("column %s ends after the event", column)
}

func (l *layout) malformed(format string, args ...any) error {
	return l.refuse(CodeMalformed, format, args...).WithHint(hintMalformed)
}

func (l *layout) refuse(code, format string, args ...any) *resilience.Error {
	e := resilience.Errorf(resilience.Fatal, code, opDecode, format, args...)
	return e.WithPlace("%s.%s", l.table.Database, l.table.Name)
}
