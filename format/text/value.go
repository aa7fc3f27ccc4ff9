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

// renderer appends values to b.
type renderer struct {
	b        []byte
	max      int // characters of a value
	colors   palette
	location *time.Location
	joined   []byte // labels of a SET
}

// appendValue appends a value as SQL shows it: text in quotes, binary data in
// hexadecimal, all else bare.
func (r *renderer) appendValue(c *event.Column, v *event.Value) {
	switch v.Kind {
	case event.Absent:
		r.paint(r.colors.null, "?")
	case event.Null:
		r.paint(r.colors.null, "NULL")
	case event.Int:
		r.b = strconv.AppendInt(r.b, v.Num, 10)
	case event.Uint:
		r.b = strconv.AppendUint(r.b, uint64(v.Num), 10)
	case event.Float:
		r.b = strconv.AppendFloat(r.b, float64(math.Float32frombits(uint32(v.Num))), 'g', -1, 32)
	case event.Double:
		r.b = strconv.AppendFloat(r.b, math.Float64frombits(uint64(v.Num)), 'g', -1, 64)
	case event.Decimal:
		r.b = appendDecimal(r.b, v)
	case event.Text:
		r.quote(v.Bytes)
	case event.Bytes:
		r.appendBinary(v.Bytes)
	case event.Bit:
		r.b = append(strconv.AppendUint(append(r.b, "b'"...), uint64(v.Num), 2), '\'')
	case event.Year:
		r.b = appendPadded(r.b, v.Num, 4)
	case event.Date:
		r.b = appendDate(r.b, v.Num)
	case event.Time:
		r.b = appendTime(r.b, v.Num, c.Scale)
	case event.DateTime:
		r.b = appendDateTime(r.b, v.Num, c.Scale)
	case event.Timestamp:
		r.appendTimestamp(v.Num, c.Scale)
	case event.Enum:
		r.joined = append(r.joined[:0], label(c, v.Num)...)
		r.quote(r.joined)
	case event.Set:
		r.appendSet(c, uint64(v.Num))
	case event.JSON:
		r.appendText(v.Bytes, r.max)
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

func (r *renderer) appendTimestamp(micros int64, scale int) {
	if micros == 0 {
		r.b = appendDateTime(r.b, 0, scale)
		return
	}
	t := time.UnixMicro(micros).In(r.location)
	r.b = appendDateTime(r.b, event.PackDateTime(t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/1000), scale)
}

// label is a label of an ENUM; its error value 0 reads as the empty text.
func label(c *event.Column, index int64) string {
	if index < 1 || index > int64(len(c.Labels)) {
		return ""
	}
	return c.Labels[index-1]
}

func (r *renderer) appendSet(c *event.Column, bits uint64) {
	joined := r.joined[:0]
	for i, l := range c.Labels {
		if bits>>i&1 == 0 {
			continue
		}
		if len(joined) > 0 {
			joined = append(joined, ',')
		}
		joined = append(joined, l...)
	}
	r.joined = joined
	r.quote(joined)
}

// appendBinary appends 0x89504E47, or the first bytes and the length.
func (r *renderer) appendBinary(v []byte) {
	shown := v[:min(len(v), r.max/2)]
	r.b = append(r.b, "0x"...)
	from := len(r.b)
	r.b = hex.AppendEncode(r.b, shown)
	for i := from; i < len(r.b); i++ {
		if r.b[i] >= 'a' {
			r.b[i] -= 'a' - 'A'
		}
	}
	r.appendRest(len(v), len(shown))
}

// quote appends text in single quotes, as a literal of SQL.
func (r *renderer) quote(v []byte) {
	r.b = append(r.b, '\'')
	n := r.escape(v, r.max, true)
	r.b = append(r.b, '\'')
	r.appendRest(len(v), n)
}

// appendText appends text as it is.
func (r *renderer) appendText(v []byte, limit int) {
	r.appendRest(len(v), r.escape(v, limit, false))
}

// appendRest says how long a shortened value is.
func (r *renderer) appendRest(length, shown int) {
	if shown == length {
		return
	}
	r.b = append(r.b, r.colors.dim...)
	r.b = append(r.b, "…("...)
	r.b = appendSize(r.b, length)
	r.b = append(r.b, ')')
	r.b = append(r.b, r.colors.reset...)
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
func (r *renderer) escape(v []byte, limit int, quoted bool) int {
	done := 0
	for ; done < len(v) && limit > 0; limit-- {
		c, size := utf8.DecodeRune(v[done:])
		switch {
		case c == '\'' && quoted:
			r.b = append(r.b, "''"...)
		case c == '\\' && quoted:
			r.b = append(r.b, `\\`...)
		default:
			r.b = appendRune(r.b, c, v[done:done+size])
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
