package debezium

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"

	"github.com/cdcd-io/cdcd/event"
)

// fault is why a value has no form: which field, and how the error reads.
type fault struct {
	field               *field
	code, cause, remedy string
}

var (
	absent       = fault{code: "partial_row_image", cause: "the column is not in the row image", remedy: "set binlog_row_image=FULL on the source"}
	mismatch     = fault{code: "unexpected_value", cause: "the value is not of the column's type", remedy: "the definition does not fit the row; report it with the table's definition"}
	nullInKey    = fault{code: "unexpected_null", cause: "NULL in a column that is NOT NULL", remedy: mismatch.remedy}
	badUTF8      = fault{code: "invalid_utf8", cause: "the text is not valid UTF-8", remedy: "correct the row, or exclude the column"}
	badLabel     = fault{code: "unknown_label", cause: "the value has no label in the definition", remedy: mismatch.remedy}
	invalidDate  = fault{code: "invalid_date", cause: "no calendar has this date", remedy: "correct the row, or set invalid_dates to null or text"}
	invalidInKey = fault{code: "invalid_date_in_key", cause: "a date that no calendar has is part of the key: as null it would share the key with other rows", remedy: "correct the row, or set invalid_dates to text"}
)

// fail notes the fault and is false.
func (e *Encoder) fail(f *field, why fault) bool {
	e.fault = why
	e.fault.field = f
	return false
}

// appendFields appends the fields of an image as an object. It is false after a
// fault, and dst then holds part of it.
func (e *Encoder) appendFields(dst []byte, fields []field, image []event.Value) ([]byte, bool) {
	if len(fields) == 0 {
		return append(dst, '{', '}'), true
	}
	for i := range fields {
		f := &fields[i]
		dst = append(dst, f.name...)
		if f.col >= len(image) {
			return dst, e.fail(f, absent)
		}
		v := &image[f.col]
		ok := true
		switch {
		case v.Kind != f.kind && v.Kind != f.alt:
			dst, ok = e.appendOther(dst, f, v)
		case f.render == asNumber:
			dst = strconv.AppendInt(dst, v.Num, 10)
		case f.render == asText:
			if dst, ok = appendString(dst, v.Bytes); !ok {
				e.fail(f, badUTF8)
			}
		default:
			dst, ok = e.appendValue(dst, f, v)
		}
		if !ok {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

// appendOther handles values that are not of the column's kind.
func (e *Encoder) appendOther(dst []byte, f *field, v *event.Value) ([]byte, bool) {
	switch {
	case v.Kind == event.Absent:
		return dst, e.fail(f, absent)
	case v.Kind != event.Null:
		return dst, e.fail(f, mismatch)
	case !f.nullable:
		return dst, e.fail(f, nullInKey)
	}
	return append(dst, "null"...), true
}

func (e *Encoder) appendValue(dst []byte, f *field, v *event.Value) ([]byte, bool) {
	ok := true
	switch f.render {
	case asFloat:
		return e.appendFloating(dst, f, float64(math.Float32frombits(uint32(v.Num))), 32)
	case asDouble:
		return e.appendFloating(dst, f, math.Float64frombits(uint64(v.Num)), 64)
	case asUnsigned:
		return appendUnsigned(dst, uint64(v.Num)), true
	case asUnscaled, asPlain, asDoubled:
		return e.appendDecimal(dst, f, v)
	case asBool:
		return strconv.AppendBool(dst, v.Num != 0), true
	case asBits:
		return appendBits(dst, uint64(v.Num), int(f.width)), true
	case asBase64:
		return appendBase64(dst, v.Bytes), true
	case asBase64URL:
		return append(base64.URLEncoding.AppendEncode(append(dst, '"'), v.Bytes), '"'), true
	case asHex:
		return append(hex.AppendEncode(append(dst, '"'), v.Bytes), '"'), true
	case asDays:
		dst, ok = appendDays(dst, v.Num)
	case asMillis:
		dst, ok = appendMillis(dst, v.Num)
	case asMicros:
		dst, ok = appendMicros(dst, v.Num)
	case asInstant:
		if ok = v.Num != 0; ok {
			dst = appendInstant(dst, v.Num, int(f.digits))
		}
	case asLabel:
		if v.Num < 0 || v.Num >= int64(len(f.labels)) {
			return dst, e.fail(f, badLabel)
		}
		return append(dst, f.labels[v.Num]...), true
	case asLabels:
		return e.appendSet(dst, f, uint64(v.Num))
	}
	if !ok {
		return e.appendInvalidDate(dst, f, v)
	}
	return dst, true
}

func (e *Encoder) appendFloating(dst []byte, f *field, x float64, bits int) ([]byte, bool) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return dst, e.fail(f, mismatch)
	}
	return appendFloat(dst, x, bits), true
}

func (e *Encoder) appendDecimal(dst []byte, f *field, v *event.Value) ([]byte, bool) {
	if v.Bytes == nil && (v.Scale != f.digits || int(v.Scale) >= len(pow10)) {
		return dst, e.fail(f, mismatch)
	}
	ok := true
	switch f.render {
	case asUnscaled:
		dst, ok = appendUnscaled(dst, v)
	case asPlain:
		dst = append(appendPlain(append(dst, '"'), v), '"')
	case asDoubled:
		dst, ok = appendDoubled(dst, v)
	}
	if !ok {
		return dst, e.fail(f, mismatch)
	}
	return dst, true
}

// appendBits appends the low width bytes of n, lowest first.
func appendBits(dst []byte, n uint64, width int) []byte {
	var b [8]byte
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
	return appendBase64(dst, b[:min(width, 8)])
}

func (e *Encoder) appendSet(dst []byte, f *field, set uint64) ([]byte, bool) {
	if bits.Len64(set) > len(f.labels) {
		return dst, e.fail(f, badLabel)
	}
	dst = append(dst, '"')
	for first := true; set != 0; first = false {
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, f.labels[bits.TrailingZeros64(set)]...)
		set &= set - 1
	}
	return append(dst, '"'), true
}

// appendInvalidDate follows the policy for dates that no calendar has.
func (e *Encoder) appendInvalidDate(dst []byte, f *field, v *event.Value) ([]byte, bool) {
	e.invalidDates++
	switch {
	case e.cfg.InvalidDates == "error":
		return dst, e.fail(f, invalidDate)
	case e.cfg.InvalidDates == "text":
		return appendServerText(dst, v, int(f.digits)), true
	case f.inKey:
		return dst, e.fail(f, invalidInKey)
	case f.nullable:
		return append(dst, "null"...), true
	case f.render == asInstant:
		return append(dst, `"1970-01-01T00:00:00Z"`...), true
	}
	return append(dst, '0'), true
}
