package binlog

import "strings"

// tokenKind says what a token of a statement is.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // keyword, unquoted name or number
	tokenQuoted           // quoted name, without its quotes
	tokenString           // literal, with its quotes
	tokenOther            // one other byte
)

type token struct {
	kind tokenKind
	text string
}

// is reports whether the token is the keyword, written in upper case.
func (t token) is(keyword string) bool {
	return t.kind == tokenWord && len(t.text) == len(keyword) && strings.EqualFold(t.text, keyword)
}

func (t token) isByte(b byte) bool { return t.kind == tokenOther && t.text[0] == b }

// lexer cuts a statement into tokens. It knows the comments of both servers
// and takes what stands in versioned comments as part of the statement: the
// server that logged it did.
type lexer struct {
	sql  string
	pos  int
	mode SQLMode
	peek token
	have bool
}

// look returns the next token without taking it.
func (l *lexer) look() token {
	if !l.have {
		l.peek, l.have = l.scan(), true
	}
	return l.peek
}

// next takes the next token.
func (l *lexer) next() token {
	t := l.look()
	l.have = false
	return t
}

// accept takes the next token if it is one of the keywords.
func (l *lexer) accept(keywords ...string) bool {
	for _, k := range keywords {
		if l.look().is(k) {
			l.have = false
			return true
		}
	}
	return false
}

// acceptByte takes the next token if it is the byte b.
func (l *lexer) acceptByte(b byte) bool {
	if !l.look().isByte(b) {
		return false
	}
	l.have = false
	return true
}

func (l *lexer) at(i int) byte {
	if i < len(l.sql) {
		return l.sql[i]
	}
	return 0
}

func (l *lexer) scan() token {
	l.skipSpace()
	c := l.at(l.pos)
	switch {
	case c == 0:
		return token{}
	case c == '`' || c == '"' && l.mode.ANSIQuotes():
		return token{kind: tokenQuoted, text: l.quotedName(c)}
	case c == '\'' || c == '"':
		return token{kind: tokenString, text: l.literal(c)}
	case isWordByte(c):
		from := l.pos
		for isWordByte(l.at(l.pos)) {
			l.pos++
		}
		return token{kind: tokenWord, text: l.sql[from:l.pos]}
	}
	l.pos++
	return token{kind: tokenOther, text: l.sql[l.pos-1 : l.pos]}
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// skipSpace skips white space, comments, and the marks of versioned comments.
func (l *lexer) skipSpace() {
	for {
		c, d := l.at(l.pos), l.at(l.pos+1)
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			l.pos++
		case c == '#', c == '-' && d == '-' && l.at(l.pos+2) <= ' ':
			l.skipPast(l.pos, "\n")
		case c == '/' && d == '*':
			l.openComment()
		case c == '*' && d == '/': // the end of a versioned comment
			l.pos += 2
		default:
			return
		}
	}
}

func (l *lexer) openComment() {
	mark := l.pos + 2
	if l.at(mark) == 'M' {
		mark++
	}
	if l.at(mark) != '!' {
		l.skipPast(l.pos+2, "*/")
		return
	}
	l.pos = mark + 1
	for c := l.at(l.pos); c >= '0' && c <= '9'; c = l.at(l.pos) {
		l.pos++
	}
}

// skipPast moves after the next end from from on, to the end of the statement
// where there is none.
func (l *lexer) skipPast(from int, end string) {
	if i := strings.Index(l.sql[min(from, len(l.sql)):], end); i >= 0 {
		l.pos = from + i + len(end)
		return
	}
	l.pos = len(l.sql)
}

// quotedName takes a name in quotes q. A doubled quote stands for one.
func (l *lexer) quotedName(q byte) string {
	from := l.pos + 1
	for l.pos = from; l.pos < len(l.sql); l.pos++ {
		if l.sql[l.pos] != q {
			continue
		}
		if l.at(l.pos+1) != q {
			break
		}
		l.pos++
	}
	name := l.sql[from:min(l.pos, len(l.sql))]
	l.pos = min(l.pos+1, len(l.sql))
	if strings.IndexByte(name, q) >= 0 {
		return strings.ReplaceAll(name, string([]byte{q, q}), string([]byte{q}))
	}
	return name
}

// literal takes a string in quotes q, with its quotes and escapes.
func (l *lexer) literal(q byte) string {
	from := l.pos
	for l.pos++; l.pos < len(l.sql); l.pos++ {
		c := l.sql[l.pos]
		if c == '\\' && l.mode&ModeNoBackslashEscapes == 0 {
			l.pos++
		} else if c == q {
			if l.at(l.pos+1) != q {
				break
			}
			l.pos++
		}
	}
	l.pos = min(l.pos+1, len(l.sql))
	return l.sql[from:l.pos]
}
