package snapshot

import (
	"errors"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// lostFor expects the next outcome to be that the window was given up.
func lostFor(t *testing.T, m *Merger, w *Window, why Reason) Outcome {
	t.Helper()
	o := next(t, m)
	if o.Window != w || o.Reason != why || o.Merged() || o.Rows != nil {
		t.Fatalf("%+v, want the window given up for %s", o, why)
	}
	return o
}

func TestTheLargestWindowIsGivenUpOverBudget(t *testing.T) {
	orders, users := eventtest.Orders(), eventtest.Orders()
	users.Name = "users"
	m := NewMerger(startAt(1), 4000)
	small, large := m.Open("shop", "orders", byID, nil), m.Open("shop", "users", byID, nil)
	touch := func(table *event.Table, from, to int64) {
		for i := from; i < to; i++ {
			m.Pass(eventtest.Piece(eventtest.Tx(uint64(2+i)), eventtest.Insert(table, row(i, "")...), eventtest.Insert(table, row(i, "")...)))
			if m.touched > m.budget {
				t.Fatalf("%d bytes of touched keys, budget %d", m.touched, m.budget)
			}
		}
	}
	touch(users, 0, 100)
	nothing(t, m)
	touch(orders, 0, 70) // over the budget, although it has less
	lostFor(t, m, large, ByBudget)
	m.Read(small, chunkOf(orders, 2, row(69, ""), row(70, "")))
	if ids := left(t, next(t, m)); len(ids) != 1 || ids[0] != 70 {
		t.Errorf("%v left", ids)
	}
	if m.touched != 0 {
		t.Errorf("%d bytes of touched keys although no window is open", m.touched)
	}
}

func TestABudgetForNothingEndsEveryReadThatIsTouched(t *testing.T) {
	orders := eventtest.Orders()
	m := NewMerger(startAt(1), 0)
	other, w := m.Open("shop", "users", byID, nil), m.Open("shop", "orders", byID, nil)
	m.Pass(eventtest.Piece(eventtest.Tx(2), eventtest.Insert(orders, row(1, "")...)))
	lostFor(t, m, w, ByBudget)
	m.Read(other, chunkOf(orders, 2))
	if o := next(t, m); !o.Merged() {
		t.Errorf("%s", o.Reason)
	}
}

// TestKeysCostNothingOnceTheChunkIsThere: a stream far behind passes any number
// of keys on the way to High.
func TestKeysCostNothingOnceTheChunkIsThere(t *testing.T) {
	orders := eventtest.Orders()
	m := NewMerger(startAt(1), 0)
	w := m.Open("shop", "orders", byID, nil)
	m.Read(w, chunkOf(orders, 500, row(1, ""), row(499, ""), row(1000, "")))
	for i := uint64(2); i <= 500; i++ {
		nothing(t, m)
		m.Pass(eventtest.Piece(eventtest.Tx(i), eventtest.Insert(orders, row(int64(i), "")...)))
	}
	if o := next(t, m); o.Kept != 2 || o.Dropped != 1 {
		t.Errorf("%d kept, %d dropped, %s", o.Kept, o.Dropped, o.Reason)
	}
}

func TestATableReadAsAWholeIsLostWithAnyChange(t *testing.T) {
	orders := eventtest.Orders()
	m := NewMerger(startAt(1), plenty)
	w := m.Open("shop", "orders", nil, nil)
	c := chunkOf(orders, 2, row(1, ""), row(1, ""))
	c.Key = nil
	m.Read(w, c)
	m.Pass(eventtest.Piece(eventtest.Tx(2)))
	if ids := left(t, next(t, m)); len(ids) != 2 {
		t.Errorf("%v left", ids)
	}
	w = m.Open("shop", "orders", nil, w)
	m.Pass(eventtest.Piece(eventtest.Tx(3), eventtest.Delete(orders, row(1, "")...)))
	lostFor(t, m, w, ByTouch)
}

func TestHighMustLieInTheLogThatIsRead(t *testing.T) {
	orders := eventtest.Orders()
	chunk := chunkOf(orders, 3, row(1, ""))
	for name, c := range map[string]struct {
		high event.Coord
		now  bool // given up at once
	}{
		"another name":    {event.Coord{File: &event.LogFile{Name: "other.000007"}, Offset: 9}, true},
		"before Seen":     {event.Coord{File: chunk.High.File, Offset: 5}, true},
		"an earlier file": {event.Coord{File: &event.LogFile{Name: "binlog.000001"}, Offset: 5000}, true},
		"another server":  {event.Coord{File: &event.LogFile{Name: "binlog.000008", StampServer: 99}, Offset: 5}, true},
		"reset meanwhile": {event.Coord{File: &event.LogFile{Name: "binlog.000008"}, Offset: 5}, false},
	} {
		m := NewMerger(startAt(2), plenty)
		w, x := m.Open("shop", "orders", byID, nil), chunk
		x.High = c.high
		m.Read(w, x)
		if !c.now {
			nothing(t, m)
			tx := eventtest.Tx(3)
			tx.End.File = &event.LogFile{Name: "renamed.000001"}
			m.Pass(eventtest.Piece(tx))
		}
		t.Log(name)
		lostFor(t, m, w, ByLog)
	}
}

func TestAMissingHighIsNamed(t *testing.T) {
	m := NewMerger(startAt(2), plenty)
	w, c := m.Open("shop", "orders", byID, nil), chunkOf(eventtest.Orders(), 3)
	c.High = event.Coord{}
	m.Read(w, c)
	o := lostFor(t, m, w, ByLog)
	if resilience.CodeOf(o.Err) != CodeNoHigh || resilience.ClassOf(o.Err) != resilience.Fatal {
		t.Errorf("%v", o.Err)
	}
}

// TestHighInTheNextFile is about a log that was rotated: the stream reaches the
// mark by a silent move.
func TestHighInTheNextFile(t *testing.T) {
	m := NewMerger(startAt(2), plenty)
	w, c := m.Open("shop", "orders", byID, nil), chunkOf(eventtest.Orders(), 3, row(1, ""))
	c.High = event.Coord{File: &event.LogFile{Name: "binlog.000008"}, Offset: 197}
	m.Read(w, c)
	silent := &event.Tx{Silent: true, End: event.Coord{File: &event.LogFile{Name: "binlog.000008", StampTime: 9, StampServer: 31}, Offset: 4, Seq: 2}}
	m.Pass(eventtest.Piece(silent))
	nothing(t, m)
	silent.End.Offset = 197
	m.Pass(eventtest.Piece(silent))
	if ids := left(t, next(t, m)); len(ids) != 1 {
		t.Errorf("%v left", ids)
	}
	if m.End().File.Name != "binlog.000008" || m.End().Offset != 197 {
		t.Errorf("end is %+v", m.End())
	}
}

// TestAPositionWithoutAFile is one that was given as a GTID set only.
func TestAPositionWithoutAFile(t *testing.T) {
	m := NewMerger(event.Position{Flavor: event.MySQL}, plenty)
	w := m.Open("shop", "orders", byID, nil)
	m.Read(w, chunkOf(eventtest.Orders(), 1, row(1, "")))
	nothing(t, m)
	m.Pass(eventtest.Piece(eventtest.Tx(1)))
	if ids := left(t, next(t, m)); len(ids) != 1 {
		t.Errorf("%v left", ids)
	}
}

func TestAnotherServersLogGivesWindowsUp(t *testing.T) {
	m := NewMerger(startAt(2), plenty)
	w := m.Open("shop", "orders", byID, nil)
	c := chunkOf(eventtest.Orders(), 9, row(1, ""))
	c.High.File = &event.LogFile{Name: c.High.File.Name} // as a server tells it
	m.Read(w, c)
	tx := eventtest.Tx(3)
	tx.End.File = &event.LogFile{Name: "binlog.000100", StampTime: 77, StampServer: 32}
	m.Pass(eventtest.Piece(tx))
	lostFor(t, m, w, ByLog)
}

// TestTheRestOfATransactionGivesWindowsUp: an earlier line delivered its first
// rows, and a read that does not see it has older ones.
func TestTheRestOfATransactionGivesWindowsUp(t *testing.T) {
	orders := eventtest.Orders()
	m := NewMerger(startAt(1), plenty)
	w := m.Open("shop", "orders", byID, nil)
	m.Read(w, chunkOf(orders, 2, row(1, "")))
	tx := eventtest.Tx(2)
	p := eventtest.Piece(tx, eventtest.Update(orders, row(1, ""), row(1, "x")), eventtest.Delete(orders, row(2, "")...))
	p.First, tx.Done = false, 1
	m.Pass(p)
	lostFor(t, m, w, ByRows)
}

func TestRowsOfTheStreamThatCannotBeRead(t *testing.T) {
	orders, users := eventtest.Orders(), eventtest.Orders()
	users.Name = "users"
	m := NewMerger(startAt(1), plenty)
	w, other := m.Open("shop", "orders", byID, nil), m.Open("shop", "users", byID, nil)
	p := eventtest.Piece(eventtest.Tx(2), eventtest.Insert(orders, row(1, "")...), eventtest.Insert(users, row(5, "")...))
	p.Events[0].Body = p.Events[0].Body[:3]
	m.Pass(p)
	lostFor(t, m, w, ByRows)
	m.Read(other, chunkOf(users, 2, row(5, ""), row(6, "")))
	if ids := left(t, next(t, m)); len(ids) != 1 || ids[0] != 6 {
		t.Errorf("%v left", ids)
	}
	absent := m.Open("shop", "users", byID, other)
	m.Pass(eventtest.Piece(eventtest.Tx(3), eventtest.Insert(users, eventtest.Absent(), eventtest.Text(""))))
	lostFor(t, m, absent, ByRows)
}

func TestRowsOfTheStreamWithoutTheKey(t *testing.T) {
	renamed := eventtest.Table("shop", "orders", nil, eventtest.Col("number", event.TypeInt), eventtest.Col("note", event.TypeText))
	m := NewMerger(startAt(1), plenty)
	w := m.Open("shop", "orders", byID, nil)
	m.Pass(eventtest.Piece(eventtest.Tx(2), eventtest.Insert(renamed, row(1, "")...)))
	lostFor(t, m, w, ByKey)
}

func TestChunksThatCannotBeMerged(t *testing.T) {
	excluded := eventtest.Orders()
	excluded.Columns[0].Excluded = true
	renamed := eventtest.Table("shop", "orders", []string{"number"}, eventtest.Col("number", event.TypeInt), eventtest.Col("note", event.TypeText))
	torn := chunkOf(eventtest.Orders(), 2, row(1, ""))
	torn.Rows[0].Body = torn.Rows[0].Body[:3]
	for _, c := range []struct {
		name  string
		chunk source.Chunk
		why   Reason
		code  string
	}{
		{"cut by another key", chunkOf(renamed, 2, row(1, "")), ByKey, ""},
		{"key not captured", chunkOf(excluded, 2, row(1, "")), ByKey, CodeKeyExcluded},
		{"torn", torn, ByRows, CodeRowUnreadable},
		{"the same key twice", chunkOf(eventtest.Orders(), 2, row(1, ""), row(1, "b")), ByRows, CodeKeyRepeated},
		{"a key without value", chunkOf(eventtest.Orders(), 2, []event.Value{eventtest.Absent(), eventtest.Text("")}), ByRows, CodeRowUnreadable},
	} {
		for _, early := range []bool{true, false} { // whether the touch comes before the chunk
			m := NewMerger(startAt(1), plenty)
			w := m.Open("shop", "orders", byID, nil)
			touch := eventtest.Piece(eventtest.Tx(2), eventtest.Insert(eventtest.Orders(), row(8, "")...))
			if early {
				m.Pass(touch)
			}
			m.Read(w, c.chunk)
			if !early {
				m.Pass(touch)
			}
			t.Log(c.name)
			o := lostFor(t, m, w, c.why)
			if resilience.CodeOf(o.Err) != c.code {
				t.Errorf("%v, want code %q", o.Err, c.code)
			}
			var e *resilience.Error
			if errors.As(o.Err, &e) && !strings.Contains(e.At, "shop.orders") {
				t.Errorf("no place in %v", o.Err)
			}
		}
	}
}

func TestAKeyThatChangesUnderOpenWindows(t *testing.T) {
	m := NewMerger(startAt(1), plenty)
	a := m.Open("shop", "orders", byID, nil)
	b := m.Open("shop", "orders", []string{"note"}, a)
	lostFor(t, m, b, ByKey)
	b = m.Open("shop", "orders", []string{"note"}, nil)
	lostFor(t, m, a, ByEarlier)
	m.Read(b, chunkOf(eventtest.Table("shop", "orders", []string{"note"}, eventtest.Col("note", event.TypeText)), 1))
	if o := next(t, m); o.Window != b || !o.Merged() {
		t.Errorf("%+v", o)
	}
}

func TestAWindowBehindALostOneIsLost(t *testing.T) {
	orders := eventtest.Orders()
	m := NewMerger(startAt(1), plenty)
	a := m.Open("shop", "orders", byID, nil)
	m.Drop(a)
	if !m.Idle() {
		t.Error("a dropped window has an outcome")
	}
	b := m.Open("shop", "orders", byID, a)
	lostFor(t, m, b, ByEarlier)
	m.Drop(b) // too late, without effect
	c := m.Open("shop", "orders", byID, nil)
	m.Read(c, chunkOf(orders, 1))
	if o := next(t, m); !o.Merged() {
		t.Error("the table is lost for good")
	}
}

// TestFreshUntilItWasLookedUp: a read that failed did not look, perhaps.
func TestFreshUntilItWasLookedUp(t *testing.T) {
	orders := eventtest.Orders()
	m := NewMerger(startAt(1), plenty)
	open := func(prev *Window, fresh bool) *Window {
		t.Helper()
		w := m.Open("shop", "orders", byID, prev)
		if w.Fresh != fresh {
			t.Fatalf("fresh is %v", w.Fresh)
		}
		return w
	}
	a := open(nil, true)
	m.Drop(a)
	a = open(nil, true)
	m.Read(a, chunkOf(orders, 1))
	b := open(a, false)
	ddl := eventtest.Tx(2)
	ddl.DDL = &event.DDL{}
	m.Pass(eventtest.Piece(ddl))
	for _, ok := m.Next(); ok; _, ok = m.Next() {
	}
	m.Read(b, chunkOf(orders, 2)) // it was read before the statement
	c := open(nil, true)
	m.Read(c, chunkOf(orders, 2))
	open(c, false)
}
