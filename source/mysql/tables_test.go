package mysql

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// bodiesOf returns the bodies of the recorded events of a type.
func bodiesOf(t *testing.T, typ binlog.EventType) (all [][]byte) {
	t.Helper()
	for _, ev := range eventsOf(recorded(t, "mysql")) {
		if binlog.EventType(ev[4]) == typ {
			all = append(all, ev[binlog.HeaderSize:len(ev)-4])
		}
	}
	if len(all) == 0 {
		t.Fatalf("no event of type %s was recorded", typ)
	}
	return all
}

// TestFullTableCacheKeepsMapsOfItsTransaction: the maps of a statement come
// before all of its rows, so the cache may not empty itself between them.
func TestFullTableCacheKeepsMapsOfItsTransaction(t *testing.T) {
	first := bytes.Clone(bodiesOf(t, binlog.TypeTableMap)[0])
	second := bytes.Clone(first)
	binary.LittleEndian.PutUint32(first, 7001)
	binary.LittleEndian.PutUint32(second, 7002)
	second[9]++ // another name, so another definition
	cfg := DefaultConfig()
	tables := newTables(newFilter(&cfg))
	tables.begin()
	see := func(body []byte) {
		if err := tables.see(body, event.MySQL); err != nil {
			t.Fatal(err)
		}
	}
	see(first)
	tables.bytes = maxDefinitionBytes + 1
	see(second)
	for _, id := range []uint64{7001, 7002} {
		if _, known := tables.byID(id); !known {
			t.Errorf("the map of table id %d is gone", id)
		}
	}
	if tables.begin(); len(tables.versions) != 0 || tables.bytes != 0 {
		t.Error("the cache was not emptied before the next transaction")
	}
}

// TestTableWithTheDummyId: an id that marks rows events without a table is an
// ordinary one as well, and then its rows are rows.
func TestTableWithTheDummyId(t *testing.T) {
	for _, id := range [][]byte{{0xff, 0xff, 0xff, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		tableMap, rows := bytes.Clone(bodiesOf(t, binlog.TypeTableMap)[0]), bytes.Clone(bodiesOf(t, binlog.TypeWriteRows)[0])
		copy(tableMap, id)
		copy(rows, id)
		dummy := append(bytes.Clone(id), 1, 0, 2, 0, 0)
		for _, c := range []struct {
			what   string
			events [][]byte
			rows   int
		}{
			{"with its map", [][]byte{makeEvent(binlog.TypeTableMap, tableMap), makeEvent(binlog.TypeWriteRows, rows)}, 1},
			{"without", [][]byte{makeEvent(binlog.TypeWriteRows, dummy)}, 0},
		} {
			all, _ := readAll(script(t, append([][]byte{gtidEvent(1), queryEvent("BEGIN")}, c.events...)...))
			n := 0
			for _, s := range all {
				if s.kind == event.EvRows {
					n++
				}
			}
			if n != c.rows {
				t.Errorf("id %x %s: %d rows events, want %d", id, c.what, n, c.rows)
			}
		}
	}
}
