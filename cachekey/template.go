package cachekey

import (
	"slices"
)

// Template is a parsed key template. It is immutable and safe for concurrent use.
type Template struct {
	text  string
	parts []part
	names []string // each column once, in order of first appearance
}

// part is a run of literal text or one column.
type part struct {
	literal string
	column  int // index into names, -1 for literal text
	form    form
	fold    fold
	null    null
	at      int // offset in the text, for errors
}

// form says what a column holds and how it is written.
type form uint8

const (
	formPlain form = iota // integers and text
	formHex
	formUUID
	formDecimal
	formDate
	formDateTime
	formTimestamp
	formTime
)

// fold says what of a text does not count.
type fold uint8

const (
	foldNone fold = iota
	foldTrim
	foldLower
	foldAll
)

// null says what becomes of NULL.
type null uint8

const (
	nullRefused null = iota
	nullSkip
	nullToken
)

// The bounds of a template.
const (
	MaxTemplate = 512 // bytes of its text
	MaxColumns  = 16  // columns it names, repeated ones too
)

// Bounds of a value in a key: one longer than maxValue bytes is cut to keepValue
// and gets a hash.
const (
	maxValue  = 120
	keepValue = 80
)

// String is the text the template was parsed from.
func (t *Template) String() string { return t.text }

// Columns returns the columns of the template, each once, in order of first
// appearance: the order of the arguments of [Template.Key].
func (t *Template) Columns() []string { return slices.Clone(t.names) }

// MustParse is [Parse] for templates that are part of a program: it panics with
// the error.
func MustParse(text string) *Template {
	t, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return t
}
