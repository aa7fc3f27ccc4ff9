package binlog

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxJSONDepth is how deep the server lets documents nest.
const maxJSONDepth = 100

// The types of values in a binary JSON document.
const (
	jsonSmallObject = 0x00
	jsonLargeObject = 0x01
	jsonSmallArray  = 0x02
	jsonLargeArray  = 0x03
	jsonLiteral     = 0x04
	jsonInt16       = 0x05
	jsonUint16      = 0x06
	jsonInt32       = 0x07
	jsonUint32      = 0x08
	jsonInt64       = 0x09
	jsonUint64      = 0x0a
	jsonDouble      = 0x0b
	jsonString      = 0x0c
	jsonOpaque      = 0x0f
)

// jsonWriter renders a binary JSON document as text. budget holds the bytes of
// the document that were not yet used: the parts of a sound document do not
// overlap, so a damaged one whose offsets point in circles runs out of it.
type jsonWriter struct {
	dst    []byte
	budget int
}

// appendJSON appends the text of a binary JSON document as the server's own
// text shows it, but without spaces after ':' and ','. An empty document,
// which an INSERT IGNORE can leave behind, is null.
func appendJSON(dst, doc []byte) ([]byte, bool) {
	if len(doc) == 0 {
		return append(dst, "null"...), true
	}
	w := jsonWriter{dst: dst, budget: len(doc)}
	ok := w.value(doc[0], doc[1:], 0)
	return w.dst, ok
}

func (w *jsonWriter) spend(n int) bool {
	w.budget -= n
	return w.budget >= 0
}

// value renders the value of type typ at the start of b.
func (w *jsonWriter) value(typ byte, b []byte, depth int) bool {
	switch typ {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		return depth < maxJSONDepth && w.container(typ, b, depth+1)
	case jsonString:
		s, ok := w.variable(b)
		return ok && w.text(s)
	case jsonOpaque:
		return w.opaque(b)
	}
	return w.scalar(typ, b)
}

// jsonScalarSize is the size of values that have a fixed one.
var jsonScalarSize = [...]uint8{
	jsonLiteral: 1, jsonInt16: 2, jsonUint16: 2, jsonInt32: 4, jsonUint32: 4, jsonInt64: 8, jsonUint64: 8, jsonDouble: 8,
}

func (w *jsonWriter) scalar(typ byte, b []byte) bool {
	if int(typ) >= len(jsonScalarSize) || len(b) < int(jsonScalarSize[typ]) {
		return false
	}
	switch typ {
	case jsonLiteral:
		return w.literal(b[0])
	case jsonInt16:
		w.dst = strconv.AppendInt(w.dst, int64(int16(le16(b))), 10)
	case jsonUint16:
		w.dst = strconv.AppendUint(w.dst, le16(b), 10)
	case jsonInt32:
		w.dst = strconv.AppendInt(w.dst, int64(int32(le32(b))), 10)
	case jsonUint32:
		w.dst = strconv.AppendUint(w.dst, le32(b), 10)
	case jsonInt64:
		w.dst = strconv.AppendInt(w.dst, int64(binary.LittleEndian.Uint64(b)), 10)
	case jsonUint64:
		w.dst = strconv.AppendUint(w.dst, binary.LittleEndian.Uint64(b), 10)
	case jsonDouble:
		return w.double(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	default:
		return false
	}
	return true
}

func (w *jsonWriter) literal(b byte) bool {
	switch b {
	case 0:
		w.dst = append(w.dst, "null"...)
	case 1:
		w.dst = append(w.dst, "true"...)
	case 2:
		w.dst = append(w.dst, "false"...)
	default:
		return false
	}
	return true
}

// jsonContainer is the head of an object or array: element count, size in
// bytes, then the entries of keys and values, all offsets counted from b.
type jsonContainer struct {
	b      []byte
	object bool
	wide   int // bytes of an offset: 2 or 4
	count  int
	values int // where the value entries begin
}

func openContainer(typ byte, b []byte) (c jsonContainer, ok bool) {
	c = jsonContainer{b: b, object: typ <= jsonLargeObject, wide: 2}
	if typ == jsonLargeObject || typ == jsonLargeArray {
		c.wide = 4
	}
	if len(b) < 2*c.wide {
		return c, false
	}
	c.count = c.offset(0)
	size := c.offset(c.wide)
	c.values = 2 * c.wide
	if c.object {
		c.values += c.count * (c.wide + 2)
	}
	if size > len(b) || c.values+c.count*(1+c.wide) > size {
		return c, false
	}
	c.b = b[:size]
	return c, true
}

func (c *jsonContainer) offset(at int) int {
	if c.wide == 2 {
		return int(le16(c.b[at:]))
	}
	return int(le32(c.b[at:]))
}

// key returns the name of member i.
func (c *jsonContainer) key(i int) ([]byte, bool) {
	entry := 2*c.wide + i*(c.wide+2)
	from, n := c.offset(entry), int(le16(c.b[entry+c.wide:]))
	if from+n > len(c.b) {
		return nil, false
	}
	return c.b[from : from+n], true
}

// element returns the type of element i and the bytes at which it begins:
// small values lie in the entry itself.
func (c *jsonContainer) element(i int) (typ byte, b []byte, ok bool) {
	entry := c.values + i*(1+c.wide)
	typ = c.b[entry]
	switch {
	case typ == jsonLiteral || typ == jsonInt16 || typ == jsonUint16 || c.wide == 4 && (typ == jsonInt32 || typ == jsonUint32):
		return typ, c.b[entry+1 : entry+1+c.wide], true
	}
	from := c.offset(entry + 1)
	if from < c.values || from > len(c.b) {
		return 0, nil, false
	}
	return typ, c.b[from:], true
}

func (w *jsonWriter) container(typ byte, b []byte, depth int) bool {
	c, ok := openContainer(typ, b)
	if !ok {
		return false
	}
	open, shut := byte('['), byte(']')
	if c.object {
		open, shut = '{', '}'
	}
	w.dst = append(w.dst, open)
	for i := range c.count {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if !w.spend(1+c.wide) || c.object && !w.member(&c, i) {
			return false
		}
		typ, b, ok := c.element(i)
		if !ok || !w.value(typ, b, depth) {
			return false
		}
	}
	w.dst = append(w.dst, shut)
	return true
}

func (w *jsonWriter) member(c *jsonContainer, i int) bool {
	key, ok := c.key(i)
	if !ok || !w.spend(len(key)) || !w.text(key) {
		return false
	}
	w.dst = append(w.dst, ':')
	return true
}

// variable reads bytes with a length of 7 bits a byte, lowest first.
func (w *jsonWriter) variable(b []byte) ([]byte, bool) {
	n := uint64(0)
	for i := 0; i < len(b) && i < 5; i++ {
		n |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			b = b[i+1:]
			if n > uint64(len(b)) || !w.spend(int(n)) {
				return nil, false
			}
			return b[:n], true
		}
	}
	return nil, false
}

const hexDigits = "0123456789abcdef"

// jsonEscapes holds the letter after the backslash of bytes with a short escape.
var jsonEscapes = [256]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}

// text renders a string with the escapes of the server. It must be UTF-8.
func (w *jsonWriter) text(s []byte) bool {
	if !utf8.Valid(s) {
		return false
	}
	w.dst = append(w.dst, '"')
	done := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		w.dst = append(w.dst, s[done:i]...)
		done = i + 1
		if e := jsonEscapes[c]; e != 0 {
			w.dst = append(w.dst, '\\', e)
		} else {
			w.dst = append(w.dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	w.dst = append(append(w.dst, s[done:]...), '"')
	return true
}

// opaque renders a value of an SQL type that JSON does not have.
func (w *jsonWriter) opaque(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	typ := b[0]
	v, ok := w.variable(b[1:])
	if !ok {
		return false
	}
	switch typ {
	case colDecimal:
		return w.decimal(v)
	case colDate, colTime, colDateTime, colTimestamp:
		return len(v) == 8 && w.temporal(typ, int64(binary.LittleEndian.Uint64(v)))
	}
	w.dst = append(w.dst, `"base64:type`...)
	w.dst = strconv.AppendUint(w.dst, uint64(typ), 10)
	w.dst = append(w.dst, ':')
	w.base64(v)
	w.dst = append(w.dst, '"')
	return true
}

// base64 renders v in lines of 76 letters, with escaped line feeds between them.
func (w *jsonWriter) base64(v []byte) {
	const line = 76 / 4 * 3
	for len(v) > line {
		w.dst = base64.StdEncoding.AppendEncode(w.dst, v[:line])
		w.dst = append(w.dst, '\\', 'n')
		v = v[line:]
	}
	w.dst = base64.StdEncoding.AppendEncode(w.dst, v)
}

// maxJSONDigits is the highest precision of a decimal in a document: the server
// rounds the digits before the point up to whole groups.
const maxJSONDigits = 81

// decimal renders precision, scale and the stored form of a DECIMAL.
func (w *jsonWriter) decimal(v []byte) bool {
	if len(v) < 2 || v[0] < 1 || v[0] > maxJSONDigits || v[1] > v[0] {
		return false
	}
	shape := newDecimalShape(int(v[0]), int(v[1]))
	if len(v)-2 != int(shape.size) {
		return false
	}
	var ok bool
	w.dst, ok = appendDecimal(w.dst, v[2:], shape)
	return ok
}

// temporal renders the packed form of a date or time: the parts of
// event.PackDateTime, or of a TIME, above 24 bits of microseconds, negated as
// a whole when negative.
func (w *jsonWriter) temporal(typ byte, n int64) bool {
	w.dst = append(w.dst, '"')
	if n < 0 {
		n = -n
		w.dst = append(w.dst, '-')
	}
	micros, clock, days := n&(1<<24-1), n>>24&(1<<17-1), n>>41
	hour := clock >> 12
	if typ == colTime {
		hour, days = n>>36&(1<<10-1), 0
	}
	if n < 0 || micros > 999_999 || days>>5/13 > 9999 {
		return false
	}
	if typ != colTime {
		w.digits(days>>5/13, 4)
		w.separated('-', days>>5%13, 2)
		w.separated('-', days&31, 2)
	}
	if typ != colDate {
		w.time(typ, hour, clock, micros)
	}
	w.dst = append(w.dst, '"')
	return true
}

func (w *jsonWriter) time(typ byte, hour, clock, micros int64) {
	if typ != colTime {
		w.dst = append(w.dst, ' ')
	}
	if hour > 99 {
		w.digits(hour, 3)
	} else {
		w.digits(hour, 2)
	}
	w.separated(':', clock>>6&63, 2)
	w.separated(':', clock&63, 2)
	w.separated('.', micros, 6)
}

func (w *jsonWriter) separated(sep byte, v int64, n uint8) {
	w.dst = append(w.dst, sep)
	w.digits(v, n)
}

func (w *jsonWriter) digits(v int64, n uint8) { w.dst = appendDigits(w.dst, v, n) }

// maxPlainExponent is up to which power of ten the server writes a double
// without an exponent.
const maxPlainExponent = 15

// double renders f in the fewest digits that give it back, plain where its
// point stands close enough, else with an exponent ("1e20", "1.5e-16"). A
// plain whole number ends in ".0" so that it reads back as a double.
func (w *jsonWriter) double(f float64) bool {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return false
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', -1, 64) // d.ddde±xx
	if e[0] == '-' {
		w.dst, e = append(w.dst, '-'), e[1:]
	}
	digits, point := splitExponent(e)
	if point < -maxPlainExponent+1 || point > maxPlainExponent && len(digits) <= point {
		w.exponent(digits, point-1)
		return true
	}
	w.plain(digits, point)
	return true
}

// splitExponent returns the significant digits of e, moved together in place,
// and where the point stands relative to the first.
func splitExponent(e []byte) (digits []byte, point int) {
	i := len(e) - 1
	for e[i] != 'e' {
		i--
	}
	exp, _ := strconv.Atoi(string(e[i+1:]))
	if i > 1 {
		copy(e[1:], e[2:i])
		i--
	}
	return e[:i], exp + 1
}

func (w *jsonWriter) exponent(digits []byte, exp int) {
	w.dst = append(w.dst, digits[0])
	if len(digits) > 1 {
		w.dst = append(append(w.dst, '.'), digits[1:]...)
	}
	w.dst = strconv.AppendInt(append(w.dst, 'e'), int64(exp), 10)
}

func (w *jsonWriter) plain(digits []byte, point int) {
	switch {
	case point <= 0:
		w.dst = append(w.dst, "0."...)
		w.zeros(-point)
		w.dst = append(w.dst, digits...)
	case point < len(digits):
		w.dst = append(w.dst, digits[:point]...)
		w.dst = append(append(w.dst, '.'), digits[point:]...)
	default:
		w.dst = append(w.dst, digits...)
		w.zeros(point - len(digits))
		w.dst = append(w.dst, ".0"...)
	}
}

func (w *jsonWriter) zeros(n int) {
	for range n {
		w.dst = append(w.dst, '0')
	}
}
