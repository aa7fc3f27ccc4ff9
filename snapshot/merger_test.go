package snapshot

import (
	"slices"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
)

func TestRowsLeaveWithoutTheTouchedOnes(t *testing.T) {
	table := eventtest.Orders()
	m := NewMerger(startAt(1), plenty)
	w := m.Open("shop", "orders", byID, nil)
	if !w.Fresh || w.Seen.Seq != 1 {
		t.Fatalf("fresh %v, seen %d", w.Fresh, w.Seen.Seq)
	}
	m.Pass(eventtest.Piece(eventtest.Tx(2), eventtest.Update(table, row(2, "a"), row(7, "b")))) // while it is read
	m.Read(w, chunkOf(table, 4, row(1, "a"), row(2, "a"), row(3, "a"), row(4, "a"), row(7, "b")))
	nothing(t, m)
	m.Pass(eventtest.Piece(eventtest.Tx(3), eventtest.Delete(table, row(4, "a")...))) // on the way to High
	nothing(t, m)
	m.Pass(eventtest.Piece(eventtest.Tx(4)))
	o := next(t, m)
	if ids := left(t, o); !slices.Equal(ids, []int64{1, 3}) || o.Dropped != 3 {
		t.Errorf("%v left, %d dropped", ids, o.Dropped)
	}
	if end := m.End(); end.Seq != 4 || end.Offset != eventtest.Tx(4).End.Offset || !end.GTID.IsZero() {
		t.Errorf("end is %+v", end)
	}
	nothing(t, m)
	if !m.Idle() {
		t.Error("not idle")
	}
}

func TestReachedHighReleasesAtOnce(t *testing.T) {
	table := eventtest.Orders()
	m := NewMerger(startAt(5), plenty)
	w := m.Open("shop", "orders", byID, nil)
	m.Read(w, chunkOf(table, 5, row(1, "a")))
	if ids := left(t, next(t, m)); len(ids) != 1 {
		t.Errorf("%v left", ids)
	}
	if w := m.Open("shop", "orders", byID, w); w.Fresh {
		t.Error("fresh although it was looked up")
	}
}

func TestNothingHappensInsideATransaction(t *testing.T) {
	table := eventtest.Orders()
	m := NewMerger(startAt(1), plenty)
	w := m.Open("shop", "orders", byID, nil)
	m.Read(w, chunkOf(table, 1, row(1, "a"), row(2, "a")))
	pieces := eventtest.Pieces(eventtest.Tx(2), 1, eventtest.Delete(table, row(1, "a")...), eventtest.Insert(table, row(9, "a")...))
	m.Pass(pieces[0])
	nothing(t, m)
	if m.Open("shop", "orders", byID, w) != nil {
		t.Error("a window opened inside a transaction")
	}
	m.Pass(pieces[1])
	if ids := left(t, next(t, m)); !slices.Equal(ids, []int64{2}) {
		t.Errorf("%v left", ids)
	}
}

func TestDDLGivesUpAllWindows(t *testing.T) {
	table := eventtest.Orders()
	m := NewMerger(startAt(1), plenty)
	a := m.Open("shop", "orders", byID, nil)
	m.Read(a, chunkOf(table, 2, row(1, "a")))
	b := m.Open("shop", "orders", byID, a)
	other := m.Open("shop", "users", byID, nil)
	ddl := eventtest.Tx(2)
	ddl.DDL = &event.DDL{SQL: "TRUNCATE orders", Kind: event.DDLTruncate}
	m.Pass(eventtest.Piece(ddl))
	got := map[*Window]Reason{}
	for range 3 {
		o := next(t, m)
		got[o.Window] = o.Reason
	}
	if got[a] != ByDDL || got[b] != ByDDL || got[other] != ByDDL {
		t.Errorf("reasons %v", got)
	}
	m.Read(b, chunkOf(table, 2, row(2, "a"))) // comes too late
	nothing(t, m)
	if c := m.Open("shop", "orders", byID, nil); !c.Fresh {
		t.Error("not fresh after a DDL statement")
	}
}

// TestATableIsWatchedFromOpenOn: its rows went by before, and it was not.
func TestATableIsWatchedFromOpenOn(t *testing.T) {
	table := eventtest.Orders()
	m := NewMerger(startAt(1), plenty)
	m.Open("shop", "users", byID, nil) // so that Pass looks at tables
	var prev *Window
	for i := uint64(2); i < 6; i += 2 {
		m.Pass(eventtest.Piece(eventtest.Tx(i), eventtest.Update(table, row(1, ""), row(1, ""))))
		w := m.Open("shop", "orders", byID, prev)
		m.Pass(eventtest.Piece(eventtest.Tx(i+1), eventtest.Update(table, row(1, ""), row(1, ""))))
		m.Read(w, chunkOf(table, i+1, row(1, ""), row(2, "")))
		if ids := left(t, next(t, m)); !slices.Equal(ids, []int64{2}) {
			t.Errorf("%v left", ids)
		}
		prev = w
	}
}
