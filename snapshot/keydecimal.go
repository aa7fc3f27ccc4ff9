package snapshot

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/cdcd-io/cdcd/event"
)

// appendDecimal appends the number itself, so that neither its form (number or
// text) nor its scale matters: 1.50 and 1.5 are equal to a key.
func appendDecimal(dst []byte, v *event.Value) []byte {
	if v.Bytes != nil {
		text, negative := bytes.CutPrefix(v.Bytes, []byte{'-'})
		whole, fraction, _ := bytes.Cut(text, []byte{'.'})
		return appendParts(dst, negative, whole, fraction)
	}
	var room [64]byte
	digits := appendDigits(room[:0], magnitude(v.Num), int(v.Scale)+1)
	point := len(digits) - int(v.Scale)
	return appendParts(dst, v.Num < 0, digits[:point], digits[point:])
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// appendDigits appends the digits of n, at least so many.
func appendDigits(dst []byte, n uint64, least int) []byte {
	var room [20]byte
	digits := strconv.AppendUint(room[:0], n, 10)
	for i := len(digits); i < least; i++ {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// appendParts appends sign, digits before and digits after the point, without
// the zeros at either end and without the sign of zero.
func appendParts(dst []byte, negative bool, whole, fraction []byte) []byte {
	whole, fraction = bytes.TrimLeft(whole, "0"), bytes.TrimRight(fraction, "0")
	sign := byte('+')
	if negative && len(whole)+len(fraction) > 0 {
		sign = '-'
	}
	dst = append(dst, tagDecimal, sign)
	dst = append(binary.AppendUvarint(dst, uint64(len(whole))), whole...)
	return append(binary.AppendUvarint(dst, uint64(len(fraction))), fraction...)
}
