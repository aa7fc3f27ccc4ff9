package snapshot

import (
	"strings"
	"unicode/utf8"
)

// Keys of the marks.
const (
	ScopeKey  = "snapshot"
	keyPrefix = "snapshot/"
)

// MarkKey is the key of the mark that holds the state of a table,
// "snapshot/<database>.<table>". In names, a dot, a percent sign, control
// characters and what is not UTF-8 are written as %XX, so that different tables
// have different keys, of at most 512 bytes for any names that a server allows.
func MarkKey(database, table string) string {
	key := append(make([]byte, 0, 64), keyPrefix...)
	key = append(escapeName(key, database), '.')
	return string(escapeName(key, table))
}

func escapeName(dst []byte, name string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if r == '.' || r == '%' || r < ' ' || r == 0x7f || r == utf8.RuneError && n == 1 {
			dst = append(dst, '%', hex[name[i]>>4], hex[name[i]&15])
		} else {
			dst = append(dst, name[i:i+n]...)
		}
		i += n
	}
	return dst
}

// ParseMarkKey returns the table of a key that MarkKey made; ok is false for any
// other text.
func ParseMarkKey(key string) (database, table string, ok bool) {
	names, ok := strings.CutPrefix(key, keyPrefix)
	if !ok {
		return "", "", false
	}
	database, table, ok = strings.Cut(names, ".")
	if !ok {
		return "", "", false
	}
	database, table = unescapeName(database), unescapeName(table)
	return database, table, MarkKey(database, table) == key
}

// unescapeName undoes escapeName; of other text it makes something that
// escapes to another.
func unescapeName(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	name := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && digit(s[i+1]) < 16 && digit(s[i+2]) < 16 {
			name = append(name, digit(s[i+1])<<4|digit(s[i+2]))
			i += 2
		} else {
			name = append(name, s[i])
		}
	}
	return string(name)
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
