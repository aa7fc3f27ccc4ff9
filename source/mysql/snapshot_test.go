package mysql_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// chunks reads tables of one database in chunks.
type chunks struct {
	t      testing.TB
	source *mysql.Source
	reader source.ChunkReader
	seen   event.Position
}

func newChunks(t testing.TB, c mysql.Config) *chunks {
	t.Helper()
	s := mysql.New(c, "test", t.Name())
	seen, err := s.Start(within(t))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.OpenReader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return &chunks{t: t, source: s, reader: r, seen: seen}
}

func (c *chunks) read(req source.ChunkRequest) source.Chunk {
	c.t.Helper()
	req.Seen = c.seen
	if req.Rows == 0 {
		req.Rows = 1000
	}
	if req.Bytes == 0 {
		req.Bytes = 1 << 20
	}
	chunk, err := c.reader.Read(within(c.t), req)
	if err != nil {
		c.t.Fatalf("%+v: %v", req, err)
	}
	return chunk
}

// all reads a table to its end and returns the first column of every row.
func (c *chunks) all(req source.ChunkRequest) (ids []int64, n int) {
	c.t.Helper()
	for n = 1; ; n++ {
		chunk := c.read(req)
		ids = append(ids, firstColumn(c.t, chunk)...)
		if req.After == nil {
			req.Until = chunk.Max
		}
		if req.After = chunk.Last; chunk.End {
			return ids, n
		}
	}
}

// eachRow decodes the rows of a chunk and checks its counts.
func eachRow(t testing.TB, chunk source.Chunk, each func(*event.RowChange)) {
	t.Helper()
	var r event.RowReader
	rows := 0
	for _, raw := range chunk.Rows {
		n, err := raw.Table.Layout.Count(raw.Type, raw.Body)
		if err != nil || n != raw.Rows || raw.Op != event.Read {
			t.Fatalf("%d rows of operation %s, counted %d: %v", raw.Rows, raw.Op, n, err)
		}
		p := event.Piece{Events: []event.RawRows{raw}}
		for row, err := range p.Rows(&r) {
			if err != nil {
				t.Fatal(err)
			}
			each(row)
			rows++
		}
	}
	if rows != chunk.Count {
		t.Fatalf("%d rows in a chunk of %d", rows, chunk.Count)
	}
}

func firstColumn(t testing.TB, chunk source.Chunk) (ids []int64) {
	t.Helper()
	eachRow(t, chunk, func(row *event.RowChange) { ids = append(ids, row.After[0].Num) })
	return ids
}

// TestChunksOfIntegers reads a table in chunks of few rows, with holes in its key.
func TestChunksOfIntegers(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "CREATE TABLE "+db+".t (id BIGINT PRIMARY KEY, v VARCHAR(20))")
		var want []int64
		var values []string
		for i := int64(-300); i < 3000; i += 3 {
			want = append(want, i)
			values = append(values, fmt.Sprintf("(%d,'v%d')", i, i))
		}
		m.MustExec(t, "INSERT INTO "+db+".t VALUES "+strings.Join(values, ","))
		c := newChunks(t, configFor(m.Addr(), db))
		req := source.ChunkRequest{Database: db, Table: "t", Rows: 100}
		got, n := c.all(req)
		if !slices.Equal(got, want) {
			t.Errorf("read %v", got)
		}
		if n != 12 {
			t.Errorf("%d chunks", n)
		}
		req.Where = "id % 2 = 0 -- a comment"
		if got, _ = c.all(req); len(got) != len(want)/2 {
			t.Errorf("with a condition: %d rows", len(got))
		}
	})
}

// TestTables lists the captured tables with the keys that chunks are cut by.
func TestTables(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+`;
			CREATE TABLE two (b INT, a INT, PRIMARY KEY (a, b), UNIQUE (b));
			CREATE TABLE uniq (x INT NOT NULL, y INT NOT NULL, z INT, UNIQUE wide (x, y), UNIQUE nullable (z), UNIQUE short (y));
			CREATE TABLE prefixed (s VARCHAR(20) NOT NULL, UNIQUE (s(5)));
			CREATE TABLE hidden (id INT PRIMARY KEY);
			CREATE TABLE labels (e ENUM('a','b'), s SET('x','y'), left_out INT, n INT NOT NULL, m INT NOT NULL, PRIMARY KEY (e, s), UNIQUE (left_out, e), UNIQUE (n, m, e));
			CREATE TABLE hash (id INT PRIMARY KEY) ENGINE=MEMORY;
			CREATE TABLE keyless (id INT, KEY (id));
			CREATE VIEW v AS SELECT * FROM two`)
		c := configFor(m.Addr(), db)
		c.Tables.Exclude = []string{db + ".hid*"}
		c.Columns.Exclude = []string{"*.*.left_out"}
		list, err := mysql.New(c, "test", t.Name()).Tables(within(t))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range list {
			got = append(got, x.Name+strings.Join(x.Key, ","))
		}
		if want := []string{"hash", "keyless", "labelsn,m,e", "prefixed", "twoa,b", "uniqy"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestConditionOnFewRows: a condition that few rows meet gets on through the
// table in stretches, each chunk with its place.
func TestConditionOnFewRows(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+`; CREATE TABLE digits (d INT PRIMARY KEY); INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
			CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t SELECT n, n FROM `+numbers)
		c := newChunks(t, configFor(m.Addr(), db))
		for where, want := range map[string][]int64{
			"v IN (0, 77, 1500, 1999)": {0, 77, 1500, 1999}, "v = 5": {5}, "FALSE": nil, "v BETWEEN 98 AND 102 OR v = 1001": {98, 99, 100, 101, 102, 1001},
		} {
			got, n := c.all(source.ChunkRequest{Database: db, Table: "t", Where: where, Rows: 3})
			if !slices.Equal(got, want) {
				t.Errorf("%s: read %v in %d chunks", where, got, n)
			}
		}
	})
}

// TestLabelsThatTheServerDoesNotTell: labels of characters that the lists of
// the server cannot show are learned from the rows.
func TestLabelsThatTheServerDoesNotTell(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		r := readBoth(t, m, db, func(exec func(string)) {
			exec("CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a','😀','?','b😀?','c?') NOT NULL, s SET('x','😀','y','?') NOT NULL)")
			exec("INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 7), (4, 4, 15), (5, 5, 8), (6, 2, 13)")
		})
		last := r.chunked["t"][len(r.chunked["t"])-1].Table
		r.sameRecords("t", r.records(r.streamed["t"]), r.records(r.chunked["t"]))
		r.sameTable(r.streamed["t"][0].Table, last)
	})
}

// TestReadsAroundDDL changes a table between two chunks, told and untold: rows
// are read under the definition they have, and the version of a table is the
// same for all readers until it changes.
func TestReadsAroundDDL(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		for i, ddl := range []string{
			"ADD n INT FIRST", "DROP w", "MODIFY v BIGINT UNSIGNED", "CHANGE v vv INT", "CHANGE id ident BIGINT", "MODIFY v VARCHAR(20)",
			"ADD n INT NOT NULL, DROP PRIMARY KEY, ADD PRIMARY KEY (v)",
		} {
			name := fmt.Sprintf("t%d", i)
			m.MustExec(t, fmt.Sprintf("USE %s; CREATE TABLE %[2]s (id INT PRIMARY KEY, v INT, w INT, f MEDIUMTEXT); INSERT INTO %[2]s VALUES (1, 11, 21, ''), (2, 12, 22, REPEAT('x', 600000)), (3, 13, 23, '')", db, name))
			c := newChunks(t, configFor(m.Addr(), db))
			req := source.ChunkRequest{Database: db, Table: name, Rows: 1}
			first := c.read(req)
			req.After = first.Last
			if open := m.MustQuery(t, "SELECT trx_id FROM information_schema.INNODB_TRX"); len(open) > 0 {
				t.Errorf("%d transactions are open between chunks", len(open))
			}
			m.MustExec(t, "SET lock_wait_timeout = 5; ALTER TABLE "+db+"."+name+" "+ddl)
			c.readAfterDDL(req, ddl, first.Table)
		}
	})
}

func (c *chunks) readAfterDDL(req source.ChunkRequest, ddl string, before *event.Table) {
	c.t.Helper()
	if strings.Contains(ddl, "CHANGE id") || strings.Contains(ddl, "PRIMARY KEY") {
		req.Fresh = true
		c.failsToRead(req, resilience.Fatal, source.CodePlace)
		req.After = nil
		c.read(req)
		return
	}
	var last *event.Table
	for _, fresh := range []bool{false, true} {
		req.Fresh = fresh
		chunk := c.read(req)
		eachRow(c.t, chunk, func(row *event.RowChange) {
			for i, col := range chunk.Table.Columns {
				want := map[string]string{"id": "2 ", "v": "12 ", "vv": "12 ", "w": "22 ", "n": "0 ", "f": "0 " + strings.Repeat("x", 600000)}[col.Name]
				if col.Name == "v" && col.Type == event.TypeText {
					want = "0 12"
				}
				if got := fmt.Sprintf("%d %s", row.After[i].Num, row.After[i].Bytes); got != want {
					c.t.Errorf("%s: column %s is %.20q, want %.20q", ddl, col.Name, got, want)
				}
			}
		})
		last = chunk.Table
	}
	if last == before {
		c.t.Errorf("%s: the version of the table is the old one", ddl)
	}
	other, err := c.source.OpenReader(within(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	defer other.Close()
	req.Seen, req.Rows, req.Bytes = c.seen, 1, 1000
	if chunk, err := other.Read(within(c.t), req); err != nil || chunk.Table != last {
		c.t.Errorf("%s: another reader has another version of the table: %v", ddl, err)
	}
}

// TestRowsOverAPacket reads rows that take several packets, and stops at one
// that is larger than rows may be.
func TestRowsOverAPacket(t *testing.T) {
	onPrivate(t, map[string]string{"max_allowed_packet": "64M"}, func(t *testing.T, m *testenv.MySQL) {
		m.MustExec(t, "INSERT INTO d.t VALUES (1, 'small'), (2, REPEAT('x', 17000000)), (3, 'small'), (4, REPEAT('y', 16777201))")
		cfg := configFor(m.Addr(), "d")
		c := newChunks(t, cfg)
		var got []string
		chunk := c.read(source.ChunkRequest{Database: "d", Table: "t", Bytes: 64 << 20})
		eachRow(t, chunk, func(row *event.RowChange) {
			v := row.After[1].Bytes
			got = append(got, fmt.Sprintf("%d %d %c%c", row.After[0].Num, len(v), v[0], v[len(v)-1]))
		})
		if want := []string{"1 5 sl", "2 17000000 xx", "3 5 sl", "4 16777201 yy"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		first := c.read(source.ChunkRequest{Database: "d", Table: "t", Rows: 1})
		cfg.MaxRowBytes = 16 << 20
		newChunks(t, cfg).failsToRead(source.ChunkRequest{Database: "d", Table: "t", After: first.Last}, resilience.Fatal, "row_too_large")
	})
}
