package mysql_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/internal/testenv/typematrix"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// canBeKey reports whether a column of the type can be a whole key.
func canBeKey(decl string) bool {
	for _, no := range []string{"TEXT", "BLOB", "JSON", "(5000)", "LONG ", "CHAR(0)", "BINARY(0)", "VECTOR", "SET("} {
		if strings.Contains(decl, no) {
			return false
		}
	}
	return true
}

// column returns one integer column of all rows of a table, in the order of chunks.
func (c *chunks) column(req source.ChunkRequest, column int) (list []int64) {
	c.t.Helper()
	for {
		chunk := c.read(req)
		eachRow(c.t, chunk, func(row *event.RowChange) { list = append(list, row.After[column].Num) })
		if req.After == nil {
			req.Until = chunk.Max
		}
		if req.After = chunk.Last; chunk.End {
			return list
		}
	}
}

// inOrder is what the server says the order of a table is.
func inOrder(t testing.TB, m *testenv.MySQL, table, column, order string) (list []int64) {
	t.Helper()
	for _, r := range m.MustQuery(t, "SELECT "+column+" FROM "+table+" ORDER BY "+order) {
		var n int64
		if _, err := fmt.Sscan(*r[0], &n); err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// TestKeysOfEveryType cuts tables by a key of every type, row by row, so that
// each value of the matrix is once the place where a chunk begins.
func TestKeysOfEveryType(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		var names []string
		var sql strings.Builder
		sql.WriteString("SET sql_mode = 'ALLOW_INVALID_DATES'; USE " + db)
		for i, c := range append(typematrix.Cases(), oddCases()...) {
			if c.Only != "" && c.Only != m.Flavor().String() || !canBeKey(c.Decl) {
				continue
			}
			orders := []string{"", " DESC"}
			for _, order := range orders[:1+i%4/3] {
				table := fmt.Sprintf("t%03d%s", i, strings.TrimSpace(order))
				decl := strings.Replace(c.Decl, ") NULL", ")", 1)
				fmt.Fprintf(&sql, ";CREATE TABLE %s (id INT, v %s, PRIMARY KEY (v%s))", table, decl, order)
				for j, v := range c.Values {
					sep := ","
					if j == 0 {
						sep = ";INSERT IGNORE INTO " + table + " VALUES "
					}
					fmt.Fprintf(&sql, "%s(%d, %s)", sep, j, v)
				}
				names = append(names, table)
			}
		}
		m.MustExec(t, sql.String())
		if len(names) < 100 {
			t.Errorf("%d tables", len(names))
		}
		c := newChunks(t, configFor(m.Addr(), db))
		for _, table := range names {
			order := "v"
			if strings.HasSuffix(table, "DESC") {
				order = "v DESC"
			}
			want := inOrder(t, m, db+"."+table, "id", order)
			got := c.column(source.ChunkRequest{Database: db, Table: table, Rows: 1}, 0)
			if !slices.Equal(got, want) {
				t.Errorf("%s: read %v, want %v: %s", table, got, want, *m.MustQuery(t, "SHOW CREATE TABLE "+db+"."+table)[0][1])
			}
			c.byKeys(db, table)
		}
	})
}

// byKeys reads each row of a table by its key, and all of them by all their keys.
func (c *chunks) byKeys(db, table string) {
	c.t.Helper()
	rows := map[int64]event.Value{}
	whole := c.read(source.ChunkRequest{Database: db, Table: table})
	eachRow(c.t, whole, func(row *event.RowChange) {
		v := row.After[1]
		v.Bytes = slices.Clone(v.Bytes)
		rows[row.After[0].Num] = v
	})
	var keys [][]event.Value
	for id, v := range rows {
		keys = append(keys, []event.Value{v})
		if got := c.met(db, whole.Table, keys[len(keys)-1:]); !slices.Equal(got, []int64{id}) {
			c.t.Errorf("%s: by the key %+v rows %v are read, want %d", table, v, got, id)
		}
	}
	if got := c.met(db, whole.Table, keys); len(got) != len(rows) {
		c.t.Errorf("%s: by %d keys rows %v are read", table, len(rows), got)
	}
}

// met returns the rows that the condition of the keys lets through.
func (c *chunks) met(db string, table *event.Table, keys [][]event.Value) []int64 {
	c.t.Helper()
	where, err := mysql.KeyCondition(table, keys)
	if err != nil {
		c.t.Errorf("%s: %v", table.Name, err)
		return nil
	}
	return firstColumn(c.t, c.read(source.ChunkRequest{Database: db, Table: table.Name, Where: where, ByKeys: true}))
}

// keyCases are tables of 2000 rows with keys that a server could read too much
// of; n is 0 to 1999.
var keyCases = []struct{ name, columns, values, order string }{
	{"integer", "k BIGINT PRIMARY KEY", "n * 3 - 1000", "k"},
	{"unsigned", "k BIGINT UNSIGNED PRIMARY KEY", "18446744073709551615 - n", "k"},
	{"composite", "k INT, l INT, m INT, PRIMARY KEY (k, l, m)", "n DIV 700, n DIV 70, n", "k, l, m"},
	{"descending", "k INT, PRIMARY KEY (k DESC)", "n", "k DESC"},
	{"mixed", "k INT, l VARCHAR(20), m INT, PRIMARY KEY (k DESC, l, m DESC)", "n DIV 700, CONCAT('x', n DIV 70), n", "k DESC, l, m DESC"},
	{"text", "k VARCHAR(40) PRIMARY KEY", "LEFT(SHA2(n, 256), 40)", "k"},
	{"textbin", "k VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY", "CONCAT(CHAR(228 + n MOD 5 USING latin1), n)", "k"},
	{"char", "k CHAR(40) CHARACTER SET utf8mb3, l CHAR(4) CHARACTER SET ascii, PRIMARY KEY (k, l)", "CONCAT('ä', n DIV 9), n MOD 9", "k, l"},
	{"binary", "k BINARY(16) PRIMARY KEY", "UNHEX(LEFT(SHA2(n, 256), 32))", "k"},
	{"varbinary", "k VARBINARY(300) PRIMARY KEY", "UNHEX(LEFT(SHA2(n, 256), 40))", "k"},
	{"enum", "k ENUM('c','a','b'), m INT, PRIMARY KEY (k, m)", "n DIV 500, n", "k, m"},
	{"enums", "k ENUM('c','a','b'), l INT, m ENUM('z','x','y'), n INT, PRIMARY KEY (k DESC, l, m, n)", "1 + n DIV 700, n DIV 300, n DIV 50 MOD 3, n", "k DESC, l, m, n"},
	{"enumlast", "k INT, l ENUM('z','x','y','w') NOT NULL, PRIMARY KEY (k, l)", "n DIV 4, n MOD 4 + 1", "k, l"},
	{"decimal", "k DECIMAL(20,5) PRIMARY KEY", "(n - 1000) * 1.00003", "k"},
	{"float", "k FLOAT PRIMARY KEY", "(n - 1000) / 7e0", "k"},
	{"double", "k DOUBLE PRIMARY KEY", "(n - 1000) / 7e0", "k"},
	{"bits", "k BIT(40) PRIMARY KEY", "n * 100000000", "k"},
	{"year", "k YEAR, l INT, PRIMARY KEY (k, l)", "IF(n < 500, 0, 1900 + n DIV 10), n", "k, l"},
	{"date", "k DATE, l INT, PRIMARY KEY (k, l)", "IF(n < 500, '0000-00-00', IF(n < 600, '2026-00-01', DATE'2026-01-31' + INTERVAL n DAY)), n", "k, l"},
	{"datetime", "k DATETIME(3) PRIMARY KEY", "TIMESTAMP'2026-01-31 00:00:00' + INTERVAL n * 10007 MICROSECOND", "k"},
	{"timestamp", "k TIMESTAMP(6) NOT NULL PRIMARY KEY", "IF(n = 0, '0000-00-00', TIMESTAMP'2026-01-31 00:00:00' + INTERVAL n * 10007 MICROSECOND)", "k"},
	{"time", "k TIME(6) PRIMARY KEY", "SEC_TO_TIME((n - 1000) * 1000.001)", "k"},
	{"secondary", "k INT NOT NULL, l VARCHAR(20) NOT NULL, m INT, UNIQUE u (l, k), KEY o (m), KEY p (k)", "n DIV 5, CONCAT('x', n MOD 7), n", "l, k"},
}

// numbers are those from 0 to 1999, made from a table of digits.
const numbers = "(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n FROM digits a, digits b, digits c, digits e WHERE e.d < 2) AS numbers"

// TestChunksReadNoMore wants the server to read little more than a chunk, at
// the start, in the middle and with an upper bound: EXPLAIN does not tell.
func TestChunksReadNoMore(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		c := newChunks(t, configFor(m.Addr(), db))
		cases := keyCases
		if m.Flavor() == testenv.MariaDB118 {
			cases = append(slices.Clone(cases), []struct{ name, columns, values, order string }{
				{"uuid", "k UUID PRIMARY KEY", "INSERT(INSERT(LEFT(SHA2(n, 256), 32), 13, 1, 1 + n MOD 7), 17, 1, '8')", "k"},
				{"inet", "k INET6, l INET4, PRIMARY KEY (k, l)", "CONCAT('::', HEX(n DIV 10)), CONCAT('10.0.', n DIV 256, '.', n MOD 256)", "k, l"},
			}...)
		}
		m.MustExec(t, "CREATE TABLE "+db+".digits (d INT PRIMARY KEY)", "INSERT INTO "+db+".digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)")
		for _, k := range cases {
			t.Run(k.name, func(t *testing.T) {
				m.MustExec(t, fmt.Sprintf("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'; USE %[1]s; CREATE TABLE `%[2]s` (%[3]s, nth INT); INSERT INTO `%[2]s` SELECT %[4]s, n FROM %[5]s; ANALYZE TABLE `%[2]s`",
					db, k.name, k.columns, k.values, numbers))
				c.t = t
				c.readsNoMore(m, db, k.name, k.order)
			})
		}
	})
}

func (c *chunks) readsNoMore(m *testenv.MySQL, db, table, order string) {
	want := inOrder(c.t, m, db+".`"+table+"`", "nth", order)
	if len(want) != 2000 {
		c.t.Fatalf("%d rows", len(want))
	}
	req := source.ChunkRequest{Database: db, Table: table, Rows: 200}
	var got []int64
	for n := 0; ; n++ {
		before := c.handlerReads(n > 0)
		chunk := c.read(req)
		after := c.handlerReads(true)
		eachRow(c.t, chunk, func(row *event.RowChange) { got = append(got, row.After[len(row.After)-1].Num) })
		for _, name := range []string{"rows", "others"} {
			if read := after[name] - before[name]; n > 0 && read > uint64(chunk.Count)+20 {
				c.t.Errorf("chunk %d of %d rows: %d %s read", n, chunk.Count, read, name)
			}
		}
		if req.After == nil {
			req.Until = chunk.Max
		}
		if req.After = chunk.Last; chunk.End {
			break
		}
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("read %v\nwant %v", got, want)
	}
}

// handlerReads counts what the session has read from tables: rows by an index,
// and others, from the server's own temporary tables at best.
func (c *chunks) handlerReads(connected bool) map[string]uint64 {
	c.t.Helper()
	if !connected {
		return nil
	}
	status, err := mysql.StatusOf(within(c.t), c.reader, "Handler_read_%")
	if err != nil {
		c.t.Fatal(err)
	}
	sum := map[string]uint64{}
	for name, n := range status {
		if strings.HasPrefix(name, "Handler_read_rnd") {
			sum["others"] += n
		} else {
			sum["rows"] += n
		}
	}
	return sum
}
