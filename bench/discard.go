package main

import (
	"context"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/sink"
)

// discard is a sink that counts and throws away.
type discard struct{}

type discarded struct{ records, bytes int }

func (d *discarded) Bytes() int { return d.bytes }

type discardPacker struct{ cur *discarded }

func (p *discardPacker) Start(*event.Piece) {}

func (p *discardPacker) Emit(r *format.Record) error {
	p.cur.records++
	p.cur.bytes += len(r.Key) + len(r.Value)
	return nil
}

func (p *discardPacker) Pack() (sink.Packed, error) {
	out := p.cur
	p.cur = &discarded{}
	return out, nil
}

func (*discard) Packer() sink.Packer { return &discardPacker{cur: &discarded{}} }

func (*discard) Connect(_ context.Context, _ uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	return cp, nil
}

func (*discard) Begin(context.Context, checkpoint.Checkpoint) error { return nil }

func (*discard) Send(_ context.Context, _ sink.Batch, _ bool, done func(sink.Ack, error)) {
	done(sink.Ack{}, nil)
}

func (*discard) Close(context.Context) error { return nil }
