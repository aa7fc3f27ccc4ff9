package cachekeys

import (
	"strings"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/resilience"
)

// The bounds of a predicate.
const (
	maxWhere    = 4096 // bytes
	maxNesting  = 16   // parentheses
	maxCompares = 64
)

// parseWhere reads a predicate.
func parseWhere(text string) (*predicate, error) {
	p := whereParser{text: text}
	if len(text) > maxWhere || !utf8.ValidString(text) {
		return nil, p.fail(0, "the predicate is too long, or not valid UTF-8", "4096 bytes are the most")
	}
	p.next()
	root, err := p.either()
	if err == nil && p.token != "" {
		err = p.fail(p.at, "this is more than a predicate", "join conditions with AND or OR")
	}
	return &predicate{text: text, root: root}, err
}

type whereParser struct {
	text     string
	pos      int
	token    string // "" at the end; text literals keep their first quote
	at       int
	nesting  int
	compares int
}

// either reads conditions joined by OR.
func (p *whereParser) either() (node, error) { return p.joined("or", opOr, p.all) }

// all reads conditions joined by AND.
func (p *whereParser) all() (node, error) { return p.joined("and", opAnd, p.one) }

func (p *whereParser) joined(word string, op operator, of func() (node, error)) (node, error) {
	first, err := of()
	if err != nil || !strings.EqualFold(p.token, word) {
		return first, err
	}
	n := node{op: op, of: []node{first}}
	for strings.EqualFold(p.token, word) {
		p.next()
		more, err := of()
		if err != nil {
			return n, err
		}
		n.of = append(n.of, more)
	}
	return n, nil
}

// one reads a comparison or a predicate in parentheses.
func (p *whereParser) one() (node, error) {
	if p.token != "(" {
		return p.comparison()
	}
	if p.nesting++; p.nesting > maxNesting {
		return node{}, p.fail(p.at, "parentheses are nested too deep", "16 are the most")
	}
	p.next()
	n, err := p.either()
	if err == nil && p.token != ")" {
		err = p.fail(p.at, "a parenthesis is not closed here", "close it with )")
	}
	p.nesting--
	p.next()
	return n, err
}

var operators = map[string]operator{"=": opEqual, "!=": opNotEqual, "<>": opNotEqual, "<": opLess, "<=": opLessEqual, ">": opGreater, ">=": opGreaterEqual}

func (p *whereParser) comparison() (node, error) {
	n := node{at: p.at}
	if p.compares++; p.compares > maxCompares {
		return n, p.fail(p.at, "there are too many conditions", "64 are the most")
	}
	var ok bool
	if n.column, ok = p.columnName(); !ok {
		return n, p.fail(p.at, "a column is missing here", "a condition is column = literal, column IS NULL or column IS NOT NULL")
	}
	p.next()
	if strings.EqualFold(p.token, "is") {
		p.next()
		return n, p.isNull(&n)
	}
	if n.op, ok = operators[p.token]; !ok {
		return n, p.fail(p.at, "an operator is missing here", "operators are = != <> < <= > >= IS NULL and IS NOT NULL")
	}
	p.next()
	return n, p.literal(&n)
}

func (p *whereParser) columnName() (string, bool) {
	t := p.token
	if len(t) > 1 && t[0] == '`' {
		return strings.ReplaceAll(t[1:], "``", "`"), true
	}
	for _, word := range []string{"and", "or", "is", "not", "null", "true", "false"} {
		if strings.EqualFold(t, word) {
			return "", false
		}
	}
	return t, t != "" && isWord(t[0]) && (t[0] < '0' || t[0] > '9')
}

func (p *whereParser) isNull(n *node) error {
	n.op = opIsNull
	if strings.EqualFold(p.token, "not") {
		n.op = opIsNotNull
		p.next()
	}
	if !strings.EqualFold(p.token, "null") {
		return p.fail(p.at, "NULL is missing here", "write IS NULL or IS NOT NULL")
	}
	p.next()
	return nil
}

func (p *whereParser) literal(n *node) error {
	t := p.token
	number, isNumber := cachekey.AppendNumberText(nil, t)
	switch {
	case t != "" && t[0] == '\'':
		n.literal = strings.ReplaceAll(t[1:], "''", "'")
	case isNumber:
		n.literal, n.number = string(number), true
	case strings.EqualFold(t, "true"), strings.EqualFold(t, "false"):
		n.literal, n.number = "0", true
		if strings.EqualFold(t, "true") {
			n.literal = "1"
		}
	default:
		return p.fail(p.at, "a number or a text is missing here", "write a number, or text as 'text'; NULL needs IS NULL")
	}
	p.next()
	return nil
}

// next reads the next token. A quote that is never closed makes a token that
// nothing takes.
func (p *whereParser) next() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	p.at = p.pos
	rest := p.text[p.pos:]
	n := 0
	switch {
	case rest == "":
		p.token = ""
		return
	case rest[0] == '\'' || rest[0] == '`':
		p.quoted(rest)
		return
	case isWord(rest[0]) || rest[0] == '-' || rest[0] == '+':
		for n = 1; n < len(rest) && isWord(rest[n]); n++ {
		}
	case strings.IndexByte("!<>=", rest[0]) >= 0:
		for n = 1; n < len(rest) && n < 2 && strings.IndexByte(">=", rest[n]) >= 0; n++ {
		}
	default:
		n = 1
	}
	p.token = rest[:n]
	p.pos += n
}

// quoted reads a text or a column in quotes, which are doubled inside.
func (p *whereParser) quoted(rest string) {
	for i := 1; i < len(rest); i++ {
		if rest[i] != rest[0] {
			continue
		}
		if i+1 < len(rest) && rest[i+1] == rest[0] {
			i++
			continue
		}
		p.token = rest[:i]
		p.pos += i + 1
		return
	}
	p.token = "\x00"
	p.pos = len(p.text)
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func (p *whereParser) fail(at int, cause, hint string) error {
	return resilience.Errorf(resilience.Fatal, "cache_rule_where", "parse where", "%s", cause).
		WithPlace("%q, byte %d", p.text, at+1).WithHint("%s", hint)
}
