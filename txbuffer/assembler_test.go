package txbuffer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// nowhere is a store that keeps only the last description.
type nowhere struct {
	tx    event.Tx
	drops int
}

func (n *nowhere) Append(context.Context, *event.RawRows) error { return nil }

func (n *nowhere) Commit(_ context.Context, tx *event.Tx) error {
	n.tx = *tx
	n.tx.Tables = append([]event.TableCount(nil), tx.Tables...)
	return nil
}

func (n *nowhere) Drop() error { n.drops++; return nil }

func TestEventsOutOfOrderAreFatal(t *testing.T) {
	table := fakeTable("a")
	for name, events := range map[string]func(*script) []event.Event{
		"rows outside":     func(s *script) []event.Event { return []event.Event{s.rows(table, body(9, 1, 1))} },
		"begin in begin":   func(s *script) []event.Event { return []event.Event{s.begin(), s.begin()} },
		"commit outside":   func(s *script) []event.Event { return []event.Event{s.end(event.EvCommit)} },
		"rollback outside": func(s *script) []event.Event { return []event.Event{s.end(event.EvRollback)} },
		"commit twice": func(s *script) []event.Event {
			return []event.Event{s.begin(), s.end(event.EvCommit), s.end(event.EvCommit)}
		},
		"ddl after rows": func(s *script) []event.Event {
			return []event.Event{s.begin(), s.rows(table, body(9, 1, 1)), s.end(event.EvDDL)}
		},
		"rows after reset": func(s *script) []event.Event {
			return []event.Event{s.begin(), {Kind: event.EvReset}, s.rows(table, body(9, 1, 1))}
		},
		"unknown kind": func(s *script) []event.Event { return []event.Event{{Kind: 99}} },
	} {
		t.Run(name, func(t *testing.T) {
			a := NewAssembler(start, &nowhere{})
			var err error
			for _, ev := range events(newScript()) {
				if err != nil {
					t.Fatalf("too early: %v", err)
				}
				_, err = a.Step(context.Background(), &ev)
			}
			if resilience.CodeOf(err) != "event_order" || resilience.ClassOf(err) != resilience.Fatal {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUnreadableRowsAreFatalUnlessTheLayoutKnowsBetter(t *testing.T) {
	s, a := newScript(), NewAssembler(start, &nowhere{})
	step(t, a, s.begin())
	ev := s.rows(fakeTable("a"), nil)
	_, err := a.Step(context.Background(), &ev)
	if resilience.CodeOf(err) != "rows_unreadable" || !errors.Is(err, errFakeBody) || !strings.Contains(err.Error(), "bin.000001:4 table shop.a") {
		t.Errorf("got %v", err)
	}
	known := resilience.Errorf(resilience.Poison, "known", "decode", "of the layout")
	if err := countError(&ev.Raw, nil, known); resilience.CodeOf(err) != "known" {
		t.Errorf("the layout's class is lost: %v", err)
	}
}

// What a transaction says of itself may come at its beginning or at its end.
func TestDescriptionComesFromBothEnds(t *testing.T) {
	store := &nowhere{}
	s, a := newScript(), NewAssembler(start, store)
	begin, end := s.begin(), s.end(event.EvCommit)
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	begin.Time, begin.Micros, begin.ServerID, begin.Thread = early, true, 7, 0
	end.Time, end.ServerID, end.Thread, end.Received = late, 9, 12, late
	step(t, a, begin)
	step(t, a, end)
	tx := store.tx
	if !tx.Commit.Equal(early) || !tx.Micros || tx.ServerID != 7 || tx.Thread != 12 || !tx.Received.Equal(late) {
		t.Errorf("got %+v", tx)
	}
	if tx.Key != "0-1-1" || tx.Begin.Seq != 100 || tx.End.Seq != 101 {
		t.Errorf("key %q, seq %d to %d", tx.Key, tx.Begin.Seq, tx.End.Seq)
	}
}

func TestKeyIsThePlaceWhereGTIDIsOff(t *testing.T) {
	store := &nowhere{}
	s, a := newScript(), NewAssembler(start, store)
	begin, end := s.begin(), s.end(event.EvCommit)
	begin.GTID, end.Coord.GTID = event.GTID{}, event.GTID{}
	step(t, a, begin)
	step(t, a, end)
	if store.tx.Key != "bin.000001:4" {
		t.Errorf("key is %q", store.tx.Key)
	}
}

// Keys outlive their transactions: somebody may hold one for ever.
func TestKeysStayGood(t *testing.T) {
	var k keyText
	var got, want []string
	for i := range uint64(1000) {
		g := event.GTID{Domain: 3, Server: 44, N: i + 1}
		got, want = append(got, k.gtid(g)), append(want, g.String())
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("key %d reads %q, want %q", i, got[i], want[i])
		}
	}
}

func TestManyTablesAreCountedInOrderOfFirstTouch(t *testing.T) {
	var c tableCounts
	for round := range 2 {
		for i := range 3 * keepTables {
			name := string(rune('a'+i%26)) + strings.Repeat("x", i%3) + string(rune(i/26+0x4e00))
			if got := c.of(fakeTable(name)); got.Table != name {
				t.Fatalf("round %d: table %d is %q, want %q", round, i, got.Table, name)
			}
			c.of(fakeTable(name)).Rows++
		}
		for i, k := range c.counts {
			if k.Rows != uint64(3*keepTables/len(c.counts)) {
				t.Fatalf("table %d has %d rows", i, k.Rows)
			}
		}
		c.reset()
	}
}
