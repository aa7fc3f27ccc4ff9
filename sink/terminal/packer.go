package terminal

import (
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/sink"
)

// lines are values, each with its newline.
type lines []byte

// Bytes implements sink.Packed.
func (l lines) Bytes() int { return len(l) }

type packer struct{ cur lines }

// Start implements sink.Packer.
func (p *packer) Start(*event.Piece) {}

// Emit implements sink.Packer. A tombstone has nothing to show.
func (p *packer) Emit(r *format.Record) error {
	if r.Value != nil {
		p.cur = append(append(p.cur, r.Value...), '\n')
	}
	return nil
}

// Pack implements sink.Packer.
func (p *packer) Pack() (sink.Packed, error) {
	l := p.cur
	p.cur = make(lines, 0, min(cap(l), 1<<20))
	return l, nil
}
