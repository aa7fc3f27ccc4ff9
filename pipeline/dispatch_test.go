package pipeline

import (
	"context"
	"log/slog"
	"testing"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
)

// TestRowsOfChunksDoNotWait: on a source where nothing changes, the last rows of a
// snapshot leave at once, not after the idle interval.
func TestRowsOfChunksDoNotWait(t *testing.T) {
	f := newFixture(t)
	p, err := New(f.cfg, Deps{Source: f.src, Sink: f.dst, Store: f.dst, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.newLine(checkpoint.Checkpoint{Position: event.Position{File: event.LogFile{Name: "binlog.000001"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.ring.Close(context.Canceled)
	ctx, cancel := context.WithCancel(t.Context())
	d := &dispatcher{l: l, s: l.stage("dispatch")}
	if err := d.put(ctx, eventtest.Piece(eventtest.Tx(1), eventtest.Read(eventtest.Orders(), eventtest.Int(1), eventtest.Text("a")))); err != nil {
		t.Fatal(err)
	}
	cancel() // the wait for a change ends at once
	if _, err := d.next(ctx); err == nil {
		t.Error("there was a change")
	}
	if len(l.order) != 1 {
		t.Error("the rows wait for a change")
	}
}
