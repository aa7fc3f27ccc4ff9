package mysql

import (
	"encoding/binary"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

const opDecodeChunk = "decode row of a chunk"

// chunkPrefix is the length before each row of a chunk's bodies: 32 bits,
// little endian. The row behind it is a packet of the binary result protocol.
const chunkPrefix = 4

// chunkOp says how the bytes of one column of a result become a value.
type chunkOp uint8

const (
	chunkSkip chunkOp = iota // not selected
	chunkInt8
	chunkUint8 // each unsigned operation follows its signed one
	chunkInt16
	chunkUint16
	chunkInt32
	chunkUint32
	chunkInt64
	chunkUint64
	chunkFloat
	chunkDouble
	chunkYear
	chunkDecimal
	chunkDecimalText
	chunkBit
	chunkDate
	chunkTime
	chunkDateTime
	chunkTimestamp
	chunkEnum
	chunkSet
	chunkText
	chunkBytes
	chunkJSON
)

// chunkWidth is how many bytes a value has; the others have a length of their
// own before them.
var chunkWidth = [...]int{
	chunkInt8: 1, chunkUint8: 1, chunkInt16: 2, chunkUint16: 2, chunkInt32: 4, chunkUint32: 4, chunkInt64: 8, chunkUint64: 8,
	chunkFloat: 4, chunkDouble: 8, chunkYear: 2, chunkEnum: 8, chunkSet: 8, chunkJSON: 0,
}

// chunkStep reads one column.
type chunkStep struct {
	op    chunkOp
	text  binlog.TextDecoder
	scale uint8
	width int // labels of ENUM and SET
}

// chunkLayout reads the rows of chunks: a step a column, in table order. It
// implements event.Layout.
type chunkLayout struct {
	table *event.Table
	steps []chunkStep
}

// Count walks the rows of body.
func (l *chunkLayout) Count(_ byte, body []byte) (rows uint32, err error) {
	for off := 0; off < len(body); rows++ {
		if _, off = chunkRow(body, off); off < 0 {
			return 0, l.malformed("row %d ends after its body", rows)
		}
	}
	return rows, nil
}

// chunkRow returns the row at off and the offset of the one after it, -1 past
// the end.
func chunkRow(body []byte, off int) (row []byte, next int) {
	if len(body)-off < chunkPrefix {
		return nil, -1
	}
	n := int(binary.LittleEndian.Uint32(body[off:]))
	off += chunkPrefix
	if n > len(body)-off {
		return nil, -1
	}
	return body[off : off+n : off+n], off + n
}

// Next decodes the row at off into the after image of r.
func (l *chunkLayout) Next(raw *event.RawRows, off int, r *event.RowReader) (int, error) {
	row, next := chunkRow(raw.Body, off)
	if next < 0 {
		return 0, l.malformed("a row ends after its body")
	}
	d := chunkDecoder{scratch: r.Scratch}
	vals := r.After(len(l.steps))
	w := l.walk(row)
	for w.next() {
		if !d.column(&l.steps[w.column], &vals[w.column], &w) {
			r.Scratch = d.scratch
			return 0, l.fault(w.column, d.badText)
		}
	}
	r.Scratch = d.scratch
	if !w.done() {
		return 0, l.malformed("a row does not fit its columns")
	}
	return next, nil
}

// chunkWalk goes over the columns of one row.
type chunkWalk struct {
	steps  []chunkStep
	nulls  []byte
	rest   []byte
	column int
	field  int    // number of the column in the result
	value  []byte // nil: NULL, or not selected
	bad    bool
}

// walk starts before the first column of a row: a zero byte, then the NULLs
// from their third bit on, then the values.
func (l *chunkLayout) walk(row []byte) chunkWalk {
	fields := 0
	for i := range l.steps {
		if l.steps[i].op != chunkSkip {
			fields++
		}
	}
	size := 1 + (fields+9)/8
	if len(row) < size || row[0] != 0 {
		return chunkWalk{bad: true}
	}
	return chunkWalk{steps: l.steps, nulls: row[1:size], rest: row[size:], column: -1, field: -1}
}

// next goes to the next column and takes its value.
func (w *chunkWalk) next() bool {
	w.column++
	if w.bad || w.column >= len(w.steps) {
		return false
	}
	w.value = nil
	s := &w.steps[w.column]
	if s.op == chunkSkip {
		return true
	}
	w.field++
	if bit := w.field + 2; w.nulls[bit>>3]>>(bit&7)&1 != 0 {
		return true
	}
	n, head := chunkWidth[s.op], 0
	if n == 0 {
		n, head = lengthEncoded(w.rest)
	}
	if n < 0 || n > len(w.rest)-head {
		w.bad = true
		return false
	}
	w.value = w.rest[head : head+n : head+n]
	w.rest = w.rest[head+n:]
	return true
}

// done reports whether all of the row was taken.
func (w *chunkWalk) done() bool { return !w.bad && len(w.rest) == 0 && w.column == len(w.steps) }

// lengthEncoded reads the length before a value and how many bytes it takes
// itself; n is -1 where it is none.
func lengthEncoded(b []byte) (n, size int) {
	if len(b) == 0 {
		return -1, 0
	}
	size = 1
	switch first := b[0]; first {
	case 0xfb, 0xff:
		return -1, 0
	case 0xfc:
		size = 3
	case 0xfd:
		size = 4
	case 0xfe:
		size = 9
	default:
		return int(first), 1
	}
	if len(b) < size {
		return -1, 0
	}
	v := uint64(0)
	for i := size - 1; i > 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	if v > 1<<32-1 {
		return -1, 0
	}
	return int(v), size
}

func (l *chunkLayout) fault(column int, badText bool) error {
	c := &l.table.Columns[column]
	if badText {
		e := resilience.Errorf(resilience.Poison, binlog.CodeInvalidText, opDecodeChunk, "the value is no text in character set %s", c.Charset)
		return e.WithPlace("%s.%s.%s", l.table.Database, l.table.Name, c.Name).
			WithHint("correct the value at its source, or exclude the column")
	}
	return l.malformed("column %s has no valid value", c.Name)
}

func (l *chunkLayout) malformed(format string, args ...any) error {
	e := resilience.Errorf(resilience.Fatal, codeChunkMalformed, opDecodeChunk, format, args...)
	return e.WithPlace("%s.%s", l.table.Database, l.table.Name).WithHint("please report this with the table's definition")
}
