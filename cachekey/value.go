package cachekey

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// append appends one value as it stands in a key.
func (c *Compiled) append(dst []byte, p *part, col *event.Column, v *event.Value) ([]byte, error) {
	from := len(dst)
	switch v.Kind {
	case event.Absent:
		return dst, ErrAbsent
	case event.Null:
		if p.null != nullToken {
			return dst, ErrNull
		}
		return append(dst, token...), nil
	case event.Int, event.Year:
		return strconv.AppendInt(dst, v.Num, 10), nil
	case event.Uint, event.Bit:
		return strconv.AppendUint(dst, uint64(v.Num), 10), nil
	case event.Text:
		dst = append(dst, c.folder.text(p.fold, v.Bytes)...)
	case event.Enum, event.Set:
		dst = c.appendLabels(dst, p.fold, col, v)
	case event.Bytes:
		dst = appendBinary(dst, p.form, v.Bytes)
	case event.Decimal:
		var ok bool
		if dst, ok = appendDecimalValue(dst, v); !ok {
			return dst, ErrValue
		}
	case event.Date:
		dst = appendDate(dst, v.Num)
	case event.DateTime:
		dst = appendDateTime(dst, v.Num)
	case event.Timestamp:
		dst = appendTimestamp(dst, v.Num)
	case event.Time:
		dst = appendDuration(dst, v.Num)
	default:
		return dst, ErrValue
	}
	return finish(dst, from), nil
}

// AppendNumber appends the integer or DECIMAL as its key shows it; it is false
// for a value that is neither.
func AppendNumber(dst []byte, v *event.Value) ([]byte, bool) {
	switch v.Kind {
	case event.Int, event.Year:
		return strconv.AppendInt(dst, v.Num, 10), true
	case event.Uint, event.Bit:
		return strconv.AppendUint(dst, uint64(v.Num), 10), true
	case event.Decimal:
		return appendDecimalValue(dst, v)
	}
	return dst, false
}

// AppendNumberText appends decimal text in the same form; it is false for text
// that is no number without an exponent.
func AppendNumberText(dst []byte, text string) ([]byte, bool) { return appendDecimalText(dst, text) }

func appendDecimalValue(dst []byte, v *event.Value) ([]byte, bool) {
	if v.Bytes == nil {
		return appendDecimal(dst, v.Num, v.Scale), true
	}
	return appendDecimalText(dst, v.Bytes)
}

// appendLabels appends the label of an ENUM, whose error value is the empty
// text, or those of a SET in the order of the definition.
func (c *Compiled) appendLabels(dst []byte, mode fold, col *event.Column, v *event.Value) []byte {
	from := len(dst)
	for i, label := range col.Labels {
		if v.Kind == event.Enum && v.Num != int64(i+1) || v.Kind == event.Set && uint64(v.Num)>>i&1 == 0 {
			continue
		}
		if len(dst) > from {
			dst = append(dst, ',')
		}
		dst = append(dst, label...)
	}
	if mode == foldNone {
		return dst
	}
	return append(dst[:from], c.folder.text(mode, dst[from:])...)
}

// appendBinary appends bytes in hexadecimal, 16 of them as a UUID if asked to.
func appendBinary(dst []byte, f form, v []byte) []byte {
	if f != formUUID || len(v) != 16 {
		return hex.AppendEncode(dst, v)
	}
	dst = hex.AppendEncode(dst, v[:4])
	for i := 4; i < 10; i += 2 {
		dst = hex.AppendEncode(append(dst, '-'), v[i:i+2])
	}
	return hex.AppendEncode(append(dst, '-'), v[10:])
}

// appendTimestamp appends a TIMESTAMP in UTC.
func appendTimestamp(dst []byte, micros int64) []byte {
	if micros == 0 {
		return appendDateTime(dst, 0)
	}
	return appendDateTime(dst, packed(time.UnixMicro(micros).UTC()))
}

// packed is the wall clock of t.
func packed(t time.Time) int64 {
	return event.PackDateTime(t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/1000)
}
