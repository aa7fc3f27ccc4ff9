package txbuffer

import (
	"context"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// bigTx is a transaction of events with so many rows each, between two others.
func bigTx(s *script, rows []int, size int) []event.Event {
	a, b := fakeTable("a"), fakeTable("b")
	small := func(n int) []event.Event {
		return []event.Event{s.begin(), s.rows(a, body(20, n, 1)), s.end(event.EvCommit)}
	}
	events := append([]event.Event{{Kind: event.EvHeartbeat, Coord: s.here()}}, s.begin())
	for i, n := range rows {
		table := a
		if i%3 == 0 {
			table = b
		}
		events = append(events, s.rows(table, body(size, n, uint64(i))))
	}
	return append(append(events, s.end(event.EvCommit)), small(3)...)
}

// deliver feeds the events and returns every row that comes out, by number, of
// each transaction in order. The ring is large enough for nobody to wait.
func deliver(t *rapid.T, dir string, from event.Position, share int64, events []event.Event) (txs []event.Tx, rows [][]uint64) {
	cfg := smallConfig(dir)
	cfg.RingBytes, cfg.MaxTxBytes = 1<<20, cfg.blockCost()*share
	ring, err := NewRing(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close(nil)
	asm := NewAssembler(from, ring)
	for _, ev := range events {
		if _, err := asm.Step(context.Background(), &ev); err != nil {
			t.Fatal(err)
		}
	}
	ring.CloseSoft()
	var r event.RowReader
	for inside := false; ; {
		p, err := ring.Next(context.Background())
		if err == io.EOF {
			return txs, rows
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := !inside && p.Tx.Done == 0; p.First != want {
			t.Fatalf("transaction %s, %d rows done: First is %v", p.Tx.Key, p.Tx.Done, p.First)
		}
		if !inside {
			txs, rows = append(txs, *p.Tx), append(rows, nil)
			txs[len(txs)-1].Tables = append([]event.TableCount(nil), p.Tx.Tables...)
		}
		inside = !p.Last
		for c, err := range p.Rows(&r) {
			if err != nil {
				t.Fatal(err)
			}
			rows[len(rows)-1] = append(rows[len(rows)-1], c.Ordinal)
		}
		p.Release()
	}
}

// TestPartialTransactionGoesOn: from whatever row on, in memory or through the
// disk, the rest comes, each row once, and the description is that of the whole.
func TestPartialTransactionGoesOn(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 40).Draw(t, "rows of the events")
		size := rapid.IntRange(10, 400).Draw(t, "size")
		events := bigTx(newScript(), counts, size)
		whole, all := deliver(t, dir, start, 30, events)
		big := &whole[1]
		if big.Rows == 0 {
			t.Skip("no rows")
		}
		from := start.Clone()
		from.Partial = big.Part(uint64(rapid.IntRange(1, int(big.Rows)).Draw(t, "done")))
		share := int64(rapid.SampledFrom([]int{1, 30}).Draw(t, "share"))
		txs, rest := deliver(t, dir, from, share, events)
		if len(txs) != len(whole) || txs[1].Done != from.Partial.Rows || txs[2].Done != 0 {
			t.Fatalf("%d transactions, %d and %d rows done", len(txs), txs[1].Done, txs[2].Done)
		}
		for i := range txs {
			if textOf(&txs[i]) != textOf(&whole[i]) {
				t.Fatalf("transaction reads\n%s, want\n%s", textOf(&txs[i]), textOf(&whole[i]))
			}
			want := all[i][txs[i].Done:]
			if len(rest[i]) != len(want) {
				t.Fatalf("transaction %d: %d rows of %d behind %d", i, len(rest[i]), len(all[i]), txs[i].Done)
			}
			for j := range want {
				if rest[i][j] != want[j] {
					t.Fatalf("transaction %d: row %d where %d is due", i, rest[i][j], want[j])
				}
			}
		}
	})
}

func TestAnotherTransactionThanTheOneDoneInPartStops(t *testing.T) {
	events := bigTx(newScript(), []int{2, 3, 4}, 50)
	whole := event.Tx{Key: "0-1-1", Rows: 9, Tables: []event.TableCount{{Database: "shop", Table: "b", Rows: 2}, {Database: "shop", Table: "a", Rows: 7}}}
	for name, tt := range map[string]struct {
		tx   event.Tx
		hint string
	}{
		"another key": {event.Tx{Key: "0-1-2", Tables: whole.Tables}, "source's log"},
		"other rows":  {event.Tx{Key: whole.Key, Tables: whole.Tables[:1]}, "tables.include"},
		"the same":    {whole, ""},
	} {
		from := start.Clone()
		from.Partial = tt.tx.Part(5)
		store := &nowhere{}
		asm := NewAssembler(from, store)
		var err error
		for i := 0; i < len(events) && err == nil; i++ {
			ev := events[i]
			_, err = asm.Step(context.Background(), &ev)
		}
		if tt.hint == "" {
			if err != nil || !asm.Position().Partial.IsZero() {
				t.Errorf("%s: %v, %+v", name, err, asm.Position().Partial)
			}
			continue
		}
		if resilience.CodeOf(err) != "partial_transaction_changed" || resilience.ClassOf(err) != resilience.Fatal {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(resilience.HintOf(err), tt.hint) {
			t.Errorf("%s: the hint is %q", name, resilience.HintOf(err))
		}
	}
}
