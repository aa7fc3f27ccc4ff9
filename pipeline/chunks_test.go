package pipeline

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// endless is a reader of a table whose chunks have one row each.
type endless struct {
	source.ChunkReader
	reads, asked int // asked since the first read
}

func (e *endless) Read(context.Context, source.ChunkRequest) (source.Chunk, error) {
	e.reads++
	end := eventtest.Tx(1 << 40).End
	c := source.Chunk{
		Table: scriptTable, Key: scriptTable.Key, Count: 1, Last: []byte(strconv.Itoa(e.reads)),
		Rows: eventtest.Events(0, eventtest.Read(scriptTable, eventtest.Int(int64(e.reads)), eventtest.Text("x"))),
		High: event.Coord{File: end.File, Offset: end.Offset},
	}
	c.Bytes = len(c.Rows[0].Body)
	return c, nil
}

func (e *endless) Running(context.Context) (int, error) {
	if e.reads == 0 {
		return 0, nil
	}
	e.asked++
	return 1, nil
}

// TestSmallChunksDoNotWaitForAStreamThatLags: as many are read ahead as windows
// may be open, since together they take little memory; and how busy the source is
// is not asked for each of them.
func TestSmallChunksDoNotWaitForAStreamThatLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Name, cfg.Installation, cfg.Buffer.SpillDir = "p", "i", t.TempDir()
		p, err := New(cfg, Deps{Source: &script{}})
		if err != nil {
			t.Fatal(err)
		}
		pos := event.Position{Flavor: event.MySQL, GTIDs: event.NewGTIDSet(event.MySQL)}
		pos.Advance(eventtest.Tx(1).End)
		l, err := p.newLine(checkpoint.Checkpoint{Position: pos})
		if err != nil {
			t.Fatal(err)
		}
		defer l.ring.Close(nil)
		reader := &endless{}
		read := (&snapshots{l: l}).newRead(source.TableInfo{Database: "shop", Name: "orders", Key: []string{"id"}}, snapshot.State{})
		read.conn = reader
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- read.run(ctx, resilience.NewRetry(resilience.DefaultRetryConfig())) }()
		for again := true; again; {
			synctest.Wait()
			calls := l.calls.take()
			for _, call := range calls {
				call()
			}
			again = len(calls) > 0
		}
		if held := l.chunks.held(); reader.reads != windowsAhead || held > cfg.Snapshot.BufferBytes/8 {
			t.Errorf("%d chunks were read, %d windows may be open; they hold %d bytes", reader.reads, windowsAhead, held)
		}
		if reader.asked != 1 {
			t.Errorf("the source was asked %d times at once how busy it is", reader.asked)
		}
		cancel(errLineEnds)
		if err := <-ended; !errors.Is(err, errLineEnds) {
			t.Error(err)
		}
	})
}

// TestBudgetWakesWhoeverFits: what is freed goes to whom it suffices, not to
// whoever happens to be told first.
func TestBudgetWakesWhoeverFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		b.adjust(100)
		large, small := make(chan error, 1), make(chan error, 1)
		go func() { large <- b.reserve(t.Context(), 90) }()
		go func() { small <- b.reserve(t.Context(), 20) }()
		synctest.Wait()
		b.adjust(-30)
		if err := <-small; err != nil || b.held() != 90 {
			t.Fatalf("held %d, %v", b.held(), err)
		}
		b.adjust(-90)
		if err := <-large; err != nil || b.held() != 90 {
			t.Fatalf("held %d, %v", b.held(), err)
		}
	})
}
