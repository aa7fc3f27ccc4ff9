package mysql_test

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/format/debezium"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/internal/testenv/typematrix"
	"github.com/cdcd-io/cdcd/source"
)

// roads reads the same tables by the stream and in chunks.
type roads struct {
	t        testing.TB
	flavor   event.Flavor
	streamed map[string][]event.RawRows
	chunked  map[string][]event.RawRows
}

// readBoth runs write, then reads the rows it inserted by both roads, from
// every table of the database.
func readBoth(t *testing.T, m *testenv.MySQL, db string, write func(exec func(sql string))) *roads {
	t.Helper()
	c := configFor(m.Addr(), db)
	c.Columns.Exclude = []string{db + ".*.left_out"}
	stream := newReader(t, c)
	conn, err := m.Conn(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Execute(sql); err != nil {
			t.Fatalf("%.200s: %v", sql, err)
		}
	}
	exec("SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+03:00'")
	write(exec)
	exec("CREATE TABLE the_end (id INT PRIMARY KEY)")
	exec("INSERT INTO the_end VALUES (1)")
	r := &roads{t: t, flavor: event.MySQL, streamed: streamedRows(t, stream), chunked: map[string][]event.RawRows{}}
	if m.Flavor() == testenv.MariaDB118 {
		r.flavor = event.MariaDB
	}
	reader := newChunks(t, c)
	tables, err := reader.source.Tables(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		r.chunked[table.Name] = reader.rows(source.ChunkRequest{Database: db, Table: table.Name, Rows: 3})
	}
	return r
}

// rows reads a table to its end.
func (c *chunks) rows(req source.ChunkRequest) (all []event.RawRows) {
	c.t.Helper()
	for {
		chunk := c.read(req)
		all = append(all, chunk.Rows...)
		if req.After == nil {
			req.Until = chunk.Max
		}
		if req.After = chunk.Last; chunk.End {
			return all
		}
	}
}

// streamedRows reads the stream up to the table that is called the_end.
func streamedRows(t testing.TB, r *reader) map[string][]event.RawRows {
	t.Helper()
	all := map[string][]event.RawRows{}
	ctx := within(t)
	if err := r.open(ctx); err != nil {
		t.Fatal(err)
	}
	for all["the_end"] == nil {
		var ev event.Event
		if err := r.stream.Next(ctx, &ev); err != nil {
			t.Fatal(err)
		}
		if ev.Kind != event.EvRows {
			continue
		}
		raw := ev.Raw
		raw.Body = bytes.Clone(raw.Body)
		var err error
		if raw.Rows, err = raw.Table.Layout.Count(raw.Type, raw.Body); err != nil {
			t.Fatal(err)
		}
		all[raw.Table.Name] = append(all[raw.Table.Name], raw)
	}
	return all
}

// compare wants every table to be the same by both roads: its definition, its
// values and what becomes of them.
func (r *roads) compare() {
	r.t.Helper()
	for name, streamed := range r.streamed {
		chunked := r.chunked[name]
		if len(chunked) == 0 {
			r.t.Errorf("%s has no rows in chunks", name)
			continue
		}
		if !r.sameTable(streamed[0].Table, chunked[0].Table) {
			continue
		}
		r.sameValues(name, images(r.t, streamed), images(r.t, chunked))
		r.sameRecords(name, r.records(streamed), r.records(chunked))
	}
}

func (r *roads) sameTable(s, c *event.Table) bool {
	if s.Database != c.Database || s.Name != c.Name || len(s.Columns) != len(c.Columns) || fmt.Sprint(s.Key) != fmt.Sprint(c.Key) {
		r.t.Errorf("%s: %d columns, key %v in the stream, %d columns, key %v in chunks", s.Name, len(s.Columns), s.Key, len(c.Columns), c.Key)
		return false
	}
	for i := range s.Columns {
		if !reflect.DeepEqual(s.Columns[i], c.Columns[i]) {
			r.t.Errorf("%s: column\n%+v in the stream,\n%+v in chunks", s.Name, s.Columns[i], c.Columns[i])
		}
	}
	return true
}

// images are the rows that were inserted, as values with memory of their own.
func images(t testing.TB, rows []event.RawRows) (all [][]event.Value) {
	t.Helper()
	var r event.RowReader
	p := event.Piece{Events: rows}
	for row, err := range p.Rows(&r) {
		if err != nil {
			t.Fatal(err)
		}
		image := make([]event.Value, len(row.After))
		for i, v := range row.After {
			if v.Bytes != nil {
				v.Bytes = append([]byte{}, v.Bytes...)
			}
			image[i] = v
		}
		all = append(all, image)
	}
	return all
}

func (r *roads) sameValues(name string, s, c [][]event.Value) {
	if len(s) != len(c) {
		r.t.Errorf("%s: %d rows in the stream, %d in chunks", name, len(s), len(c))
		return
	}
	for i := range s {
		for j := range s[i] {
			if !reflect.DeepEqual(s[i][j], c[i][j]) {
				r.t.Errorf("%s row %d column %d:\n%.300s in the stream,\n%.300s in chunks", name, i, j, show(s[i][j]), show(c[i][j]))
			}
		}
	}
}

func show(v event.Value) string {
	return fmt.Sprintf("kind %d scale %d num %d bytes %q", v.Kind, v.Scale, v.Num, v.Bytes)
}

// records renders rows as Debezium does rows that were read.
func (r *roads) records(rows []event.RawRows) (all []string) {
	r.t.Helper()
	cfg := debezium.DefaultConfig()
	cfg.InvalidDates = "null"
	enc := debezium.New(cfg, debezium.Deps{Source: "s", Flavor: r.flavor, Routes: &format.Routes{}})
	out := emitter(func(rec *format.Record) {
		all = append(all, fmt.Sprintf("%s %s", rec.Key, ofItsRoad.ReplaceAll(rec.Value, nil)))
	})
	ordinal := uint64(0)
	for _, raw := range rows {
		raw.Op, raw.Pos, raw.Time = event.Read, 0, 0
		raw.Ordinal, raw.TableOrdinal = ordinal, ordinal
		ordinal += uint64(raw.Rows)
		tx := &event.Tx{
			Begin: event.Coord{File: &event.LogFile{Name: "f"}}, End: event.Coord{File: &event.LogFile{Name: "f"}}, Commit: time.Unix(1, 0),
			Received: time.Unix(1, 0), Silent: true,
		}
		if err := enc.Encode(&event.Piece{Tx: tx, Events: []event.RawRows{raw}, First: true, Last: true}, out); err != nil {
			r.t.Errorf("%s: %v", raw.Table.Name, err)
		}
	}
	return all
}

// ofItsRoad is what tells when a record was rendered and where its row stood.
var ofItsRoad = regexp.MustCompile(`"(ts_ms|ts_us|ts_ns|row)":[0-9]+,?`)

type emitter func(*format.Record)

func (e emitter) Emit(r *format.Record) error { e(r); return nil }

func (r *roads) sameRecords(name string, s, c []string) {
	for i := range min(len(s), len(c)) {
		if s[i] != c[i] {
			r.t.Errorf("%s record %d:\n%.500s in the stream,\n%.500s in chunks", name, i, s[i], c[i])
		}
	}
}

// TestChunksAreTheStream reads every type with the edges of its values by both
// roads.
func TestChunksAreTheStream(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		r := readBoth(t, m, db, func(exec func(string)) {
			for i, c := range append(typematrix.Cases(), oddCases()...) {
				if c.Only != "" && c.Only != m.Flavor().String() {
					continue
				}
				table := fmt.Sprintf("t%03d", i)
				exec(fmt.Sprintf("CREATE TABLE %s (id INT PRIMARY KEY, v %s)", table, c.Decl))
				values := c.Values
				if !strings.Contains(c.Decl, "NOT NULL") {
					values = append(values, "NULL")
				}
				var rows []string
				for j, v := range values {
					rows = append(rows, fmt.Sprintf("(%d, %s)", j+1, v))
				}
				exec(fmt.Sprintf("INSERT INTO %s VALUES %s", table, strings.Join(rows, ",")))
			}
		})
		if len(r.streamed) < 150 {
			t.Errorf("%d tables", len(r.streamed))
		}
		r.compare()
	})
}

// oddCases are types and values that the log and a SELECT could tell apart.
func oddCases() []typematrix.Case {
	return []typematrix.Case{
		{Decl: "INT(5) ZEROFILL", Values: []string{"0", "7", "4294967295"}},
		{Decl: "DECIMAL(10,2) ZEROFILL", Values: []string{"0", "7.5", "12345678.90"}},
		{Decl: "DECIMAL(30,5) ZEROFILL", Values: []string{"0", "0.5", "7.5", "12345678.90"}},
		{Decl: "FLOAT(7,3)", Values: []string{"0", "1.1", "1234.567", "-0.001"}},
		{Decl: "DOUBLE(10,2)", Values: []string{"0", "1.1", "12345678.12"}},
		{Decl: "FLOAT", Values: []string{"-0.0e0", "1e-45", "-3.4028234e38"}},
		{Decl: "DATE", Values: []string{"'2026-02-31'", "'2026-00-10'", "'0000-00-00'"}},
		{Decl: "DATETIME(3)", Values: []string{"'2026-02-31 10:00:00.5'", "'2026-00-10 23:59:59.999'", "'0000-00-00'"}},
		{Decl: "TINYINT(1)", Values: []string{"0", "1", "-128"}},
		{Decl: "BOOLEAN NOT NULL", Values: []string{"0", "1"}},
		{Decl: "CHAR(10)", Values: []string{"'a  '", "'  a'", "''"}},
		{Decl: "CHAR(0)", Values: []string{"''"}},
		{Decl: "BINARY(0)", Values: []string{"''"}},
		{Decl: "VARBINARY(0)", Values: []string{"''"}},
		{Decl: "VARCHAR(10) CHARACTER SET binary", Values: []string{"'a'", "0xff00"}},
		{Decl: "CHAR(10) CHARACTER SET binary", Values: []string{"'a'", "0xff00"}},
		{Decl: "TEXT CHARACTER SET binary", Values: []string{"'a'", "0xff00"}},
		{Decl: "ENUM('a','b') CHARACTER SET binary", Values: []string{"1", "2"}},
		{Decl: `ENUM('it''s','back\\slash','line\nfeed','nul\0','q"',',','(x)','tab\t','','ü') NOT NULL`, Values: []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}},
		{Decl: "SET('a b','c''d','e\\\\f')", Values: []string{"0", "1", "7"}},
		{Decl: "ENUM('x') CHARACTER SET ascii", Values: []string{"1"}},
		{Decl: "SET('x','y') CHARACTER SET utf8mb3", Values: []string{"3"}},
		{Decl: "VARCHAR(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin", Values: []string{"'äöü'"}},
		{Decl: "BIGINT UNSIGNED ZEROFILL", Values: []string{"18446744073709551615"}},
		{Decl: "JSON", Values: []string{`'{"a b": "c: d, e", "f": ["g\\"h: i, j\\\\", 1, 2.50]}'`}, Only: "mysql"},
		{Decl: "TIMESTAMP(6) NULL", Values: []string{"'2001-02-28 23:59:59.999999'", "'2000-02-29 01:02:03'", "'2024-12-31 23:59:59.5'", "'2025-03-01'"}},
		{Decl: "TIMESTAMP(2) NULL", Values: []string{"'1970-01-01 03:00:00.12'"}, Only: "mariadb"},
		{Decl: "YEAR(4)", Values: []string{"'0'", "0", "1999"}},
		{Decl: "NATIONAL VARCHAR(5)", Values: []string{"'ä'"}},
		{Decl: "LONG VARCHAR", Values: []string{"'ä'"}},
		{Decl: "LONG VARBINARY", Values: []string{"0xff"}},
		{Decl: "DEC(5)", Values: []string{"-99999"}},
		{Decl: "DOUBLE PRECISION UNSIGNED", Values: []string{"1.5"}},
		{Decl: "UUID", Values: []string{"'123e4567-e89b-12d3-a456-426655440000'", "'6ccd780c-baba-1026-9564-5b8c656024db'", "'00000000-0000-0000-0000-000000000000'"}, Only: "mariadb"},
		{Decl: "INET6", Values: []string{"'::1'", "'2001:db8::ff00:42:8329'"}, Only: "mariadb"},
		{Decl: "INET4", Values: []string{"'10.0.0.0'", "'255.1.2.3'"}, Only: "mariadb"},
		{Decl: "VECTOR(2)", Values: []string{"VEC_FromText('[1,2]')"}, Only: "mariadb"},
	}
}

// TestDefinitionsAreTheStreams compares tables whose definition has more to it
// than types.
func TestDefinitionsAreTheStreams(t *testing.T) {
	tables := []struct{ only, create, insert string }{
		{"", "a1 (a INT, b INT NOT NULL, c INT NOT NULL, UNIQUE z (b, c), UNIQUE y (c), UNIQUE n (a))", "VALUES (NULL, 1, 2)"},
		{"", "a2 (a INT, b INT NOT NULL, c INT NOT NULL, UNIQUE y (c), UNIQUE z (b, c))", "VALUES (NULL, 1, 2)"},
		{"", "a3 (a INT NOT NULL, v VARCHAR(20) NOT NULL, UNIQUE p (v(3)), UNIQUE q (a))", "VALUES (1, 'x')"},
		{"", "a4 (a TEXT NOT NULL, b INT, PRIMARY KEY (a(10), b), UNIQUE (b))", "VALUES ('x', 1)"},
		{"", "a5 (`Id` INT, `Na``me x` INT, PRIMARY KEY (`na``me x`, ID))", "VALUES (1, 2)"},
		{"", "a6 (id INT PRIMARY KEY, v INT AS (id * 2) VIRTUAL, s VARCHAR(9) AS (CONCAT('x', id)) STORED, w INT)", "(id, w) VALUES (3, 4)"},
		{"", "a7 (id INT PRIMARY KEY, left_out VARCHAR(9), w INT)", "VALUES (3, 'no', 4)"},
		{"", "a8 (id INT PRIMARY KEY, left_out POINT, w INT)", "VALUES (3, NULL, 4)"},
		{"", "a9 (id INT PRIMARY KEY DEFAULT 7 COMMENT 'unsigned', w INT NULL DEFAULT NULL)", "VALUES (3, 4)"},
		{"", "b1 (id INT, w ENUM('unsigned','INVISIBLE') NOT NULL, PRIMARY KEY (w, id)) PARTITION BY KEY (id) PARTITIONS 3", "VALUES (3, 1), (1, 2)"},
		{"", "b2 (id INT, w INT, PRIMARY KEY (id DESC, w)) DEFAULT CHARSET latin1", "VALUES (3, 4)"},
		{"", "b3 (id INT PRIMARY KEY, w VARCHAR(5) CHARACTER SET utf8mb3, x CHAR(5) CHARACTER SET ascii, y TEXT CHARACTER SET latin1, z VARCHAR(5)) DEFAULT CHARSET utf8mb4", "VALUES (3, 'a', 'b', 'c', 'd')"},
		{"", "`tä b``le` (`größe` INT PRIMARY KEY, w INT)", "VALUES (3, 4)"},
		{"mysql", "m1 (id INT PRIMARY KEY, w INT INVISIBLE, x INT INVISIBLE DEFAULT 5)", "(id, w) VALUES (3, 4)"},
		{"mysql", "m2 (a INT NOT NULL, b INT NOT NULL, UNIQUE (a), UNIQUE (b) INVISIBLE)", "VALUES (1, 2)"},
		{"mysql", "m3 (id INT PRIMARY KEY, a VARCHAR(9), UNIQUE f ((LOWER(a))))", "VALUES (1, 'X')"},
		{"mysql", "m4 (a INT NOT NULL, UNIQUE f ((a + 1)), UNIQUE g (a))", "VALUES (1)"},
		{"mysql", "m5 (a INT NOT NULL, j JSON, KEY f ((CAST(j->'$.k' AS UNSIGNED ARRAY))), PRIMARY KEY (a))", "VALUES (1, '{\"k\": [1]}')"},
		{"mariadb", "m1 (id INT PRIMARY KEY, w INT INVISIBLE, x INT INVISIBLE DEFAULT 5)", "(id, w) VALUES (3, 4)"},
		{"mariadb", "m2 (id INT PRIMARY KEY, t TEXT, u TEXT, w INT, UNIQUE (t), UNIQUE (u))", "VALUES (3, 'x', 'y', 4)"},
		{"mariadb", "n1 (id INT PRIMARY KEY, t TEXT, w INT, UNIQUE (w) USING HASH, UNIQUE (t))", "VALUES (3, 'x', 4)"},
		{"mariadb", "n3 (id INT NOT NULL, t TEXT NOT NULL, UNIQUE (t), UNIQUE (id))", "VALUES (3, 'x')"},
		{"", "n6 (id INT, w SET('a','b') NOT NULL, UNIQUE (w), x INT NOT NULL, UNIQUE (x))", "VALUES (3, 1, 5)"},
		{"mariadb", "n2 (id INT PRIMARY KEY, t TEXT, UNIQUE (t)) WITH SYSTEM VERSIONING", "VALUES (3, 'x')"},
		{"", "n4 (id INT, w INT, UNIQUE (w), PRIMARY KEY USING BTREE (id)) ENGINE=MEMORY", "VALUES (3, 4)"},
		{"", "n5 (id INT, w INT, UNIQUE (w), PRIMARY KEY (id)) ENGINE=MyISAM", "VALUES (3, 4)"},
		{"mariadb", "m3 (id INT PRIMARY KEY, w INT) WITH SYSTEM VERSIONING", "VALUES (3, 4)"},
		{"mariadb", "m4 (id INT PRIMARY KEY, w INT, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING", "(id, w) VALUES (3, 4)"},
		{"mariadb", "m5 (id INT, w INT, s DATE, e DATE, PERIOD FOR p (s, e), PRIMARY KEY (id, p WITHOUT OVERLAPS))", "VALUES (3, 4, '2026-01-01', '2026-02-01')"},
		{"mariadb", "m6 (id UUID PRIMARY KEY, a INET6, UNIQUE (a))", "VALUES (UUID(), '::1')"},
		{"mariadb", "m7 (a INT NOT NULL, b INT NOT NULL, UNIQUE (a), UNIQUE (b) IGNORED)", "VALUES (1, 2)"},
	}
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		n := 1
		r := readBoth(t, m, db, func(exec func(string)) {
			for _, x := range tables {
				if x.only != "" && x.only != m.Flavor().String() {
					continue
				}
				n++
				exec("CREATE TABLE " + x.create)
				name, _, _ := strings.Cut(x.create, " (")
				exec("INSERT INTO " + name + " " + x.insert)
			}
			if m.Flavor() == testenv.MySQL97 {
				n += 2
				exec("SET sql_generate_invisible_primary_key = ON")
				exec("CREATE TABLE gipk (v INT)")
				exec("INSERT INTO gipk VALUES (5), (6)")
			}
		})
		if len(r.streamed) < n-1 {
			t.Errorf("%d tables of %d", len(r.streamed), n)
		}
		r.compare()
	})
}
