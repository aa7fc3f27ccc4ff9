package eventtest_test

import (
	"reflect"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
)

func TestRowsComeBackAsWritten(t *testing.T) {
	table := eventtest.Orders()
	one := []event.Value{eventtest.Int(1), eventtest.Text("a")}
	two := []event.Value{eventtest.Int(2), eventtest.Null()}
	three := []event.Value{eventtest.Int(3), eventtest.Text("")}
	rows := []eventtest.Row{
		eventtest.Insert(table, one...), eventtest.Insert(table, two...),
		eventtest.Update(table, two, three), eventtest.Delete(table, one...),
	}
	for perPiece := 1; perPiece <= 5; perPiece++ {
		tx := eventtest.Tx(4)
		var got []eventtest.Row
		pieces := eventtest.Pieces(tx, perPiece, rows...)
		for i, p := range pieces {
			if p.First != (i == 0) || p.Last != (i == len(pieces)-1) {
				t.Fatalf("piece %d of %d: first %v, last %v", i, len(pieces), p.First, p.Last)
			}
			got = append(got, collect(t, p, uint64(len(got)))...)
		}
		if !reflect.DeepEqual(got, rows) {
			t.Errorf("%d rows a piece: got %v, want %v", perPiece, got, rows)
		}
		if tx.Rows != 4 || len(tx.Tables) != 1 || tx.Tables[0].Rows != 4 {
			t.Errorf("counts: %d %v", tx.Rows, tx.Tables)
		}
	}
}

func collect(t *testing.T, p *event.Piece, ordinal uint64) (rows []eventtest.Row) {
	t.Helper()
	for i := range p.Events {
		if n, err := p.Events[i].Table.Layout.Count(p.Events[i].Type, p.Events[i].Body); err != nil || n != p.Events[i].Rows {
			t.Fatalf("Count: %d, %v, want %d", n, err, p.Events[i].Rows)
		}
	}
	var r event.RowReader
	for c, err := range p.Rows(&r) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Ordinal != ordinal+uint64(len(rows)) {
			t.Errorf("ordinal %d, want %d", c.Ordinal, ordinal+uint64(len(rows)))
		}
		rows = append(rows, eventtest.Row{Table: c.Table, Op: c.Op, Before: clone(c.Before), After: clone(c.After)})
	}
	return rows
}

func clone(v []event.Value) []event.Value { return append([]event.Value(nil), v...) }

func TestEmptyTransactionHasOnePiece(t *testing.T) {
	p := eventtest.Piece(eventtest.Tx(1))
	if !p.First || !p.Last || len(p.Events) != 0 {
		t.Errorf("got %+v", p)
	}
}

func TestCutBodyIsAnError(t *testing.T) {
	table := eventtest.Orders()
	body := eventtest.Body(eventtest.Insert(table, eventtest.Int(1), eventtest.Text("abc")))
	for n := 1; n < len(body); n++ {
		if _, err := table.Layout.Count(byte(event.Insert), body[:n]); err == nil {
			t.Errorf("a body cut to %d bytes was counted", n)
		}
	}
}
