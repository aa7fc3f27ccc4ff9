package cachekey

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"
)

// escaped holds the bytes that no value shows as they are.
var escaped = func() (t [256]bool) {
	for c := range byte(' ' + 1) {
		t[c] = true
	}
	for _, c := range []byte("\x7f%{}:/|#\\") {
		t[c] = true
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

// finish makes dst[from:], which holds a value as it is, the value as it stands
// in a key: escaped and bounded.
func finish(dst []byte, from int) []byte { return bound(escape(dst, from), from) }

// escape writes special bytes of dst[from:] as %XX, in place, from the end.
func escape(dst []byte, from int) []byte {
	special := 0
	for _, c := range dst[from:] {
		if escaped[c] {
			special++
		}
	}
	if special == 0 {
		return dst
	}
	r := len(dst)
	for range special {
		dst = append(dst, 0, 0)
	}
	for w := len(dst); r < w; {
		r--
		c := dst[r]
		if !escaped[c] {
			w--
			dst[w] = c
			continue
		}
		w -= 3
		dst[w], dst[w+1], dst[w+2] = '%', upperHex[c>>4], upperHex[c&15]
	}
	return dst
}

// bound replaces the end of a long value by a hash of all of it. "%H" is no
// escape, so no other value reads the same.
func bound(dst []byte, from int) []byte {
	if len(dst)-from <= maxValue {
		return dst
	}
	sum := sha256.Sum256(dst[from:])
	cut := from + keepValue
	for cut > from && !utf8.RuneStart(dst[cut]) {
		cut--
	}
	dst = append(dst[:cut], "%H"...)
	return hex.AppendEncode(dst, sum[:16])
}

// token is what NULL becomes; it is no escape either.
const token = "%N"
