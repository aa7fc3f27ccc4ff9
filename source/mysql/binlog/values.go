package binlog

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/event"
)

// why says what stopped a decoder.
type why uint8

const (
	whyShort why = iota // the event ended
	whyValue            // bytes that are no value of the column's type
	whyText             // bytes that are no text in the column's character set
)

// decoder decodes one row. It lives on the stack of layout.Next.
type decoder struct {
	body    []byte
	pos     int
	scratch []byte
	steps   []step
	column  int // where it stopped
	why     why
}

// image decodes one row image into vals. It reports whether all was well.
// present tells the columns that the image has, nil all; NULLs have a bit for
// each of those.
func (d *decoder) image(vals []event.Value, present []byte) bool {
	size := (countColumns(present, len(d.steps)) + 7) / 8
	if len(d.body)-d.pos < size {
		return false
	}
	nulls := d.body[d.pos : d.pos+size]
	d.pos += size
	bit := 0
	for i := range d.steps {
		s, v := &d.steps[i], &vals[i]
		if present != nil && present[i>>3]>>(i&7)&1 == 0 {
			*v = event.Value{}
			continue
		}
		null := nulls[bit>>3]>>(bit&7)&1 != 0
		bit++
		if null {
			*v = event.Value{}
			if s.op != opSkip {
				v.Kind = event.Null
			}
			continue
		}
		b := d.next(s)
		if b == nil || !d.value(s, v, b) {
			d.column = i
			return false
		}
	}
	return true
}

// next returns the bytes of the next value, never nil unless the event ends.
func (d *decoder) next(s *step) []byte {
	rest := d.body[d.pos:]
	n := int(s.fixed)
	if s.prefix != 0 {
		if len(rest) < int(s.prefix) {
			return nil
		}
		n = prefixed(rest, s.prefix)
		d.pos += int(s.prefix)
		rest = rest[s.prefix:]
	}
	if n > len(rest) {
		return nil
	}
	d.pos += n
	return rest[:n:n]
}

// value decodes b, the bytes of one value that is not NULL.
func (d *decoder) value(s *step, v *event.Value, b []byte) bool {
	switch s.op {
	case opSkip:
		*v = event.Value{}
	case opInt8:
		*v = event.Value{Kind: event.Int, Num: int64(int8(b[0]))}
	case opUint8:
		*v = event.Value{Kind: event.Uint, Num: int64(b[0])}
	case opInt16:
		*v = event.Value{Kind: event.Int, Num: int64(int16(le16(b)))}
	case opUint16:
		*v = event.Value{Kind: event.Uint, Num: int64(le16(b))}
	case opInt24:
		*v = event.Value{Kind: event.Int, Num: int64(int32(le24(b))<<8) >> 8}
	case opUint24:
		*v = event.Value{Kind: event.Uint, Num: int64(le24(b))}
	case opInt32:
		*v = event.Value{Kind: event.Int, Num: int64(int32(le32(b)))}
	case opUint32:
		*v = event.Value{Kind: event.Uint, Num: int64(le32(b))}
	case opInt64:
		*v = event.Value{Kind: event.Int, Num: int64(binary.LittleEndian.Uint64(b))}
	case opUint64:
		*v = event.Value{Kind: event.Uint, Num: int64(binary.LittleEndian.Uint64(b))}
	case opFloat:
		*v = event.Value{Kind: event.Float, Num: int64(le32(b))}
	case opDouble:
		*v = event.Value{Kind: event.Double, Num: int64(binary.LittleEndian.Uint64(b))}
	case opDecimal:
		return d.decimal(s, v, b)
	case opDecimalText:
		return d.decimalText(s, v, b)
	case opBit:
		*v = event.Value{Kind: event.Bit, Num: int64(bigEndian(b))}
	case opYear:
		*v = event.Value{Kind: event.Year, Num: year(b[0])}
	case opDate:
		return d.temporal(v, event.Date, dateValue(b))
	case opTime:
		return d.temporal(v, event.Time, timeValue(b))
	case opDateTime:
		return d.temporal(v, event.DateTime, dateTimeValue(b))
	case opTimestamp:
		return d.temporal(v, event.Timestamp, timestampValue(b))
	case opEnum:
		*v = event.Value{Kind: event.Enum, Num: int64(littleEndian(b))}
		return d.check(v.Num <= int64(s.width), whyValue)
	case opSet:
		*v = event.Value{Kind: event.Set, Num: int64(littleEndian(b))}
		return d.check(s.width == 64 || uint64(v.Num)>>s.width == 0, whyValue)
	case opText:
		*v = event.Value{Kind: event.Text, Bytes: b}
		return d.check(utf8.Valid(b), whyText)
	case opASCII:
		*v = event.Value{Kind: event.Text, Bytes: b}
		return d.check(isASCII(b), whyText)
	case opLatin1:
		*v = event.Value{Kind: event.Text, Bytes: d.latin1(b)}
	case opBytes:
		*v = event.Value{Kind: event.Bytes, Bytes: b}
	case opBinary:
		*v = event.Value{Kind: event.Bytes, Bytes: d.pad(b, s.width)}
	case opJSON:
		return d.json(v, b)
	}
	return true
}

func (d *decoder) check(ok bool, why why) bool {
	if !ok {
		d.why = why
	}
	return ok
}

// rendered returns what was appended to the scratch memory since it had length
// from. Memory that is full grows by a fresh array; values of the same row that
// point into the old one keep it alive.
func (d *decoder) rendered(from int) []byte {
	return d.scratch[from:len(d.scratch):len(d.scratch)]
}

func (d *decoder) latin1(b []byte) []byte {
	if isASCII(b) {
		return b
	}
	from := len(d.scratch)
	d.scratch = appendLatin1(d.scratch, b)
	return d.rendered(from)
}

// pad restores the zeros that the server cuts from the end of BINARY values.
func (d *decoder) pad(b []byte, width int) []byte {
	if len(b) >= width {
		return b
	}
	from := len(d.scratch)
	d.scratch = append(d.scratch, b...)
	for len(d.scratch)-from < width {
		d.scratch = append(d.scratch, 0)
	}
	return d.rendered(from)
}

func (d *decoder) json(v *event.Value, b []byte) bool {
	from := len(d.scratch)
	text, ok := appendJSON(d.scratch, b)
	if !ok {
		d.why = whyValue
		return false
	}
	d.scratch = text
	*v = event.Value{Kind: event.JSON, Bytes: d.rendered(from)}
	return true
}
