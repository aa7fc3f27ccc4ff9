package proof

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// resetLog has the source begin its log anew.
func (r *Rig) resetLog(t *testing.T) {
	t.Helper()
	if r.DB.Flavor() == testenv.MariaDB118 {
		r.DB.MustExec(t, "RESET MASTER")
	} else {
		r.DB.MustExec(t, "RESET BINARY LOGS AND GTIDS")
	}
}

// gapTruncates counts the truncate events that tell of a gap, by table, of one
// partition: all have them.
func gapTruncates(t *testing.T, changes []Change, prefix string) map[string]int {
	t.Helper()
	n, all := map[string]int{}, map[string]int{}
	for _, c := range changes {
		if c.Op != "t" {
			continue
		}
		if c.Headers["cdcd.gap"] != "true" {
			t.Errorf("%s/%d@%d: op t without the header cdcd.gap", c.Topic, c.Partition, c.Offset)
		}
		if all[c.Topic]++; c.Partition == 0 {
			n[strings.TrimPrefix(c.Topic, prefix)]++
		}
	}
	for topic, m := range all {
		if table := strings.TrimPrefix(topic, prefix); m != 3*n[table] {
			t.Errorf("%s: %d truncate events in 3 partitions, %d in the first", table, m, n[table])
		}
	}
	return n
}

const gapRows = 1500

// gapSchema has tables that are read, one without a key, one that is excluded
// from snapshots, and one that is dropped in the gap.
func gapSchema(flavor testenv.Flavor) string {
	var sql strings.Builder
	sql.WriteString("SET cte_max_recursion_depth = 10000;")
	for _, x := range []struct{ table, key string }{{"a", ", PRIMARY KEY (n)"}, {"b", ", PRIMARY KEY (n)"}, {"log", ""}, {"ex", ", PRIMARY KEY (n)"}, {"gone", ", PRIMARY KEY (n)"}} {
		fmt.Fprintf(&sql, "CREATE TABLE %s (n INT NOT NULL, v INT NOT NULL%s);", x.table, x.key)
		fmt.Fprintf(&sql, "INSERT INTO %s WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d) SELECT n, 0 FROM c;", x.table, gapRows)
	}
	if flavor == testenv.MariaDB118 {
		return strings.Replace(sql.String(), "cte_max_recursion_depth", "max_recursive_iterations", 1)
	}
	return sql.String()
}

// gapPoints are the steps around a gap at which the daemon is killed, each with
// the visit that strikes.
var gapPoints = []struct {
	name string
	at   int
}{
	{"gap.begin", 1}, {"gap.begin", 1}, {"gap.begun", 1}, {"snapshot.truncate", 1}, {"snapshot.truncate", 4}, {"checkpoint.file.written", 2},
	{"kafka.end.before", 2}, {"kafka.end.after", 2}, {"snapshot.merge", 1}, {"snapshot.merge", 5}, {"save.before", 1},
}

// TestGap: the log that the pipeline needs is purged while it is away, and reset
// later on. It begins each table anew behind a truncate event that says so, and the
// topics equal the tables, without the rows that were deleted in the gap; killed
// on the way it tells of the gap neither never nor twice.
func TestGap(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{
				Flavor: flavor, Schema: gapSchema(flavor),
				Pipeline: ", save_interval: 100ms, snapshot: {mode: when_needed, gap: truncate, exclude: [shop.ex], chunk_rows: 50}",
			})
			r.mustStart(t)
			r.mustFinish(ctx, t)
			r.DB.MustExec(t, "UPDATE shop.ex SET v = 1 WHERE n < 10")
			r.mustLeave(ctx, t)

			r.DB.MustExec(t, "USE shop; DELETE FROM a WHERE n % 3 = 0; DELETE FROM log WHERE n % 3 = 0; UPDATE b SET v = 7 WHERE n < 100; DROP TABLE gone; DELETE FROM ex; INSERT INTO b VALUES (10000, 1)")
			r.purge(ctx, t)
			stop := r.insert(ctx, t, "UPDATE shop.a SET v = v + 1 WHERE n BETWEEN 50 AND 90; DELETE FROM shop.b WHERE n = 200; INSERT INTO shop.b VALUES (200, 5)")
			for _, p := range gapPoints {
				r.killedAt(t, p.name, p.at)
			}
			r.mustStart(t)
			if err := r.await(ctx, "the gap to be closed", func(p PipelineStatus) bool { return p.Gap.Code == "binlog_purged" && p.Gap.Closed }); err != nil {
				t.Fatal(err)
			}
			stop()
			r.mustLeave(ctx, t)
			r.wantBridged(t, r.changes(ctx, t), 1)

			r.mustStart(t)
			if err := r.AwaitState(ctx, "running"); err != nil {
				t.Fatal(err)
			}
			r.Daemon.Kill()
			r.DB.MustExec(t, "DELETE FROM shop.b WHERE n > 300")
			r.resetLog(t)
			r.DB.MustExec(t, "UPDATE shop.a SET v = -1 WHERE n < 5; DELETE FROM shop.log WHERE n < 5")
			r.mustStart(t)
			if err := r.await(ctx, "the gap to be closed", func(p PipelineStatus) bool { return p.Gap.Code == "source_log_reset" && p.Gap.Closed }); err != nil {
				t.Fatal(err)
			}
			r.mustLeave(ctx, t)
			r.wantBridged(t, r.changes(ctx, t), 2)
			if log := r.Daemon.Log(); !strings.Contains(log, "changes were lost") {
				t.Errorf("the log does not tell of the gap:\n%s", log)
			}
		})
	}
}

// wantBridged wants so many gaps in the topics, and the topics to equal the tables.
func (r *Rig) wantBridged(t *testing.T, changes []Change, gaps int) {
	t.Helper()
	for _, v := range Check(changes, Rules{ExactlyOnce: true}) {
		t.Error(v)
	}
	for _, table := range []string{"a", "b", "log"} {
		r.wantReplayed(t, changes, table)
	}
	for _, table := range []string{"gone", "ex"} {
		if got := replay(changes, r.Topic(table)); len(got) > 0 {
			t.Errorf("%s: %d rows in the topic", table, len(got))
		}
	}
	told := gapTruncates(t, changesOfGaps(changes), r.Topic(""))
	if told["a"] != gaps || told["b"] != gaps || told["ex"] != gaps || told["gone"] != 1 || told["log"] < 2*gaps {
		t.Errorf("%d gaps, told by table %v", gaps, told)
	}
}

// changesOfGaps leaves out the truncate events of the first reading of a table
// without a key, and of DROP TABLE.
func changesOfGaps(changes []Change) (list []Change) {
	for _, c := range changes {
		if c.Op == "t" && c.Headers["cdcd.gap"] != "" {
			list = append(list, c)
		}
	}
	return list
}

// TestGapStops: unless the configuration lets it go on, a pipeline stops by name
// where changes are lost, and says what would let it.
func TestGapStops(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		Schema:   "CREATE TABLE a (n INT PRIMARY KEY, v INT); INSERT INTO a VALUES (1, 1), (2, 2)",
		Pipeline: ", snapshot: {mode: when_needed}",
	})
	r.mustStart(t)
	r.mustFinish(ctx, t)
	r.mustLeave(ctx, t)
	r.DB.MustExec(t, "DELETE FROM shop.a WHERE n = 1")
	r.purge(ctx, t)
	for range 2 { // it does not go on by itself
		r.mustStart(t)
		r.wantStop(t, "binlog_purged", "gap: truncate")
	}
	r.reconfigure(t, "mode: when_needed", "mode: when_needed, gap: truncate")
	r.mustStart(t)
	if err := r.await(ctx, "the gap to be closed", func(p PipelineStatus) bool { return p.Gap.Closed }); err != nil {
		t.Fatal(err)
	}
	r.mustLeave(ctx, t)
	r.wantReplayed(t, r.changes(ctx, t), "a")
}

// TestGapWhileItRuns: the log is purged while the connection is down, and changes
// come all the time; a restart later on does not tell of the gap again.
func TestGapWhileItRuns(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		Schema:   "CREATE TABLE a (n INT PRIMARY KEY, v INT); INSERT INTO a VALUES (1, 1), (2, 2), (3, 3)",
		Pipeline: ", snapshot: {mode: when_needed, gap: truncate}", Delivery: "at_least_once",
	})
	proxy := r.slowSource(t)
	r.mustStart(t)
	r.mustFinish(ctx, t)
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse(true)
	proxy.Reset()
	r.DB.MustExec(t, "DELETE FROM shop.a WHERE n = 1")
	r.purge(ctx, t)
	proxy.Refuse(false)
	if err := r.await(ctx, "the gap to be closed", func(p PipelineStatus) bool { return p.Gap.Closed }); err != nil {
		t.Fatal(err)
	}
	r.DB.MustExec(t, "UPDATE shop.a SET v = 8 WHERE n = 2")
	r.mustLeave(ctx, t)
	r.mustStart(t)
	r.mustFinish(ctx, t)
	r.mustLeave(ctx, t)
	changes := r.changes(ctx, t)
	r.wantReplayed(t, changes, "a")
	if told := gapTruncates(t, changesOfGaps(changes), r.Topic("")); told["a"] != 1 {
		t.Errorf("told %v of one gap", told)
	}
}
