package debezium

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/cdcd-io/cdcd/event"
)

// wide is a number of up to 256 bits, lowest word first: 65 decimal digits
// need 216 bits.
type wide [4]uint64

// mulAdd sets w to w × m + a.
func (w *wide) mulAdd(m, a uint64) {
	for i := range w {
		hi, lo := bits.Mul64(w[i], m)
		var carry uint64
		w[i], carry = bits.Add64(lo, a, 0)
		a = hi + carry
	}
}

func (w *wide) negate() {
	carry := uint64(1)
	for i := range w {
		w[i], carry = bits.Add64(^w[i], 0, carry)
	}
}

// parseWide reads decimal text without its point; it is false for other text.
func parseWide(text []byte) (w wide, ok bool) {
	neg := len(text) > 0 && text[0] == '-'
	if neg {
		text = text[1:]
	}
	if len(text) == 0 || len(text) > 70 {
		return w, false
	}
	part, unit := uint64(0), uint64(1)
	for _, c := range text {
		if c == '.' {
			continue
		}
		if c < '0' || c > '9' {
			return w, false
		}
		part, unit = part*10+uint64(c-'0'), unit*10
		if unit == 1e18 {
			w.mulAdd(unit, part)
			part, unit = 0, 1
		}
	}
	w.mulAdd(unit, part)
	if neg {
		w.negate()
	}
	return w, true
}

// appendUnscaled appends the base64 of v without its point, as the shortest
// big-endian two's complement (Connect's Decimal).
func appendUnscaled(dst []byte, v *event.Value) ([]byte, bool) {
	if v.Bytes == nil {
		return appendTwos(dst, v.Num), true
	}
	w, ok := parseWide(v.Bytes)
	if !ok {
		return dst, false
	}
	var b [32]byte
	for i, word := range w {
		binary.BigEndian.PutUint64(b[24-8*i:], word)
	}
	short := b[:]
	for len(short) > 1 && (short[0] == 0 && short[1] < 0x80 || short[0] == 0xFF && short[1] >= 0x80) {
		short = short[1:]
	}
	return appendBase64(dst, short), true
}

func appendTwos(dst []byte, n int64) []byte {
	size := (64-bits.LeadingZeros64(uint64(n^n>>63)))/8 + 1
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return appendBase64(dst, b[8-size:])
}

// appendUnsigned appends n as Connect's Decimal of scale 0.
func appendUnsigned(dst []byte, n uint64) []byte {
	if n <= math.MaxInt64 {
		return appendTwos(dst, int64(n))
	}
	var b [9]byte
	binary.BigEndian.PutUint64(b[1:], n)
	return appendBase64(dst, b[:])
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

// appendPlain appends v in digits with its whole scale, never with an exponent.
func appendPlain(dst []byte, v *event.Value) []byte {
	if v.Bytes != nil {
		return append(dst, v.Bytes...)
	}
	n := uint64(v.Num)
	if v.Num < 0 {
		dst, n = append(dst, '-'), -n
	}
	if v.Scale == 0 {
		return strconv.AppendUint(dst, n, 10)
	}
	whole, part := n/pow10[v.Scale], n%pow10[v.Scale]
	dst = append(strconv.AppendUint(dst, whole, 10), '.')
	return appendPadded(dst, part, int(v.Scale))
}

// appendPadded appends n in exactly width digits.
func appendPadded(dst []byte, n uint64, width int) []byte {
	for n < pow10[width-1] && width > 1 {
		dst, width = append(dst, '0'), width-1
	}
	return strconv.AppendUint(dst, n, 10)
}

var pow10 = func() (p [19]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// appendDoubled appends the double closest to v.
func appendDoubled(dst []byte, v *event.Value) ([]byte, bool) {
	var buf [80]byte
	text := appendPlain(buf[:0], v)
	// ParseFloat keeps no reference to its text, so the bytes may pose as a
	// string; a conversion would allocate for each long decimal.
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	return appendFloat(dst, f, 64), err == nil
}
