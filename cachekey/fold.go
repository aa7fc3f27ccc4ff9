package cachekey

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// folder makes the texts equal that a template holds equal. It owns the memory
// of its result and serves one goroutine.
type folder struct {
	iter norm.Iter
	out  []byte
}

// text returns what counts of v; the result is v itself or valid until the
// next call.
func (f *folder) text(mode fold, v []byte) []byte {
	switch mode {
	case foldTrim:
		return trim(v)
	case foldLower:
		f.out = appendMapped(f.out[:0], v, unicode.ToLower)
		return f.out
	case foldAll:
		f.out = f.out[:0]
		for f.iter.Init(norm.NFKD, trim(v)); !f.iter.Done(); {
			f.out = appendFolded(f.out, f.iter.Next())
		}
		return f.out
	}
	return v
}

func trim(v []byte) []byte {
	for len(v) > 0 && v[len(v)-1] == ' ' {
		v = v[:len(v)-1]
	}
	return v
}

// appendMapped appends v rune by rune; bytes that are no UTF-8 stay.
func appendMapped(dst, v []byte, to func(rune) rune) []byte {
	for i := 0; i < len(v); {
		r, n := utf8.DecodeRune(v[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, v[i])
		} else {
			dst = utf8.AppendRune(dst, to(r))
		}
		i += n
	}
	return dst
}

// appendFolded appends v without its combining marks, in lower case. Going
// through upper case makes one of letters with two lower ones (σ and ς).
func appendFolded(dst, v []byte) []byte {
	for i := 0; i < len(v); {
		r, n := utf8.DecodeRune(v[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, v[i])
		case r == 'ß' || r == 'ẞ':
			dst = append(dst, "ss"...)
		case !unicode.Is(unicode.Mn, r):
			dst = utf8.AppendRune(dst, unicode.ToLower(unicode.ToUpper(r)))
		}
		i += n
	}
	return dst
}
