package verify

import (
	"bytes"
	"errors"
)

var errJSON = errors.New("no JSON object")

// members visits the members of a JSON object in order, with the raw text of
// their names, without quotes, and values. What is inside a value is not looked
// at more closely than it takes to find its end.
func members(object []byte, visit func(name, value []byte) error) error {
	b := space(object)
	if len(b) == 0 || b[0] != '{' {
		return errJSON
	}
	b = space(b[1:])
	if len(b) > 0 && b[0] == '}' {
		return end(b[1:])
	}
	for {
		n := stringEnd(b)
		if n < 0 {
			return errJSON
		}
		name := b[1 : n-1]
		if b = space(b[n:]); len(b) == 0 || b[0] != ':' {
			return errJSON
		}
		b = space(b[1:])
		if n = valueEnd(b); n <= 0 {
			return errJSON
		}
		if err := visit(name, b[:n]); err != nil {
			return err
		}
		b = space(b[n:])
		switch {
		case len(b) > 0 && b[0] == '}':
			return end(b[1:])
		case len(b) == 0 || b[0] != ',':
			return errJSON
		}
		b = space(b[1:])
	}
}

func end(b []byte) error {
	if len(space(b)) > 0 {
		return errJSON
	}
	return nil
}

func space(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// stringEnd is the length of the string that b begins with, -1 for none.
func stringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return -1
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// valueEnd is the length of the value that b begins with, -1 for none.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			n := stringEnd(b[i:])
			if n < 0 {
				return -1
			}
			i += n
		case c == '}' || c == ']':
			if depth == 0 {
				return i
			}
			depth, i = depth-1, i+1
		case depth == 0 && (c == ',' || c <= ' '):
			return i
		default:
			if c == '{' || c == '[' {
				depth++
			}
			i++
			continue
		}
		if depth == 0 {
			return i
		}
	}
	if depth > 0 {
		return -1
	}
	return len(b)
}
