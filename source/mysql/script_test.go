package mysql

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// script plays made-up events after a real format event.
func script(t *testing.T, events ...[]byte) *stream {
	t.Helper()
	wire, sequence := appendPackets(nil, append([]byte{0}, artificialRotate("binlog.000001", 4)...), 1)
	for _, ev := range append([][]byte{eventsOf(recorded(t, "mysql"))[0]}, events...) {
		wire, sequence = appendPackets(wire, append([]byte{0}, ev...), sequence)
	}
	return replay(t, event.MySQL, bytes.NewReader(wire), nil)
}

// patched changes the header of an event and sums it up again.
func patched(ev []byte, patch func(header []byte)) []byte {
	ev = bytes.Clone(ev[:len(ev)-4])
	patch(ev[:binlog.HeaderSize])
	return binary.LittleEndian.AppendUint32(ev, crc32.ChecksumIEEE(ev))
}

// at gives an event the end offset it would have in a log.
func at(ev []byte, end uint32) []byte {
	return patched(ev, func(h []byte) { binary.LittleEndian.PutUint32(h[13:], end) })
}

func gtidEvent(n uint64) []byte {
	body := append([]byte{1}, bytes.Repeat([]byte{0xab}, 16)...)
	return makeEvent(binlog.TypeGTID, binary.LittleEndian.AppendUint64(body, n))
}

func queryEvent(sql string) []byte {
	body := append(make([]byte, 13), 0) // no status variables, no database
	return makeEvent(binlog.TypeQuery, append(body, sql...))
}

func xaPrepareEvent(onePhase byte) []byte {
	body := append([]byte{onePhase}, make([]byte, 12)...)
	body[5] = 1
	return makeEvent(binlog.TypeXAPrepare, append(body, 'x'))
}

func TestScriptedStops(t *testing.T) {
	rows := makeEvent(binlog.TypeWriteRows, []byte{9, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 1, 0, 0, 0, 0, 0, 0})
	incident := makeEvent(binlog.TypeIncident, append([]byte{1, 0, 4}, "lost"...))
	ignorable := patched(makeEvent(99, []byte("whatever it is")), func(h []byte) { h[17] |= binlog.FlagIgnorable })
	for _, c := range []struct {
		name   string
		code   string
		ends   int // transactions that end before
		events [][]byte
	}{
		{"incident", "incident", 0, [][]byte{incident}},
		{"unknown type", "unknown_event", 0, [][]byte{makeEvent(99, []byte("what"))}},
		{"fragment of a row", "unknown_event", 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), makeEvent(binlog.TypePartialRowData, []byte("part"))}},
		{"no table map", "table_map_missing", 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), rows}},
		{"rows outside", codeUnexpected, 0, [][]byte{rows}},
		{"commit outside", codeUnexpected, 0, [][]byte{makeEvent(binlog.TypeXID, make([]byte, 8))}},
		{"begin inside", codeUnexpected, 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), queryEvent("BEGIN")}},
		{"GTID inside", codeUnexpected, 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), gtidEvent(2)}},
		{"GTID again", "gtid_repeated", 1, [][]byte{gtidEvent(1), queryEvent("FLUSH TABLES"), gtidEvent(1)}},
		{"XA prepare", codeXA, 0, [][]byte{gtidEvent(1), queryEvent("XA START 'x'"), queryEvent("XA END 'x'"), xaPrepareEvent(0)}},
		{"XA commit of who knows what", codeXA, 0, [][]byte{gtidEvent(1), queryEvent("XA COMMIT 'x'")}},
		{"XA in one phase, not ours", "connection_lost", 1, [][]byte{gtidEvent(1), queryEvent("XA START 'x'"), queryEvent("XA END 'x'"), xaPrepareEvent(1)}},
		{"XA rollback", "connection_lost", 1, [][]byte{gtidEvent(1), queryEvent("XA ROLLBACK 'x'")}},
		{"statement", "statement_format_dml", 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), queryEvent("UPDATE d.t SET a = 1")}},
		{"statement nobody can read", "statement_format_dml", 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), queryEvent("FROBNICATE d.t")}},
		{"file loaded by a statement", "statement_format_dml", 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), makeEvent(binlog.TypeBeginLoadQuery, []byte("file"))}},
		{"truncate inside", codeUnexpected, 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), queryEvent("TRUNCATE TABLE d.t")}},
		{"temporary tables inside", "connection_lost", 1, [][]byte{gtidEvent(1), queryEvent("BEGIN"), queryEvent("CREATE TEMPORARY TABLE d.t (a INT)"),
			queryEvent("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS d.t"), queryEvent("COMMIT")}},
		{"savepoint nobody set", "unknown_savepoint", 0, [][]byte{gtidEvent(1), queryEvent("BEGIN"), queryEvent("ROLLBACK TO a")}},
		{"gap", "offset_gap", 0, [][]byte{at(gtidEvent(1), 1000), at(queryEvent("BEGIN"), 1100)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := readAll(script(t, append([][]byte{ignorable}, c.events...)...))
			if resilience.CodeOf(err) != c.code {
				t.Fatalf("%v, want %s", err, c.code)
			}
			if c.code != "connection_lost" && resilience.ClassOf(err) != resilience.Fatal {
				t.Errorf("%s: %v", resilience.ClassOf(err), err)
			}
			ends := 0
			for _, s := range all {
				if s.kind == event.EvCommit || s.kind == event.EvRollback || s.kind == event.EvDDL {
					ends++
				}
			}
			if ends != c.ends {
				t.Errorf("%d transactions ended, want %d", ends, c.ends)
			}
		})
	}
}

// TestDeliveredAtTheSeamIsSkipped: what the position covers may come once
// more, before anything new, and is passed over.
func TestDeliveredAtTheSeamIsSkipped(t *testing.T) {
	st := script(t, gtidEvent(1), queryEvent("TRUNCATE TABLE d.t"), gtidEvent(2), queryEvent("BEGIN"), queryEvent("UPDATE d.t SET a = 1"),
		queryEvent("COMMIT"), gtidEvent(3), queryEvent("FLUSH TABLES"))
	for n := range uint64(2) {
		g := event.GTID{N: n + 1}
		copy(g.SID[:], bytes.Repeat([]byte{0xab}, 16))
		st.done.Add(g)
	}
	all, err := readAll(st)
	if resilience.CodeOf(err) != "connection_lost" || len(all) != 3 || all[2].gtid.N != 3 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestServerDiedInsideATransaction: a new file begins, so the rest never comes.
func TestServerDiedInsideATransaction(t *testing.T) {
	format := eventsOf(recorded(t, "mysql"))[0]
	st := script(t, gtidEvent(1), queryEvent("BEGIN"), artificialRotate("binlog.000002", 4), format, gtidEvent(1), queryEvent("FLUSH TABLES"))
	all, err := readAll(st)
	var kinds []event.EventKind
	for _, s := range all {
		kinds = append(kinds, s.kind)
	}
	want := []event.EventKind{event.EvReset, event.EvBegin, event.EvReset, event.EvBegin, event.EvDDL}
	if resilience.CodeOf(err) != "connection_lost" || len(kinds) != len(want) {
		t.Fatalf("%v, %v", kinds, err)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Fatalf("%v, want %v", kinds, want)
		}
	}
}
