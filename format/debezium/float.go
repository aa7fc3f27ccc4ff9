package debezium

import (
	"bytes"
	"strconv"
)

// appendFloat appends f as Java's Double.toString and Float.toString do: the
// shortest digits that read back as f, at least one after the point, and an
// exponent outside 10^-3 to 10^7. bits is 32 or 64.
func appendFloat(dst []byte, f float64, bits int) []byte {
	if n := int64(f); f > -1e7 && f < 1e7 && float64(n) == f && n != 0 {
		return append(strconv.AppendInt(dst, n, 10), ".0"...)
	}
	var buf [32]byte
	s := strconv.AppendFloat(buf[:0], f, 'e', -1, bits)
	if s[0] == '-' {
		dst, s = append(dst, '-'), s[1:]
	}
	if s[1] == 'e' {
		// A single digit: Java takes the closest of all numbers of two.
		s = bytes.TrimLeft(strconv.AppendFloat(buf[:0], f, 'e', 1, bits), "-")
	}
	e := bytes.IndexByte(s, 'e')
	exp := exponent(s[e+1:])
	s[1] = s[0] // digits without the point
	digits := bytes.TrimRight(s[1:e], "0")
	if len(digits) == 0 {
		return append(dst, "0.0"...)
	}
	switch {
	case exp < -3 || exp >= 7:
		dst = appendPointed(dst, digits, 1)
		return strconv.AppendInt(append(dst, 'E'), int64(exp), 10)
	case exp >= 0:
		return appendPointed(dst, digits, exp+1)
	}
	dst = append(dst, "0.000"[:1-exp]...)
	return append(dst, digits...)
}

// appendPointed puts the point behind the first n digits, with zeros where
// digits lack.
func appendPointed(dst, digits []byte, n int) []byte {
	for len(digits) < n {
		dst = append(dst, digits...)
		digits, n = zeros[:n-len(digits)], n-len(digits)
	}
	dst = append(append(dst, digits[:n]...), '.')
	if n == len(digits) {
		return append(dst, '0')
	}
	return append(dst, digits[n:]...)
}

var zeros = []byte("00000000")

// exponent reads what AppendFloat wrote: a sign and two or three digits.
func exponent(s []byte) int {
	n := 0
	for _, c := range s[1:] {
		n = n*10 + int(c-'0')
	}
	if s[0] == '-' {
		return -n
	}
	return n
}
