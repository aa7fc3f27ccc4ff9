package file

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/sink"
)

// lines are rendered records; the memory goes back to the pool when they are
// written.
type lines struct{ b []byte }

// Bytes implements sink.Packed.
func (l *lines) Bytes() int { return len(l.b) }

// maxPooled bounds the buffers that are kept for reuse.
const maxPooled = 8 << 20

// buffers is a pool of lines.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() *lines {
	if l, ok := p.pool.Get().(*lines); ok {
		return l
	}
	return new(lines)
}

func (p *buffers) put(l *lines) {
	if cap(l.b) <= maxPooled {
		l.b = l.b[:0]
		p.pool.Put(l)
	}
}

// packer renders records as lines:
//
//	{"topic":"shop.orders","key":{"id":1},"value":{…},"timestamp":1767225600123,"seq":7,"tx":"…","row":1,"rows":1,"headers":{"h":"v"}}
//
// seq and tx are those of the source transaction, row the number of the row in
// it; a row of several records has part and parts too. rows is how many rows the
// transaction has, on the lines of its last row: a reader that lacks those has
// not got all of it yet. A header that is no text is given in base64 as
// {"base64":"…"}; so are keys and values, if they are no JSON.
type packer struct {
	pool   *buffers
	text   bool
	cur    *lines
	tail   []byte // what all records of the piece have in common
	ending sink.Ending
}

// Start implements sink.Packer.
func (p *packer) Start(piece *event.Piece) {
	p.tail = p.tail[:0]
	p.ending.Start(piece)
	if piece == nil {
		return
	}
	p.tail = append(p.tail, `,"seq":`...)
	p.tail = strconv.AppendUint(p.tail, piece.Tx.End.Seq, 10)
	p.tail = append(p.tail, `,"tx":`...)
	p.tail = appendString(p.tail, piece.Tx.Key)
}

// Emit implements sink.Packer.
func (p *packer) Emit(r *format.Record) error {
	if p.cur == nil {
		p.cur = p.pool.get()
	}
	b := append(p.cur.b, `{"topic":`...)
	b = appendString(b, r.Route.Topic)
	b = append(b, `,"key":`...)
	b = p.embed(b, r.Key)
	b = append(b, `,"value":`...)
	b = p.embed(b, r.Value)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, r.Millis, 10)
	b = append(b, p.tail...) // empty for a heartbeat, which has no piece
	b = appendRow(b, r)
	if rows, ends := p.ending.Rows(r); ends {
		b = strconv.AppendUint(append(b, `,"rows":`...), rows, 10)
	}
	b = appendHeaders(b, r.Headers)
	p.cur.b = append(b, '}', '\n')
	return nil
}

// Pack implements sink.Packer.
func (p *packer) Pack() (sink.Packed, error) {
	l := p.cur
	if l == nil {
		l = p.pool.get()
	}
	p.cur = nil
	p.Start(nil)
	return l, nil
}

// embed appends a key or a value: JSON as it is, on one line.
func (p *packer) embed(b, v []byte) []byte {
	switch {
	case v == nil:
		return append(b, "null"...)
	case p.text:
		return appendText(b, v)
	case bytes.IndexByte(v, '\n') < 0:
		return append(b, v...)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, v) != nil {
		return appendText(b, v)
	}
	return append(b, compact.Bytes()...)
}

func appendRow(b []byte, r *format.Record) []byte {
	if r.Ordinal == 0 {
		return b
	}
	b = strconv.AppendUint(append(b, `,"row":`...), r.Ordinal, 10)
	if r.Parts > 1 {
		b = strconv.AppendUint(append(b, `,"part":`...), uint64(r.Part), 10)
		b = strconv.AppendUint(append(b, `,"parts":`...), uint64(r.Parts), 10)
	}
	return b
}

func appendHeaders(b []byte, hs []format.Header) []byte {
	if len(hs) == 0 {
		return b
	}
	b = append(b, `,"headers":`...)
	for i := range hs {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		b = appendString(append(b, sep), hs[i].Key)
		b = appendText(append(b, ':'), hs[i].Value)
	}
	return append(b, '}')
}

// appendText appends v as a string, or in base64 when it is no text.
func appendText(b, v []byte) []byte {
	if utf8.Valid(v) {
		return appendString(b, v)
	}
	b = append(b, `{"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(b, v), `"}`...)
}

const hexDigits = "0123456789abcdef"

// appendString appends s, which is UTF-8, as a JSON string.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
