package mysql_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// TestWholeTables reads tables without a key: many rows, few of them, none.
func TestWholeTables(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+`; CREATE TABLE log (n INT, pad VARCHAR(200), e ENUM('a','😀','b') NOT NULL) DEFAULT CHARSET utf8mb4;
			INSERT INTO log VALUES (0, REPEAT('x', 200), 2)`)
		rows := 1
		for ; rows < 8192; rows *= 2 {
			m.MustExec(t, fmt.Sprintf("INSERT INTO %s.log SELECT n + %d, pad, e FROM %s.log", db, rows, db))
		}
		c := newChunks(t, configFor(m.Addr(), db))
		for _, x := range []struct {
			where string
			rows  int
		}{{"", rows}, {"n < 7", 7}, {"n < 0", 0}} {
			var bodies []event.RawRows
			largest := 0
			chunk, err := c.reader.ReadWhole(within(t), source.ChunkRequest{Database: db, Table: "log", Seen: c.seen, Where: x.where}, func(raw event.RawRows) error {
				bodies = append(bodies, raw)
				largest = max(largest, len(raw.Body))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[int64]bool{}
			for i := range bodies {
				bodies[i].Table = chunk.Table
			}
			chunk.Rows = bodies
			eachRow(t, chunk, func(row *event.RowChange) { seen[row.After[0].Num] = true })
			if len(seen) != x.rows || !chunk.End || chunk.High.File == nil || largest > 300<<10 {
				t.Errorf("where %q: %d rows, end %v, high %+v, largest body %d", x.where, len(seen), chunk.End, chunk.High, largest)
			}
			if x.rows > 0 && chunk.Table.Columns[2].Labels[1] != "😀" {
				t.Errorf("labels %q", chunk.Table.Columns[2].Labels)
			}
		}
	})
}

// TestWholeTableThatNobodyTakes: an error of the taker ends the reading, and the
// reader reads on afterwards.
func TestWholeTableThatNobodyTakes(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+"; CREATE TABLE log (n INT); INSERT INTO log VALUES (1)")
		c := newChunks(t, configFor(m.Addr(), db))
		full := errors.New("full")
		req := source.ChunkRequest{Database: db, Table: "log", Seen: c.seen}
		if _, err := c.reader.ReadWhole(within(t), req, func(event.RawRows) error { return full }); !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
		if chunk, err := c.reader.ReadWhole(within(t), req, func(event.RawRows) error { return nil }); err != nil || chunk.Count != 1 {
			t.Errorf("%+v, %v", chunk, err)
		}
		req.Table = "gone"
		if _, err := c.reader.ReadWhole(within(t), req, nil); resilience.CodeOf(err) != source.CodeNoTable {
			t.Errorf("%v", err)
		}
	})
}
