package mysql_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/source"
)

// TestChunksEndAtTheBound: rows that came to lie behind what was the largest key
// are not read, whatever the key is and wherever a chunk ends.
func TestChunksEndAtTheBound(t *testing.T) {
	for _, key := range []string{"BIGINT", "BIGINT UNSIGNED", "INT ZEROFILL", "DECIMAL(10,0)", "DOUBLE", "BIT(20)"} {
		for _, order := range []string{"", " DESC"} {
			t.Run(key+order, func(t *testing.T) {
				m := testenv.SharedMySQL(t, testenv.MySQL97)
				db := m.Database(t)
				m.MustExec(t, fmt.Sprintf("CREATE TABLE %s.t (n INT, id %s, PRIMARY KEY (id%s)); INSERT INTO %s.t VALUES (8,8),(9,9),(10,10),(11,11),(100,100)", db, key, order, db))
				c := newChunks(t, configFor(m.Addr(), db))
				for _, rows := range []int{1, 2, 3, 4, 5, 50} {
					m.MustExec(t, "DELETE FROM "+db+".t WHERE n < 8 OR n > 100")
					req := source.ChunkRequest{Database: db, Table: "t", Rows: rows}
					var ids []int64
					for n := 0; ; n++ {
						chunk := c.read(req)
						ids = append(ids, firstColumn(t, chunk)...)
						if n == 0 {
							req.Until = chunk.Max
							m.MustExec(t, "INSERT INTO "+db+".t VALUES (1,1),(7,7),(101,101),(1000,1000)")
						}
						if req.After = chunk.Last; chunk.End {
							break
						}
					}
					want := []int64{8, 9, 10, 11, 100}
					if order != "" {
						slices.Reverse(want)
					}
					if !slices.Equal(ids, want) {
						t.Errorf("chunks of %d rows: read %v, want %v", rows, ids, want)
					}
				}
			})
		}
	}
}
