package binlog

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
)

// recordedPieces are the rows events of a recorded matrix, one piece each.
func recordedPieces(t testing.TB, name string) (pieces []*event.Piece) {
	t.Helper()
	f, events := splitLog(t, gunzipped(t, matrixPath(name+".binlog.gz")))
	tables := map[uint64]*event.Table{}
	for _, e := range events {
		switch {
		case e.Type == TypeTableMap:
			head, err := ParseTableMap(e.body)
			if err != nil {
				t.Fatal(err)
			}
			if tables[head.ID], err = CompileTable(e.body, TableOptions{Flavor: flavorOf(f)}); err != nil {
				t.Fatal(err)
			}
		case e.Type.IsRows():
			pieces = append(pieces, rowsPiece(t, e, tables))
		}
	}
	return pieces
}

// drain decodes all rows of the pieces.
func drain(t testing.TB, pieces []*event.Piece, r *event.RowReader) (rows int) {
	for _, p := range pieces {
		for _, err := range p.Rows(r) {
			if err != nil {
				t.Fatal(err)
			}
			rows++
		}
	}
	return rows
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		pieces := recordedPieces(t, flavor.String())
		var r event.RowReader
		if rows := drain(t, pieces, &r); rows < 2000 {
			t.Errorf("%s: %d rows in the record", flavor, rows)
		}
		if n := testing.AllocsPerRun(3, func() { drain(t, pieces, &r) }); n != 0 {
			t.Errorf("%s: %v allocations in steady state", flavor, n)
		}
		if n := testing.AllocsPerRun(3, func() { countAll(t, pieces) }); n != 0 {
			t.Errorf("%s: counting allocates %v times", flavor, n)
		}
	}
}

func countAll(t testing.TB, pieces []*event.Piece) {
	for _, p := range pieces {
		raw := &p.Events[0]
		if _, err := raw.Table.Layout.Count(raw.Type, raw.Body); err != nil {
			t.Fatal(err)
		}
	}
}
