package snapshot

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
)

// traffic are transactions with some rows of orders each.
func traffic(n, rows int) []*event.Piece {
	table := eventtest.Orders()
	var all []*event.Piece
	for i := range n {
		var r []eventtest.Row
		for j := range rows {
			r = append(r, eventtest.Update(table, row(int64(j), "a"), row(int64(j), "b")))
		}
		all = append(all, eventtest.Piece(eventtest.Tx(uint64(i+2)), r...))
	}
	return all
}

// windows are the states in which a table may be while its rows pass.
var windows = map[string]func(m *Merger){
	"NoWindow": func(*Merger) {},
	"Other":    func(m *Merger) { m.Open("shop", "users", byID, nil) },
	"Reading":  func(m *Merger) { m.Open("shop", "orders", byID, nil) },
	"Waiting": func(m *Merger) {
		m.Read(m.Open("shop", "orders", byID, nil), chunkOf(eventtest.Orders(), 1<<40, row(1, "")))
	},
	"WaitingALot": func(m *Merger) {
		var w *Window
		for i := range int64(64) {
			w = m.Open("shop", "orders", byID, w)
			m.Read(w, chunkOf(eventtest.Orders(), 1<<40, row(i, "")))
		}
	},
}

// TestPassingDoesNotAllocate: not even for touched rows, once their keys are known.
func TestPassingDoesNotAllocate(t *testing.T) {
	pieces := traffic(100, 20)
	for name, open := range windows {
		m := NewMerger(startAt(1), plenty)
		open(m)
		pass := func() {
			for _, p := range pieces {
				m.Pass(p)
				m.Next()
			}
		}
		if n := testing.AllocsPerRun(5, pass); n > 0 {
			t.Errorf("%s: %v allocations for 2000 rows", name, n)
		}
	}
}

// BenchmarkPass tells what a transaction of 20 rows costs.
func BenchmarkPass(b *testing.B) {
	pieces := traffic(100, 20)
	for name, open := range windows {
		b.Run(name, func(b *testing.B) {
			m := NewMerger(startAt(1), plenty)
			open(m)
			b.ReportAllocs()
			for i := range b.N {
				m.Pass(pieces[i%len(pieces)])
				m.Next()
			}
		})
	}
}

// BenchmarkMerge tells what a chunk of 1000 rows costs of which one was touched.
func BenchmarkMerge(b *testing.B) {
	table := eventtest.Orders()
	var rows [][]event.Value
	for i := range int64(1000) {
		rows = append(rows, row(i, "a note"))
	}
	c := chunkOf(table, 1, rows...)
	m := NewMerger(startAt(1), plenty)
	for name, touched := range map[string]bool{"Touched": true, "Untouched": false} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				w := m.Open("shop", "orders", byID, nil)
				if touched {
					p := eventtest.Piece(eventtest.Tx(2), eventtest.Delete(table, rows[500]...))
					m.Pass(p)
				}
				c.High.Offset = m.End().Offset
				m.Read(w, c)
				if o, ok := m.Next(); !ok || o.Dropped > 1 {
					b.Fatal("not merged")
				}
			}
		})
	}
}
