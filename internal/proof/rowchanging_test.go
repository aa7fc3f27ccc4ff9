package proof

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// rowChanging are tables, each with a statement that changes rows of it without
// row events, and the names that it has before and behind it.
var rowChanging = []struct{ name, create, ddl string }{
	{"grown", "n INT PRIMARY KEY, v INT", "ALTER TABLE grown ADD COLUMN w INT NOT NULL DEFAULT 7"},
	{"converted", "n INT PRIMARY KEY, v INT", "ALTER TABLE converted MODIFY v DECIMAL(10,2)"},
	{"cut", "n INT PRIMARY KEY, v INT", "ALTER TABLE cut DROP PARTITION p0"},
	{"emptied", "n INT PRIMARY KEY, v INT", "ALTER TABLE emptied TRUNCATE PARTITION p1"},
	{"rekeyed", "n INT PRIMARY KEY, v INT", "ALTER TABLE rekeyed DROP PRIMARY KEY, ADD PRIMARY KEY (v, n)"},
	{"before", "n INT PRIMARY KEY, v INT", "RENAME TABLE before TO behind"},
}

const partitions = " PARTITION BY RANGE (n) (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN MAXVALUE)"

func rowChangingSchema() string {
	var sql strings.Builder
	for _, x := range rowChanging {
		fmt.Fprintf(&sql, "CREATE TABLE `%s` (%s)", x.name, x.create)
		if x.name == "cut" || x.name == "emptied" {
			sql.WriteString(partitions)
		}
		fmt.Fprintf(&sql, ";INSERT INTO `%s` WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300) SELECT n, n %% 9 FROM c;", x.name)
	}
	return sql.String()
}

// TestRowChangingDDL: with row_changing_ddl: snapshot, statements that change rows
// without row events have their tables read anew, and the topics equal the tables;
// killed at any step behind the statement too.
func TestRowChangingDDL(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{
				Flavor: flavor, Schema: rowChangingSchema(), Race: true,
				Pipeline: ", row_changing_ddl: snapshot, snapshot: {mode: initial, chunk_rows: 40}",
			})
			ddl := func(i int) {
				sql := strings.ReplaceAll(rowChanging[i].ddl, "before", "`before`")
				r.DB.MustExec(t, "USE shop; "+sql)
			}
			r.mustStart(t)
			r.mustFinish(ctx, t)
			stop := r.insert(ctx, t, "UPDATE shop.grown SET v = v + 1 WHERE n BETWEEN 20 AND 30; UPDATE shop.rekeyed SET v = v + 1 WHERE n = 250; DELETE FROM shop.cut WHERE n = 200; INSERT INTO shop.cut VALUES (200, 3)")
			ddl(0)
			ddl(1)
			r.Daemon.Kill()
			for i, point := range []string{"snapshot.truncate=1*kill", "kafka.end.after=3*kill", "snapshot.truncate=1*kill", "kafka.end.before=3*kill"} {
				ddl(2 + i)
				r.mustStart(t, "CDCD_FAILPOINTS="+point)
				select {
				case <-r.Daemon.Done():
				case <-time.After(awaitLimit):
					t.Fatalf("%s was never reached:\n%s", point, r.Daemon.Log())
				}
			}
			r.mustStart(t)
			stop()
			r.awaitReplayed(ctx, t, map[string]string{
				"grown": "grown", "converted": "converted", "cut": "cut", "emptied": "emptied", "rekeyed": "rekeyed", "behind": "behind", "before": "",
			})
			r.mustLeave(ctx, t)
			changes := r.changes(ctx, t)
			for _, v := range Check(changes, Rules{ExactlyOnce: true}) {
				t.Error(v)
			}
			for key, row := range Fold(changes)[r.Topic("grown")] {
				if string(row["w"]) != "7" {
					t.Errorf("grown %s: the new column is %q", key, row["w"])
					break
				}
			}
			r.mustStart(t) // nothing is due any more
			if err := r.AwaitState(ctx, "running"); err != nil {
				t.Fatal(err)
			}
			r.mustLeave(ctx, t)
			if again := r.changes(ctx, t); len(again) != len(changes) {
				t.Errorf("%d records more behind another start", len(again)-len(changes))
			}
			if strings.Contains(r.Daemon.Log(), "DATA RACE") {
				t.Error("the race detector found something: see the daemon's log")
			}
		})
	}
}

// awaitReplayed waits until the topics of tables, replayed, equal other tables, or
// are empty.
func (r *Rig) awaitReplayed(ctx context.Context, t *testing.T, topics map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	err := Eventually(ctx, "topics to equal tables", func() (bool, error) {
		changes := r.changes(ctx, t)
		for topic, table := range topics {
			want := map[string]int{}
			if table != "" {
				for _, row := range r.DB.MustQuery(t, "SELECT n, v FROM shop."+table) {
					want[*row[0]+" "+strings.Trim(*row[1], `"`)]++
				}
			}
			got := map[string]int{}
			for text, n := range replay(changes, r.Topic(topic)) {
				got[strings.ReplaceAll(text, `"`, "")] += n
			}
			if !maps.Equal(got, want) {
				return false, fmt.Errorf("topic %s has %d rows, table %q %d", topic, len(got), table, len(want))
			}
		}
		return true, nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Daemon.Log())
	}
}

// TestRowChangingDDLStops: in front of the statement, by name; and goes on with
// a warning where that is enough.
func TestRowChangingDDLStops(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		Schema:   "CREATE TABLE a (n INT PRIMARY KEY, v INT); INSERT INTO a VALUES (1, 1)",
		Pipeline: ", row_changing_ddl: stop",
	})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	r.DB.MustExec(t, "USE shop; INSERT INTO a VALUES (2, 2); ALTER TABLE a ADD x INT, ADD INDEX i (v); INSERT INTO a VALUES (3, 3, 3); ALTER TABLE a ADD w INT DEFAULT 5; INSERT INTO a VALUES (4, 4, 4, 4)")
	r.wantStop(t, "row_changing_ddl", "shop.a", "row_changing_ddl: snapshot")
	if got := replay(r.changes(ctx, t), r.Topic("a")); len(got) != 2 {
		t.Errorf("%v: all before the statement are delivered, none behind it", got)
	}
	r.mustStart(t)
	r.wantStop(t, "row_changing_ddl")
	r.reconfigure(t, "row_changing_ddl: stop", "row_changing_ddl: warn")
	r.mustStart(t)
	r.mustLeave(ctx, t)
	if got := replay(r.changes(ctx, t), r.Topic("a")); len(got) != 3 {
		t.Errorf("%v", got)
	}
	if log := r.Daemon.Log(); !strings.Contains(log, "DDL may change rows without telling which") {
		t.Errorf("no warning:\n%s", log)
	}
}

// TestRowChangingDDLIsNotForgotten: the position behind the statement is stored,
// and the process dies before the table has begun anew.
func TestRowChangingDDLIsNotForgotten(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		Schema:   "CREATE TABLE cut (n INT PRIMARY KEY, v INT)" + partitions + "; INSERT INTO cut VALUES (1, 1), (200, 2)",
		Pipeline: ", row_changing_ddl: snapshot, snapshot: {mode: initial}",
	})
	r.mustStart(t)
	r.mustFinish(ctx, t)
	r.mustLeave(ctx, t)
	r.mustStart(t, "CDCD_FAILPOINTS=snapshot.truncate=1*hang")
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	r.DB.MustExec(t, "ALTER TABLE shop.cut DROP PARTITION p0")
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	r.Daemon.Kill()
	r.mustStart(t)
	r.awaitReplayed(ctx, t, map[string]string{"cut": "cut"})
	r.mustLeave(ctx, t)
}
