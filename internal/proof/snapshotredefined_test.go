package proof

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// redefined are statements that strike tables in the middle of their reading.
var redefined = []struct{ table, ddl string }{
	{"emptied", "TRUNCATE TABLE emptied; INSERT INTO emptied VALUES (3, 3), (2000, 1)"},
	{"gone", "DROP TABLE gone"},
	{"replaced", "DROP TABLE replaced; CREATE TABLE replaced (v BIGINT, n BIGINT PRIMARY KEY); INSERT INTO replaced VALUES (77, 7)"},
	{"old", "RENAME TABLE old TO latest"},
	{"blue", "RENAME TABLE blue TO aside, green TO blue, aside TO green"},
	{"widened", "ALTER TABLE widened ADD COLUMN w VARCHAR(10) FIRST, MODIFY v BIGINT"},
}

func redefinedSchema(flavor testenv.Flavor) string {
	sql := "SET cte_max_recursion_depth = 10000;"
	if flavor == testenv.MariaDB118 {
		sql = "SET max_recursive_iterations = 10000;"
	}
	for i, name := range []string{"emptied", "gone", "replaced", "old", "blue", "green", "widened"} {
		sql += fmt.Sprintf(`CREATE TABLE %s (n INT PRIMARY KEY, v INT);
			INSERT INTO %[1]s WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 900) SELECT n, %d FROM c;`, name, i)
	}
	return sql
}

// TestSnapshotRedefined: tables that are emptied, dropped, replaced, renamed,
// swapped and altered in the middle of their reading. No row of an old one comes
// behind, and the topics equal the tables that there are.
func TestSnapshotRedefined(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{
				Flavor: flavor, Schema: redefinedSchema(flavor), Race: true,
				Pipeline: ", snapshot: {mode: initial, chunk_rows: 20, readers: 8, max_rows_per_second: 1500}",
			})
			r.mustStart(t)
			for _, x := range redefined {
				if err := r.await(ctx, x.table+" to be read in part", r.inPart("shop."+x.table)); err != nil {
					t.Fatal(err)
				}
			}
			for i, x := range redefined {
				r.DB.MustExec(t, "USE shop; "+x.ddl)
				if i == len(redefined)/2 {
					r.Daemon.Kill()
					r.mustStart(t)
				}
			}
			r.mustFinish(ctx, t)
			r.snapshot(ctx, t, `{"verb": "start", "tables": ["shop.latest"]}`) // now no other table is to be read
			if err := r.await(ctx, "latest to be read in part", r.inPart("shop.latest")); err != nil {
				t.Fatal(err)
			}
			r.DB.MustExec(t, "RENAME TABLE shop.latest TO shop.final")
			if err := r.await(ctx, "final to be read", func(p PipelineStatus) bool {
				return slices.ContainsFunc(p.Snapshot, func(s TableProgress) bool { return s.Table == "shop.final" && s.Done })
			}); err != nil {
				t.Fatal(err)
			}
			r.mustFinish(ctx, t)
			r.mustLeave(ctx, t)
			changes := r.changes(ctx, t)
			for _, v := range Check(changes, Rules{ExactlyOnce: true}) {
				t.Error(v)
			}
			for _, table := range []string{"emptied", "replaced", "final", "blue", "green", "widened"} {
				r.wantReplayed(t, changes, table)
			}
			if rows := replay(changes, r.Topic("gone")); len(rows) > 0 {
				t.Errorf("%d rows of the dropped table come behind the end of it", len(rows))
			}
			if strings.Contains(r.Daemon.Log(), "DATA RACE") {
				t.Error("the race detector found something: see the daemon's log")
			}
		})
	}
}
