package binlog

import (
	"encoding/binary"

	"github.com/cdcd-io/cdcd/event"
)

// maxDigitsInNum is how many digits a decimal may have to travel as a number.
const maxDigitsInNum = 18

const (
	digitsPerWord = 9
	wordBase      = 1_000_000_000
)

// decimalBytes is how many bytes a group of 0 to 9 digits takes.
var decimalBytes = [digitsPerWord + 1]uint8{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

var powersOfTen = [digitsPerWord + 1]int64{1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// decimalShape is how a DECIMAL(p,s) is stored: a leading group of fewer than
// nine digits, whole groups of nine before and after the point, a trailing group.
type decimalShape struct {
	lead, intWords, fracWords, tail uint8 // digits of the odd groups, numbers of the whole ones
	size                            uint8 // bytes
	scale                           uint8
}

func newDecimalShape(precision, scale int) decimalShape {
	whole := precision - scale
	s := decimalShape{
		lead: uint8(whole % digitsPerWord), intWords: uint8(whole / digitsPerWord),
		fracWords: uint8(scale / digitsPerWord), tail: uint8(scale % digitsPerWord), scale: uint8(scale),
	}
	s.size = decimalBytes[s.lead] + 4*(s.intWords+s.fracWords) + decimalBytes[s.tail]
	return s
}

// decimalReader reads the groups of one decimal from the left. The first bit
// is the inverted sign; all bits of a negative number are inverted.
type decimalReader struct {
	b     []byte
	flip  byte // 0x80 until the first byte was read
	mask  byte
	valid bool
}

func newDecimalReader(b []byte) decimalReader {
	r := decimalReader{b: b, flip: 0x80, valid: true}
	if b[0]&0x80 == 0 {
		r.mask = 0xff
	}
	return r
}

// group reads the next group of n digits.
func (r *decimalReader) group(n uint8) int64 {
	size := decimalBytes[n]
	var v uint64
	if size == 4 {
		m := uint32(r.mask)
		v = uint64(binary.BigEndian.Uint32(r.b) ^ (m | m<<8 | m<<16 | m<<24) ^ uint32(r.flip)<<24)
	} else {
		for i := range size {
			v = v<<8 | uint64(r.b[i]^r.mask^r.flip)
			r.flip = 0
		}
	}
	if size > 0 {
		r.flip = 0
	}
	r.b = r.b[size:]
	if int64(v) >= powersOfTen[n] {
		r.valid = false
	}
	return int64(v)
}

// decimal reads a decimal of at most 18 digits as a number.
func (d *decoder) decimal(s *step, v *event.Value, b []byte) bool {
	r, sh := newDecimalReader(b), &s.decimal
	var n int64
	if sh.lead > 0 {
		n = r.group(sh.lead)
	}
	for range sh.intWords + sh.fracWords {
		n = n*wordBase + r.group(digitsPerWord)
	}
	if sh.tail > 0 {
		n = n*powersOfTen[sh.tail] + r.group(sh.tail)
	}
	if r.mask != 0 {
		n = -n
	}
	*v = event.Value{Kind: event.Decimal, Scale: sh.scale, Num: n}
	return d.check(r.valid, whyValue)
}

// decimalText renders a longer decimal into the scratch memory.
func (d *decoder) decimalText(s *step, v *event.Value, b []byte) bool {
	from := len(d.scratch)
	var ok bool
	d.scratch, ok = appendDecimal(d.scratch, b, s.decimal)
	*v = event.Value{Kind: event.Decimal, Scale: s.decimal.scale, Bytes: d.rendered(from)}
	return d.check(ok, whyValue)
}

// appendDecimal appends the text of a decimal: no leading zeros but one before
// the point, and as many digits after it as the shape has. Zero has no sign.
func appendDecimal(dst, b []byte, sh decimalShape) ([]byte, bool) {
	r := newDecimalReader(b)
	start := len(dst)
	if r.mask != 0 {
		dst = append(dst, '-')
	}
	first := len(dst)
	dst = appendDigits(dst, r.group(sh.lead), sh.lead)
	for range sh.intWords {
		dst = appendDigits(dst, r.group(digitsPerWord), digitsPerWord)
	}
	dst = trimZeros(dst, first)
	if sh.scale > 0 {
		dst = append(dst, '.')
	}
	for range sh.fracWords {
		dst = appendDigits(dst, r.group(digitsPerWord), digitsPerWord)
	}
	dst = appendDigits(dst, r.group(sh.tail), sh.tail)
	if r.mask != 0 && isZeroText(dst[first:]) {
		dst = append(dst[:start], dst[first:]...)
	}
	return dst, r.valid
}

// appendDigits appends v as exactly n digits.
func appendDigits(dst []byte, v int64, n uint8) []byte {
	for i := int(n) - 1; i >= 0; i-- {
		dst = append(dst, byte('0'+v/powersOfTen[i]%10))
	}
	return dst
}

// trimZeros cuts leading zeros from dst[first:] and leaves at least one digit.
func trimZeros(dst []byte, first int) []byte {
	i := first
	for i < len(dst)-1 && dst[i] == '0' {
		i++
	}
	if len(dst) == first {
		return append(dst, '0')
	}
	return append(dst[:first], dst[i:]...)
}

func isZeroText(b []byte) bool {
	for _, c := range b {
		if c != '0' && c != '.' {
			return false
		}
	}
	return true
}
