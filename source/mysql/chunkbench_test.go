package mysql_test

import (
	"testing"

	mysqlgo "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/source"
)

// BenchmarkSnapshot reads a table of 200,000 rows in chunks, with and without
// decoding it, beside a plain SELECT through the same driver to nowhere.
func BenchmarkSnapshot(b *testing.B) {
	for _, f := range testenv.Flavors {
		b.Run(f.String(), func(b *testing.B) {
			m := testenv.SharedMySQL(b, f)
			db := m.Database(b)
			m.MustExec(b, "USE "+db+`; CREATE TABLE digits (d INT PRIMARY KEY); INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
				CREATE TABLE t (id BIGINT PRIMARY KEY AUTO_INCREMENT, a INT, b VARCHAR(60), c DATETIME(6), d DECIMAL(10,2), e VARCHAR(200), f DOUBLE, g TIMESTAMP(3) NULL)`)
			for range 100 {
				m.MustExec(b, "INSERT INTO "+db+".t (a, b, c, d, e, f, g) SELECT n, CONCAT('name ', n), NOW(6), n / 7, REPEAT('äx', n MOD 50), n / 3e0, NOW(3) FROM (SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n FROM "+
					db+".digits a, "+db+".digits b, "+db+".digits c, "+db+".digits e WHERE e.d < 2) AS numbers")
			}
			m.MustExec(b, "ANALYZE TABLE "+db+".t")
			b.Run("select", func(b *testing.B) { benchmarkSelect(b, m, db) })
			b.Run("chunks", func(b *testing.B) { benchmarkChunks(b, m, db, false) })
			b.Run("decoded", func(b *testing.B) { benchmarkChunks(b, m, db, true) })
		})
	}
}

func benchmarkSelect(b *testing.B, m *testenv.MySQL, db string) {
	conn, err := m.Conn(within(b), db)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	b.ReportAllocs()
	for b.Loop() {
		var result mysqlgo.Result
		rows := 0
		err := conn.ExecuteSelectStreaming("SELECT * FROM t", &result, func([]mysqlgo.FieldValue) error { rows++; return nil }, nil)
		if err != nil || rows != 200_000 {
			b.Fatal(rows, err)
		}
	}
	b.ReportMetric(float64(b.N)*200_000/b.Elapsed().Seconds(), "rows/s")
}

func benchmarkChunks(b *testing.B, m *testenv.MySQL, db string, decode bool) {
	c := newChunks(b, configFor(m.Addr(), db))
	b.ReportAllocs()
	var r event.RowReader
	for b.Loop() {
		rows := 0
		for req := (source.ChunkRequest{Database: db, Table: "t", Rows: 20_000, Bytes: 4 << 20}); ; {
			chunk := c.read(req)
			rows += chunk.Count
			if decode {
				p := event.Piece{Events: chunk.Rows}
				for _, err := range p.Rows(&r) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			if req.After == nil {
				req.Until = chunk.Max
			}
			if req.After = chunk.Last; chunk.End {
				break
			}
		}
		if rows != 200_000 {
			b.Fatal(rows)
		}
	}
	b.ReportMetric(float64(b.N)*200_000/b.Elapsed().Seconds(), "rows/s")
}
