package mysql

import (
	"encoding/binary"

	"github.com/cdcd-io/cdcd/event"
)

// chunkDecoder decodes one row. It lives on the stack of chunkLayout.Next.
type chunkDecoder struct {
	scratch []byte
	badText bool
}

// column sets v to the value that w stands at. It reports whether all was well.
func (d *chunkDecoder) column(s *chunkStep, v *event.Value, w *chunkWalk) bool {
	if w.value == nil {
		*v = event.Value{}
		if s.op != chunkSkip {
			v.Kind = event.Null
		}
		return true
	}
	return d.value(s, v, w.value)
}

// value decodes b, the bytes of one value that is not NULL.
func (d *chunkDecoder) value(s *chunkStep, v *event.Value, b []byte) bool {
	switch s.op {
	case chunkInt8:
		*v = event.Value{Kind: event.Int, Num: int64(int8(b[0]))}
	case chunkUint8:
		*v = event.Value{Kind: event.Uint, Num: int64(b[0])}
	case chunkInt16:
		*v = event.Value{Kind: event.Int, Num: int64(int16(binary.LittleEndian.Uint16(b)))}
	case chunkUint16:
		*v = event.Value{Kind: event.Uint, Num: int64(binary.LittleEndian.Uint16(b))}
	case chunkInt32:
		*v = event.Value{Kind: event.Int, Num: int64(int32(binary.LittleEndian.Uint32(b)))}
	case chunkUint32:
		*v = event.Value{Kind: event.Uint, Num: int64(binary.LittleEndian.Uint32(b))}
	case chunkInt64:
		*v = event.Value{Kind: event.Int, Num: int64(binary.LittleEndian.Uint64(b))}
	case chunkUint64:
		*v = event.Value{Kind: event.Uint, Num: int64(binary.LittleEndian.Uint64(b))}
	case chunkFloat:
		*v = event.Value{Kind: event.Float, Num: int64(binary.LittleEndian.Uint32(b))}
	case chunkDouble:
		*v = event.Value{Kind: event.Double, Num: int64(binary.LittleEndian.Uint64(b))}
	case chunkYear:
		*v = event.Value{Kind: event.Year, Num: int64(binary.LittleEndian.Uint16(b))}
	case chunkDecimal:
		*v = event.Value{Kind: event.Decimal, Scale: s.scale}
		v.Num = decimalNumber(b)
		return v.Num != invalidNumber
	case chunkDecimalText:
		text := plainDecimal(b)
		*v = event.Value{Kind: event.Decimal, Scale: s.scale, Bytes: text}
		return text != nil
	case chunkBit:
		*v = event.Value{Kind: event.Bit}
		for _, c := range b {
			v.Num = v.Num<<8 | int64(c)
		}
		return len(b) <= 8
	case chunkDate:
		*v = event.Value{Kind: event.Date, Num: chunkDateTimeValue(b)}
		return v.Num != invalidNumber
	case chunkDateTime:
		*v = event.Value{Kind: event.DateTime, Num: chunkDateTimeValue(b)}
		return v.Num != invalidNumber
	case chunkTimestamp:
		*v = event.Value{Kind: event.Timestamp, Num: chunkTimestampValue(b)}
		return v.Num != invalidNumber
	case chunkTime:
		*v = event.Value{Kind: event.Time, Num: chunkTimeValue(b)}
		return v.Num != invalidNumber
	case chunkEnum:
		*v = event.Value{Kind: event.Enum, Num: int64(binary.LittleEndian.Uint64(b))}
		return uint64(v.Num) <= uint64(s.width)
	case chunkSet:
		*v = event.Value{Kind: event.Set, Num: int64(binary.LittleEndian.Uint64(b))}
		return s.width == 64 || uint64(v.Num)>>s.width == 0
	case chunkText:
		return d.text(s, v, b)
	case chunkBytes:
		*v = event.Value{Kind: event.Bytes, Bytes: b}
	case chunkJSON:
		*v = event.Value{Kind: event.JSON, Bytes: d.json(b)}
	default:
		return false
	}
	return true
}

func (d *chunkDecoder) text(s *chunkStep, v *event.Value, b []byte) (ok bool) {
	v.Kind, v.Scale, v.Num = event.Text, 0, 0
	v.Bytes, d.scratch, ok = s.text.Decode(d.scratch, b)
	d.badText = !ok
	return ok
}

// json returns the server's text of a document without the spaces after ':'
// and ','. An empty document, which an INSERT IGNORE can leave behind, is null.
func (d *chunkDecoder) json(b []byte) []byte {
	if len(b) == 0 {
		return jsonNull
	}
	from := len(d.scratch)
	quoted, done := false, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ' ' && !quoted:
			d.scratch = append(d.scratch, b[done:i]...)
			done = i + 1
		}
	}
	d.scratch = append(d.scratch, b[done:]...)
	return d.scratch[from:len(d.scratch):len(d.scratch)]
}

var jsonNull = []byte("null")

// invalidNumber is what the readers of numbers return for what is none.
const invalidNumber = -1 << 63

// decimalNumber reads the text of a decimal of at most 18 digits without its point.
func decimalNumber(b []byte) int64 {
	digits, negative := unsigned(b)
	n, points := int64(0), 0
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9' && n < 1e18:
			n = n*10 + int64(c-'0')
		case c == '.' && points == 0:
			points++
		default:
			return invalidNumber
		}
	}
	if negative {
		return -n
	}
	return n
}

func unsigned(b []byte) (digits []byte, negative bool) {
	if len(b) > 0 && b[0] == '-' {
		return b[1:], true
	}
	return b, false
}

// plainDecimal is the text of a decimal without the zeros of ZEROFILL, which is
// never negative; nil for what is none.
func plainDecimal(b []byte) []byte {
	digits, _ := unsigned(b)
	if len(digits) == 0 {
		return nil
	}
	for _, c := range digits {
		if (c < '0' || c > '9') && c != '.' {
			return nil
		}
	}
	for len(b) > 1 && b[0] == '0' && b[1] != '.' {
		b = b[1:]
	}
	return b
}

// chunkDateTimeValue reads nothing, a date, or a date and time without or with
// microseconds.
func chunkDateTimeValue(b []byte) int64 {
	var part [7]byte
	micro := 0
	switch len(b) {
	case 0, 4, 7:
	case 11:
		micro = int(binary.LittleEndian.Uint32(b[7:]))
	default:
		return invalidNumber
	}
	copy(part[:], b)
	year := int(binary.LittleEndian.Uint16(part[:]))
	month, day, hour, minute, second := int(part[2]), int(part[3]), int(part[4]), int(part[5]), int(part[6])
	if year > 9999 || month > 12 || day > 31 || hour > 23 || minute > 59 || second > 59 || micro > 999_999 {
		return invalidNumber
	}
	return event.PackDateTime(year, month, day, hour, minute, second, micro)
}

// chunkTimestampValue reads a date and time in UTC as microseconds since the
// epoch; the zero timestamp is 0.
func chunkTimestampValue(b []byte) int64 {
	packed := chunkDateTimeValue(b)
	if packed == 0 || packed == invalidNumber {
		return packed
	}
	year, month, day, hour, minute, second, micro := event.UnpackDateTime(packed)
	if month == 0 || day == 0 {
		return invalidNumber
	}
	seconds := ((daysFromCivil(year, month, day)*24+int64(hour))*60+int64(minute))*60 + int64(second)
	return seconds*1_000_000 + int64(micro)
}

// daysFromCivil counts the days from 1970-01-01 to a date of the Gregorian
// calendar. Years begin in March, so that the leap day is their last.
func daysFromCivil(year, month, day int) int64 {
	if month <= 2 {
		year--
	}
	era, yearOfEra := year/400, year%400
	dayOfYear := (153*((month+9)%12)+2)/5 + day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return int64(era*146097 + dayOfEra - 719468)
}

// chunkTimeValue reads nothing, or a sign, days and a time of day without or
// with microseconds.
func chunkTimeValue(b []byte) int64 {
	micro := int64(0)
	switch len(b) {
	case 0:
		return 0
	case 8:
	case 12:
		micro = int64(binary.LittleEndian.Uint32(b[8:]))
	default:
		return invalidNumber
	}
	hours := int64(binary.LittleEndian.Uint32(b[1:]))*24 + int64(b[5])
	if b[0] > 1 || hours > 838 || b[6] > 59 || b[7] > 59 || micro > 999_999 {
		return invalidNumber
	}
	n := ((hours*60+int64(b[6]))*60+int64(b[7]))*1_000_000 + micro
	if b[0] == 1 {
		return -n
	}
	return n
}
