package mysql_test

import (
	"fmt"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// TestPlacesOfAnotherOrder: behind a place of a table's key there are other rows
// once the key is ordered otherwise, though its columns have the same names and
// its values fit: such a place is refused, and the table can be read from its start.
func TestPlacesOfAnotherOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		const text = "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"
		for i, x := range []struct{ kind, values, ddl string }{
			{text, "('B'), ('a'), ('c')", "MODIFY k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL"},
			{text, "('B'), ('a'), ('c')", "CONVERT TO CHARACTER SET latin1"},
			{text, "('B'), ('a'), ('c')", "DROP PRIMARY KEY, ADD PRIMARY KEY (k DESC)"},
			{"INT NOT NULL", "(1), (2), (3)", "DROP PRIMARY KEY, ADD PRIMARY KEY (k DESC)"},
			{"INT NOT NULL", "(1), (2), (3)", "MODIFY k BIGINT NOT NULL"},
			{"ENUM('x', 'y', 'z') NOT NULL", "('x'), ('y'), ('z')", "MODIFY k ENUM('z', 'y', 'x') NOT NULL"},
			{"DATETIME NOT NULL", "('2026-01-01'), ('2026-01-02'), ('2026-01-03')", "MODIFY k TIMESTAMP NOT NULL"},
		} {
			table := fmt.Sprintf("t%d", i)
			m.MustExec(t, fmt.Sprintf("USE %[1]s; CREATE TABLE %[2]s (k %[3]s, v INT, PRIMARY KEY (k)); INSERT INTO %[2]s (k) VALUES %[4]s", db, table, x.kind, x.values))
			c := newChunks(t, configFor(m.Addr(), db))
			req := source.ChunkRequest{Database: db, Table: table, Rows: 1}
			first := c.read(req)
			req.After, req.Until, req.Fresh = first.Last, first.Max, true
			m.MustExec(t, "ALTER TABLE "+db+"."+table+" ADD w INT, ALTER v SET DEFAULT 3")
			if next := c.read(req); next.Count != 1 {
				t.Errorf("%s: %d rows behind the first, though the key is the same", x.ddl, next.Count)
			}
			m.MustExec(t, "ALTER TABLE "+db+"."+table+" "+x.ddl)
			c.failsToRead(req, resilience.Fatal, source.CodePlace)
			req.After, req.Until, req.Rows = nil, nil, 100
			if again := c.read(req); again.Count != 3 {
				t.Errorf("%s: %d rows from the start", x.ddl, again.Count)
			}
		}
	})
}

// TestKeysThatComeAndGo: a table without a key is not read in chunks, nor one
// with a key as a whole.
func TestKeysThatComeAndGo(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+"; CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
		c := newChunks(t, configFor(m.Addr(), db))
		req := source.ChunkRequest{Database: db, Table: "t", Rows: 1, Fresh: true}
		req.After = c.read(req).Last
		m.MustExec(t, "ALTER TABLE "+db+".t DROP PRIMARY KEY")
		c.failsToRead(req, resilience.Fatal, source.CodePlace)
		req.After = nil
		c.failsToRead(req, resilience.Fatal, source.CodeNoKey)
		whole := source.ChunkRequest{Database: db, Table: "t", Seen: c.seen}
		take := func(event.RawRows) error { return nil }
		if chunk, err := c.reader.ReadWhole(within(t), whole, take); err != nil || chunk.Count != 2 {
			t.Errorf("%d rows: %v", chunk.Count, err)
		}
		m.MustExec(t, "ALTER TABLE "+db+".t ADD PRIMARY KEY (id)")
		if _, err := c.reader.ReadWhole(within(t), whole, take); resilience.CodeOf(err) != source.CodePlace {
			t.Errorf("a table with a key is read as a whole: %v", err)
		}
		c.read(req)
	})
}
