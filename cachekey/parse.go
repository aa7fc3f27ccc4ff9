package cachekey

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/resilience"
)

// Parse reads a template. Its errors tell the offset and the remedy.
func Parse(text string) (*Template, error) {
	p := parser{text: text, t: &Template{text: text}}
	switch {
	case text == "":
		return nil, p.fail(0, "the template is empty", `write one such as "user:{id}"`)
	case len(text) > MaxTemplate:
		return nil, p.fail(MaxTemplate, "the template is too long", "512 bytes are the most")
	case !utf8.ValidString(text):
		return nil, p.fail(0, "the template is not valid UTF-8", "save the file as UTF-8")
	}
	for p.pos < len(text) {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	if p.inTag {
		return nil, p.fail(p.tagAt, "this brace is never closed", "close it with }")
	}
	p.endLiteral()
	return p.t, p.check()
}

type parser struct {
	text    string
	pos     int
	t       *Template
	literal strings.Builder
	from    int // where the literal began
	inTag   bool
	tagAt   int
	tags    int
}

func (p *parser) step() error {
	c := p.text[p.pos]
	switch {
	case c == '\\':
		return p.escape()
	case c == '{' && p.opensTag():
		return p.openTag()
	case c == '{':
		return p.placeholder()
	case c == '}' && !p.inTag:
		return p.fail(p.pos, "nothing opens this brace", `a brace that is text is written \}`)
	case c == '}':
		p.inTag = false
	case c <= ' ' || c == 0x7f:
		return p.fail(p.pos, "white space and control characters are not allowed", "leave it out")
	}
	p.text1(c)
	return nil
}

// text1 adds one byte of literal text and moves on.
func (p *parser) text1(c byte) {
	if p.literal.Len() == 0 {
		p.from = p.pos
	}
	p.literal.WriteByte(c)
	p.pos++
}

func (p *parser) escape() error {
	if p.pos+1 == len(p.text) || !strings.ContainsRune(`{}\`, rune(p.text[p.pos+1])) {
		return p.fail(p.pos, "a backslash stands before a brace or a backslash only", `a backslash that is text is written \\`)
	}
	p.pos++
	p.text1(p.text[p.pos])
	return nil
}

// opensTag reports whether the brace here has another inside.
func (p *parser) opensTag() bool {
	rest := p.text[p.pos+1:]
	i := strings.IndexAny(rest, "{}")
	return i >= 0 && rest[i] == '{' && (i == 0 || rest[i-1] != '\\')
}

func (p *parser) openTag() error {
	switch {
	case p.inTag:
		return p.fail(p.pos, "a hash tag cannot stand inside another", "braces may be two deep: {{tenant}} or {{tenant}:{id}}")
	case p.tags > 0:
		return p.fail(p.pos, "this is the second hash tag", "Redis looks at the first one only: leave one")
	}
	p.inTag, p.tagAt = true, p.pos
	p.tags++
	p.text1('{')
	return nil
}

func (p *parser) endLiteral() {
	if p.literal.Len() > 0 {
		p.t.parts = append(p.t.parts, part{literal: p.literal.String(), column: -1, at: p.from})
		p.literal.Reset()
	}
}

// placeholder reads {column|modifier|modifier}.
func (p *parser) placeholder() error {
	start := p.pos
	end := strings.IndexByte(p.text[start:], '}')
	if end < 0 {
		return p.fail(start, "this brace is never closed", `close it with }; a brace that is text is written \{`)
	}
	words := strings.Split(p.text[start+1:start+end], "|")
	if bad := strings.IndexFunc(words[0], func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }); words[0] == "" || bad >= 0 {
		return p.fail(start, "this is no column name", "write {column}, without spaces")
	}
	p.endLiteral()
	part := part{column: p.column(words[0]), at: start}
	for _, word := range words[1:] {
		if err := p.modify(&part, word); err != nil {
			return err
		}
	}
	p.t.parts = append(p.t.parts, part)
	p.pos = start + end + 1
	return nil
}

// column returns the index of the name, which it adds if it is new.
func (p *parser) column(name string) int {
	i := slices.IndexFunc(p.t.names, func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		i = len(p.t.names)
		p.t.names = append(p.t.names, name)
	}
	return i
}

var (
	forms = map[string]form{"hex": formHex, "uuid": formUUID, "decimal": formDecimal, "date": formDate,
		"datetime": formDateTime, "timestamp": formTimestamp, "time": formTime}
	folds = map[string]fold{"trim": foldTrim, "lower": foldLower, "fold": foldAll}
	nulls = map[string]null{"null=skip": nullSkip, "null=token": nullToken}
)

const modifierList = "lower, fold, trim, hex, uuid, decimal, date, datetime, timestamp, time, null=skip and null=token"

// modify applies one modifier.
func (p *parser) modify(to *part, word string) error {
	f, isForm := forms[word]
	d, isFold := folds[word]
	n, isNull := nulls[word]
	switch {
	case isForm && to.form == formPlain && to.fold == foldNone:
		to.form = f
	case isFold && to.form == formPlain && to.fold == foldNone:
		to.fold = d
	case isNull && to.null == nullRefused:
		to.null = n
	case isForm || isFold || isNull:
		return p.fail(to.at, "modifier "+word+" does not go with the one before it", "leave one")
	default:
		return p.fail(to.at, "unknown modifier "+word, "modifiers are "+modifierList)
	}
	return nil
}

// check looks at the whole: columns must be told apart in the key.
func (p *parser) check() error {
	parts, columns := p.t.parts, 0
	for i := range parts {
		if parts[i].column < 0 {
			continue
		}
		if columns++; columns > MaxColumns {
			return p.fail(parts[i].at, "the template has too many columns", "16 are the most")
		}
		if next := i + 1; next < len(parts) && parts[next].column >= 0 || next+1 < len(parts) && !separates(parts[next].literal) {
			return p.fail(parts[i].at, "nothing tells this column from the next one: different rows could share a key",
				"put one of : / | # between them")
		}
	}
	return nil
}

func separates(literal string) bool { return strings.ContainsAny(literal, ":/|#{}") }

func (p *parser) fail(at int, cause, hint string) error {
	return resilience.Errorf(resilience.Fatal, "cache_key_syntax", "parse key template", "%s", cause).
		WithPlace("%q, byte %d", p.text, at+1).WithHint("%s", hint)
}
