package debezium

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	hexes = "0123456789ABCDEF"
)

// appendString appends s as a JSON string. Quotes, backslashes and control
// characters are escaped, and characters outside the basic plane become
// surrogate pairs, because Connect's converter writes them so; all else is
// copied. It is false when s is not UTF-8; dst then holds part of it.
func appendString(dst, s []byte) ([]byte, bool) {
	dst = append(dst, '"')
	for len(s) > 0 {
		n := plainRun(s)
		dst, s = append(dst, s[:n]...), s[n:]
		if len(s) == 0 {
			break
		}
		if s[0] < utf8.RuneSelf {
			dst, s = appendEscape(dst, s[0]), s[1:]
			continue
		}
		r, size := utf8.DecodeRune(s)
		if r == utf8.RuneError && size == 1 {
			return dst, false
		}
		if size < 4 {
			dst = append(dst, s[:size]...)
		} else {
			dst = appendPair(dst, r)
		}
		s = s[size:]
	}
	return append(dst, '"'), true
}

// plainRun counts the bytes at the start of s that are copied as they are. It
// looks at eight at once: a byte that stops the run has its high bit set in
// stop, and the lowest such bit is always a true one (a borrow can only falsify
// the bits above it).
func plainRun(s []byte) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64(s[i:])
		quote, slash := x^('"'*ones), x^('\\'*ones)
		stop := (x | (x-' '*ones)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs
		if stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return appendUnit(dst, rune(c))
}

func appendPair(dst []byte, r rune) []byte {
	r -= 0x10000
	return appendUnit(appendUnit(dst, 0xD800+r>>10), 0xDC00+r&0x3FF)
}

// appendUnit appends one UTF-16 code unit.
func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hexes[u>>12&15], hexes[u>>8&15], hexes[u>>4&15], hexes[u&15])
}

// quote renders a name: of a table, a column, a label, a file. Names come from
// the server as UTF-8.
func quote(s string) []byte {
	b, _ := appendString(nil, []byte(strings.ToValidUTF8(s, "\uFFFD")))
	return b
}
