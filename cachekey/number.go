package cachekey

import (
	"strconv"

	"github.com/cdcd-io/cdcd/event"
)

var pow10 = func() (p [19]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// appendDecimal appends n × 10^-scale without needless zeros.
func appendDecimal(dst []byte, n int64, scale uint8) []byte {
	for scale > 0 && n%10 == 0 {
		n, scale = n/10, scale-1
	}
	u := uint64(n)
	if n < 0 {
		dst, u = append(dst, '-'), -u
	}
	dst = strconv.AppendUint(dst, u/pow10[scale], 10)
	if scale == 0 {
		return dst
	}
	return appendPadded(append(dst, '.'), u%pow10[scale], int(scale))
}

// appendDecimalText appends the decimal text without needless zeros; it is
// false for other text, of which it appends nothing.
func appendDecimalText[T string | []byte](dst []byte, text T) ([]byte, bool) {
	from, neg := 0, false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		from, neg = 1, text[0] == '-'
	}
	point, digits := len(text), 0
	for i := from; i < len(text); i++ {
		switch {
		case text[i] >= '0' && text[i] <= '9':
			digits++
		case text[i] == '.' && point == len(text):
			point = i
		default:
			return dst, false
		}
	}
	if digits == 0 {
		return dst, false
	}
	end := len(text)
	for end > point+1 && text[end-1] == '0' {
		end--
	}
	if end == point+1 {
		end = point
	}
	for from < point-1 && text[from] == '0' {
		from++
	}
	if neg && !(end == from+1 && text[from] == '0') {
		dst = append(dst, '-')
	}
	if from == point {
		dst = append(dst, '0')
	}
	return append(dst, text[from:end]...), true
}

// appendPadded appends n in at least width digits.
func appendPadded(dst []byte, n uint64, width int) []byte {
	for width > 1 && n < pow10[width-1] {
		dst, width = append(dst, '0'), width-1
	}
	return strconv.AppendUint(dst, n, 10)
}

func appendDate(dst []byte, packed int64) []byte {
	y, m, d, _, _, _, _ := event.UnpackDateTime(packed)
	dst = append(appendPadded(dst, uint64(y), 4), '-')
	dst = append(appendPadded(dst, uint64(m), 2), '-')
	return appendPadded(dst, uint64(d), 2)
}

func appendDateTime(dst []byte, packed int64) []byte {
	_, _, _, h, m, s, us := event.UnpackDateTime(packed)
	dst = append(appendDate(dst, packed), ' ')
	return appendClock(dst, uint64(h), uint64(m), uint64(s), uint64(us))
}

// appendClock appends h:mm:ss with the fraction it has; hours have two digits
// or more.
func appendClock(dst []byte, h, m, s, micros uint64) []byte {
	dst = append(appendPadded(dst, h, 2), ':')
	dst = append(appendPadded(dst, m, 2), ':')
	dst = appendPadded(dst, s, 2)
	if micros == 0 {
		return dst
	}
	digits := 6
	for micros%10 == 0 {
		micros, digits = micros/10, digits-1
	}
	return appendPadded(append(dst, '.'), micros, digits)
}

// appendDuration appends a TIME.
func appendDuration(dst []byte, micros int64) []byte {
	u := uint64(micros)
	if micros < 0 {
		dst, u = append(dst, '-'), -u
	}
	seconds := u / 1e6
	return appendClock(dst, seconds/3600, seconds/60%60, seconds%60, u%1e6)
}
