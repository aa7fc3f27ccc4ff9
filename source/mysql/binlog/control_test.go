package binlog

import (
	"encoding/binary"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

func TestRotate(t *testing.T) {
	body := append(binary.LittleEndian.AppendUint64(nil, 5<<32), "binlog.000002"...)
	if r, err := ParseRotate(body); err != nil || r != (Rotate{Next: "binlog.000002", Offset: 5 << 32}) {
		t.Error(r, err)
	}
	if _, err := ParseRotate(body[:8]); resilience.CodeOf(err) != CodeMalformed {
		t.Error(err)
	}
}

func TestDummyRows(t *testing.T) {
	for id, want := range map[uint64]bool{dummyTable24: true, dummyTable48: true, 7: false} {
		body := binary.LittleEndian.AppendUint64(nil, id|1<<48)
		r, err := ParseRows(TypeWriteRowsV1, append(body, 0))
		if err != nil || IsDummyTable(r.TableID) != want {
			t.Error(id, r, err)
		}
	}
}

// TestGTIDOfOlderServers cuts a GTID event where servers before 8.0 and before
// 5.7 ended it.
func TestGTIDOfOlderServers(t *testing.T) {
	body := append([]byte{0}, make([]byte, 16)...)
	body = binary.LittleEndian.AppendUint64(body, 77)
	g, err := ParseGTID(TypeGTID, body)
	if err != nil || g.GTID.N != 77 || g.LastCommitted != 0 {
		t.Error(g, err)
	}
	body = append(body, 2)
	body = binary.LittleEndian.AppendUint64(body, 3)
	body = binary.LittleEndian.AppendUint64(body, 4)
	if g, err = ParseGTID(TypeGTID, body); err != nil || g.SequenceNumber != 4 || g.Immediate != 0 {
		t.Error(g, err)
	}
	// An original commit time of its own follows when the highest bit is set.
	body = append(body, 1, 0, 0, 0, 0, 0, 0x80, 9, 0, 0, 0, 0, 0, 0, 100)
	if g, err = ParseGTID(TypeGTID, body); err != nil || g.Immediate != 1 || g.Original != 9 || g.Length != 100 {
		t.Error(g, err)
	}
	if g, err = ParseGTID(TypeAnonymousGTID, body); err != nil || !g.GTID.IsZero() {
		t.Error(g, err)
	}
}

func TestStatementKinds(t *testing.T) {
	for kind, want := range map[StatementKind]event.DDLKind{
		StatementTruncate: event.DDLTruncate, StatementDropTable: event.DDLDrop, StatementDropDatabase: event.DDLDrop,
		StatementAlterTable: event.DDLAlter, StatementRenameTable: event.DDLRename, StatementCreateTable: event.DDLCreate,
		StatementOtherDDL: event.DDLOther,
	} {
		if kind.DDL() != want {
			t.Errorf("%s: DDL of kind %d", kind, kind.DDL())
		}
	}
}
