package sink_test

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/sink"
)

// TestEnding goes through the records of transactions as encoders emit them: by
// ordinal, 0 for a record that is no row.
func TestEnding(t *testing.T) {
	row := eventtest.Insert(eventtest.Orders(), eventtest.Int(1), eventtest.Null())
	rows := func(n int) []eventtest.Row {
		all := make([]eventtest.Row, n)
		for i := range all {
			all[i] = row
		}
		return all
	}
	for _, c := range []struct {
		name    string
		pieces  []*event.Piece
		records [][]uint64 // by piece
		ends    [][]bool
	}{
		{"rows", []*event.Piece{eventtest.Piece(eventtest.Tx(1), rows(3)...)}, [][]uint64{{1, 2, 3}}, [][]bool{{false, false, true}}},
		{"a last row of two records", []*event.Piece{eventtest.Piece(eventtest.Tx(1), rows(2)...)}, [][]uint64{{1, 1, 2, 2}}, [][]bool{{false, false, true, true}}},
		{"BEGIN and END", []*event.Piece{eventtest.Piece(eventtest.Tx(1), rows(2)...)}, [][]uint64{{0, 1, 2, 0}}, [][]bool{{false, false, true, true}}},
		{"over pieces", eventtest.Pieces(eventtest.Tx(1), 2, rows(3)...), [][]uint64{{0, 1, 2}, {3, 0}}, [][]bool{{false, false, false}, {true, true}}},
		{"a last piece whose rows are left out", eventtest.Pieces(eventtest.Tx(1), 2, rows(3)...), [][]uint64{{0, 1, 2}, {0}}, [][]bool{{false, false, false}, {true}}},
		{"no rows", []*event.Piece{eventtest.Piece(eventtest.Tx(1))}, [][]uint64{{0, 0}}, [][]bool{{true, true}}},
		{"heartbeat", []*event.Piece{nil}, [][]uint64{{0}}, [][]bool{{false}}},
	} {
		var e sink.Ending
		for i, p := range c.pieces {
			e.Start(p)
			for j, ordinal := range c.records[i] {
				n, ends := e.Rows(&format.Record{Ordinal: ordinal})
				if ends != c.ends[i][j] || p != nil && n != p.Tx.Rows {
					t.Errorf("%s: record %d of piece %d: %d rows, ends %v", c.name, j+1, i+1, n, ends)
				}
			}
		}
	}
}
