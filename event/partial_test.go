package event

import (
	"encoding/binary"
	fnv64 "hash/fnv"
	"testing"
)

func TestPartialIsOfOneTransactionAndItsRows(t *testing.T) {
	tx := &Tx{Key: "a:7", Rows: 30, Tables: []TableCount{{"shop", "orders", 20}, {"shop", "lines", 10}}}
	part := tx.Part(12)
	again := &Tx{Key: "a:7", Rows: 30, Tables: []TableCount{{"shop", "orders", 20}, {"shop", "lines", 10}}}
	if silent := (&Tx{Key: "a:7", Silent: true}); !silent.Part(12).IsZero() {
		t.Error("a silent transaction is done in part")
	}
	if !part.Of(again) || part.IsZero() || part.Rows != 12 {
		t.Errorf("%+v is not of the same transaction", part)
	}
	for name, other := range map[string]*Tx{
		"another key":    {Key: "a:8", Rows: 30, Tables: tx.Tables},
		"a table less":   {Key: "a:7", Rows: 20, Tables: tx.Tables[:1]},
		"other counts":   {Key: "a:7", Rows: 30, Tables: []TableCount{{"shop", "orders", 10}, {"shop", "lines", 20}}},
		"other order":    {Key: "a:7", Rows: 30, Tables: []TableCount{{"shop", "lines", 10}, {"shop", "orders", 20}}},
		"other names":    {Key: "a:7", Rows: 30, Tables: []TableCount{{"shop", "orderslines", 20}, {"shop", "", 10}}},
		"other database": {Key: "a:7", Rows: 30, Tables: []TableCount{{"shopo", "rders", 20}, {"shop", "lines", 10}}},
		"fewer rows":     {Key: "a:7", Rows: 11, Tables: tx.Tables},
	} {
		if part.Of(other) {
			t.Errorf("%s: taken for the same", name)
		}
	}
}

// TestPrintIsStable: it is stored, so it may never change.
func TestPrintIsStable(t *testing.T) {
	h := fnv64.New64a()
	for _, s := range []string{"shop", "orders"} {
		h.Write(binary.LittleEndian.AppendUint64([]byte(s), uint64(len(s))))
	}
	h.Write(binary.LittleEndian.AppendUint64(nil, 20))
	tx := &Tx{Key: "a:7", Tables: []TableCount{{"shop", "orders", 20}}}
	if got := tx.Part(1).Print; got != h.Sum64() {
		t.Errorf("print %d, want %d", got, h.Sum64())
	}
}

func TestPartialEndsWithItsTransaction(t *testing.T) {
	p := Position{Seq: 4, Partial: Partial{Rows: 12, Tx: "a:5"}}
	p.Advance(Coord{Offset: 99, Seq: 4})
	if p.Partial.Rows != 12 {
		t.Error("a silent move forgets what is done of the next transaction")
	}
	for _, c := range []struct {
		seq, row uint64
		want     bool
	}{{4, 1000, true}, {5, 12, true}, {5, 13, false}, {6, 1, false}} {
		if got := p.Covers(c.seq, c.row); got != c.want {
			t.Errorf("row %d of transaction %d is covered: %v", c.row, c.seq, got)
		}
	}
	p.Advance(Coord{Offset: 100, Seq: 5})
	if !p.Partial.IsZero() || p.Covers(6, 1) || !p.Covers(5, 13) {
		t.Errorf("after the end: %+v", p.Partial)
	}
}
