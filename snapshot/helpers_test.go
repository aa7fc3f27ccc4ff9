package snapshot

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/source"
)

const plenty = 1 << 20

var byID = []string{"id"}

// row is the images of a row of eventtest.Orders.
func row(id int64, note string) []event.Value {
	return []event.Value{eventtest.Int(id), eventtest.Text(note)}
}

// startAt is a position at the end of transaction n of eventtest.
func startAt(n uint64) event.Position {
	p := event.Position{Flavor: event.MySQL, GTIDs: event.NewGTIDSet(event.MySQL)}
	p.Advance(eventtest.Tx(n).End)
	return p
}

// chunkOf is a chunk of rows of one table, in one body, that was read when
// transaction high was the last in the log.
func chunkOf(t *event.Table, high uint64, rows ...[]event.Value) source.Chunk {
	reads := make([]eventtest.Row, len(rows))
	for i, r := range rows {
		reads[i] = eventtest.Read(t, r...)
	}
	end := eventtest.Tx(high).End
	c := source.Chunk{Table: t, Key: t.Key, Rows: eventtest.Events(0, reads...), Count: len(rows),
		High: event.Coord{File: end.File, Offset: end.Offset}}
	for i := range c.Rows {
		c.Rows[i].Op = event.Read
		c.Bytes += len(c.Rows[i].Body)
	}
	return c
}

// left is the ids of the rows of a merged window.
func left(t testing.TB, o Outcome) []int64 {
	t.Helper()
	if !o.Merged() {
		t.Fatalf("window given up: %s %v", o.Reason, o.Err)
	}
	var ids []int64
	var r event.RowReader
	p := event.Piece{Events: o.Rows}
	for c, err := range p.Rows(&r) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Ordinal != uint64(len(ids)) || c.TableOrdinal != c.Ordinal {
			t.Errorf("row %d has ordinals %d and %d", len(ids), c.Ordinal, c.TableOrdinal)
		}
		ids = append(ids, c.After[0].Num)
	}
	if len(ids) != o.Kept {
		t.Errorf("%d rows, %d kept", len(ids), o.Kept)
	}
	return ids
}

func next(t testing.TB, m *Merger) Outcome {
	t.Helper()
	o, ok := m.Next()
	if !ok {
		t.Fatal("no window is decided")
	}
	return o
}

func nothing(t testing.TB, m *Merger) {
	t.Helper()
	if o, ok := m.Next(); ok {
		t.Fatalf("decided: %+v", o)
	}
}
