package text

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/event"
)

// appendValue appends a value as SQL shows it: text in quotes, binary data in
// hexadecimal, all else bare.
func (e *Encoder) appendValue(c *event.Column, v *event.Value) {
	switch v.Kind {
	case event.Absent:
		e.paint(e.colors.null, "?")
	case event.Null:
		e.paint(e.colors.null, "NULL")
	case event.Int:
		e.b = strconv.AppendInt(e.b, v.Num, 10)
	case event.Uint:
		e.b = strconv.AppendUint(e.b, uint64(v.Num), 10)
	case event.Float:
		e.b = strconv.AppendFloat(e.b, float64(math.Float32frombits(uint32(v.Num))), 'g', -1, 32)
	case event.Double:
		e.b = strconv.AppendFloat(e.b, math.Float64frombits(uint64(v.Num)), 'g', -1, 64)
	case event.Decimal:
		e.b = appendDecimal(e.b, v)
	case event.Text:
		e.quote(v.Bytes)
	case event.Bytes:
		e.appendBinary(v.Bytes)
	case event.Bit:
		e.b = append(strconv.AppendUint(append(e.b, "b'"...), uint64(v.Num), 2), '\'')
	case event.Year:
		e.b = appendPadded(e.b, v.Num, 4)
	case event.Date:
		e.b = appendDate(e.b, v.Num)
	case event.Time:
		e.b = appendTime(e.b, v.Num, c.Scale)
	case event.DateTime:
		e.b = appendDateTime(e.b, v.Num, c.Scale)
	case event.Timestamp:
		e.appendTimestamp(v.Num, c.Scale)
	case event.Enum:
		e.joined = append(e.joined[:0], label(c, v.Num)...)
		e.quote(e.joined)
	case event.Set:
		e.appendSet(c, uint64(v.Num))
	case event.JSON:
		e.appendText(v.Bytes, e.cfg.MaxValue)
	}
}

func appendDecimal(b []byte, v *event.Value) []byte {
	if v.Bytes != nil {
		return append(b, v.Bytes...)
	}
	n := uint64(v.Num)
	if v.Num < 0 {
		b, n = append(b, '-'), -n
	}
	unit := uint64(1)
	for range v.Scale {
		unit *= 10
	}
	b = strconv.AppendUint(b, n/unit, 10)
	if v.Scale > 0 {
		b = appendPadded(append(b, '.'), int64(n%unit), int(v.Scale))
	}
	return b
}

// appendPadded appends n ≥ 0 with at least width digits.
func appendPadded(b []byte, n int64, width int) []byte {
	for limit := int64(10); width > 1; width-- {
		if n < limit {
			b = appendZeros(b, width-1)
			break
		}
		limit *= 10
	}
	return strconv.AppendInt(b, n, 10)
}

func appendZeros(b []byte, n int) []byte {
	for range n {
		b = append(b, '0')
	}
	return b
}

func appendDate(b []byte, packed int64) []byte {
	year, month, day, _, _, _, _ := event.UnpackDateTime(packed)
	b = append(appendPadded(b, int64(year), 4), '-')
	b = append(appendPadded(b, int64(month), 2), '-')
	return appendPadded(b, int64(day), 2)
}

func appendDateTime(b []byte, packed int64, scale int) []byte {
	_, _, _, hour, minute, second, micro := event.UnpackDateTime(packed)
	return appendClock(append(appendDate(b, packed), ' '), int64(hour), int64(minute), int64(second), int64(micro), scale)
}

func appendTime(b []byte, micros int64, scale int) []byte {
	if micros < 0 {
		b, micros = append(b, '-'), -micros
	}
	seconds := micros / 1e6
	return appendClock(b, seconds/3600, seconds/60%60, seconds%60, micros%1e6, scale)
}

func appendClock(b []byte, hour, minute, second, micro int64, scale int) []byte {
	b = append(appendPadded(b, hour, 2), ':')
	b = append(appendPadded(b, minute, 2), ':')
	b = appendPadded(b, second, 2)
	if scale <= 0 {
		return b
	}
	for i := scale; i < 6; i++ {
		micro /= 10
	}
	return appendPadded(append(b, '.'), micro, min(scale, 6))
}

func (e *Encoder) appendTimestamp(micros int64, scale int) {
	if micros == 0 {
		e.b = appendDateTime(e.b, 0, scale)
		return
	}
	t := time.UnixMicro(micros).In(e.cfg.Location)
	e.b = appendDateTime(e.b, event.PackDateTime(t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/1000), scale)
}

// label is a label of an ENUM; its error value 0 reads as the empty text.
func label(c *event.Column, index int64) string {
	if index < 1 || index > int64(len(c.Labels)) {
		return ""
	}
	return c.Labels[index-1]
}

func (e *Encoder) appendSet(c *event.Column, bits uint64) {
	joined := e.joined[:0]
	for i, l := range c.Labels {
		if bits>>i&1 == 0 {
			continue
		}
		if len(joined) > 0 {
			joined = append(joined, ',')
		}
		joined = append(joined, l...)
	}
	e.joined = joined
	e.quote(joined)
}

// appendBinary appends 0x89504E47, or the first bytes and the length.
func (e *Encoder) appendBinary(v []byte) {
	shown := v[:min(len(v), e.cfg.MaxValue/2)]
	e.b = append(e.b, "0x"...)
	from := len(e.b)
	e.b = hex.AppendEncode(e.b, shown)
	for i := from; i < len(e.b); i++ {
		if e.b[i] >= 'a' {
			e.b[i] -= 'a' - 'A'
		}
	}
	e.appendRest(len(v), len(shown))
}

// quote appends text in single quotes, as a literal of SQL.
func (e *Encoder) quote(v []byte) {
	e.b = append(e.b, '\'')
	n := e.escape(v, e.cfg.MaxValue, true)
	e.b = append(e.b, '\'')
	e.appendRest(len(v), n)
}

// appendText appends text as it is.
func (e *Encoder) appendText(v []byte, limit int) {
	e.appendRest(len(v), e.escape(v, limit, false))
}

// appendRest says how long a shortened value is.
func (e *Encoder) appendRest(length, shown int) {
	if shown == length {
		return
	}
	e.b = append(e.b, e.colors.dim...)
	e.b = append(e.b, "…("...)
	e.b = appendSize(e.b, length)
	e.b = append(e.b, ')')
	e.b = append(e.b, e.colors.reset...)
}

func appendSize(b []byte, n int) []byte {
	for _, unit := range []struct {
		size int
		name string
	}{{1 << 20, " MiB"}, {1 << 10, " KiB"}} {
		if n >= unit.size {
			b = strconv.AppendFloat(b, float64(n)/float64(unit.size), 'f', 1, 64)
			return append(b, unit.name...)
		}
	}
	return append(strconv.AppendInt(b, int64(n), 10), " bytes"...)
}

// escape appends at most limit characters of v and returns how many bytes those
// were. What is not printable, and could steer a terminal, is shown by its code.
func (e *Encoder) escape(v []byte, limit int, quoted bool) int {
	done := 0
	for ; done < len(v) && limit > 0; limit-- {
		r, size := utf8.DecodeRune(v[done:])
		switch {
		case r == '\'' && quoted:
			e.b = append(e.b, "''"...)
		case r == '\\' && quoted:
			e.b = append(e.b, `\\`...)
		default:
			e.b = appendRune(e.b, r, v[done:done+size])
		}
		done += size
	}
	return done
}

// appendRune appends the character r, which is encoded as v, or its code.
func appendRune(b []byte, r rune, v []byte) []byte {
	switch {
	case r == '\n':
		return append(b, `\n`...)
	case r == '\t':
		return append(b, `\t`...)
	case r == '\r':
		return append(b, `\r`...)
	case r == utf8.RuneError && len(v) == 1:
		return appendHex(append(b, `\x`...), uint32(v[0]), 2)
	case !unicode.IsPrint(r):
		return append(appendHex(append(b, `\u{`...), uint32(r), 2), '}')
	}
	return append(b, v...)
}

// printable is a name with what could steer a terminal shown by its code.
func printable(name string) string {
	var b []byte
	for i, r := range name {
		_, size := utf8.DecodeRuneInString(name[i:])
		b = appendRune(b, r, []byte(name[i:i+size]))
	}
	return string(b)
}

func appendHex(b []byte, n uint32, width int) []byte {
	const digits = "0123456789ABCDEF"
	for shift := 28; shift >= 0; shift -= 4 {
		if d := n >> shift; d > 0 || shift < 4*width {
			b = append(b, digits[d&15])
		}
	}
	return b
}
