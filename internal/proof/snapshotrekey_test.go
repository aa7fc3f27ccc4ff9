package proof

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// replay plays the records of one topic, with keys and without, and returns how
// often each row is there in the end, by its columns n and v. A row without a key
// is known by its values alone.
func replay(changes []Change, topic string) map[string]int {
	type row struct {
		partition int
		text      string
	}
	keyed, keyless := map[string]row{}, map[row]int{}
	for _, c := range changes {
		if c.Topic != topic {
			continue
		}
		switch {
		case c.Op == "t":
			gone := func(r row) bool { return r.partition == c.Partition }
			maps.DeleteFunc(keyed, func(_ string, r row) bool { return gone(r) })
			maps.DeleteFunc(keyless, func(r row, _ int) bool { return gone(r) })
		case c.Key == nil:
			if c.Before != nil {
				keyless[row{c.Partition, imageText(c.Before)}]--
			}
			if c.After != nil {
				keyless[row{c.Partition, imageText(c.After)}]++
			}
		case c.After == nil:
			delete(keyed, string(c.Key))
		default:
			keyed[string(c.Key)] = row{c.Partition, imageText(c.After)}
		}
	}
	rows := map[string]int{}
	for _, r := range keyed {
		rows[r.text]++
	}
	for r, n := range keyless {
		if n != 0 {
			rows[r.text] += n
		}
	}
	return rows
}

func imageText[V ~[]byte](image map[string]V) string {
	return string(image["n"]) + " " + string(image["v"])
}

// changes reads all there is.
func (r *Rig) changes(ctx context.Context, t *testing.T) []Change {
	t.Helper()
	recs, err := r.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := ParseChanges(recs)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// wantReplayed compares what replaying a topic gives with the table.
func (r *Rig) wantReplayed(t *testing.T, changes []Change, table string) {
	t.Helper()
	want := map[string]int{}
	for _, row := range r.DB.MustQuery(t, "SELECT n, v FROM shop."+table) {
		want[*row[0]+" "+*row[1]]++
	}
	got := replay(changes, r.Topic(table))
	if maps.Equal(got, want) {
		return
	}
	shown := 0
	for text := range merged(got, want) {
		if got[text] != want[text] && shown < 5 {
			t.Errorf("%s: row %q is %d times in the topic and %d times in the table", table, text, got[text], want[text])
			shown++
		}
	}
	t.Errorf("%s: %d rows in the topic, %d in the table", table, len(got), len(want))
}

func merged(a, b map[string]int) map[string]int {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// rekeyed are tables whose key changes while they are read. Each has columns n
// and v, and s, in whose order capital letters come first.
var rekeyed = []struct{ name, key, ddl string }{
	{"lost", "n", "DROP PRIMARY KEY"},
	{"other", "n", "DROP PRIMARY KEY, ADD PRIMARY KEY (m, n)"},
	{"swapped", "m, n", "DROP PRIMARY KEY, ADD PRIMARY KEY (n, m)"},
	{"collated", "s", "MODIFY s VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL"},
	{"turned", "n", "DROP PRIMARY KEY, ADD PRIMARY KEY (n DESC)"},
	{"turned_back", "n DESC", "DROP PRIMARY KEY, ADD PRIMARY KEY (n)"},
	{"renamed", "m, n", "CHANGE m mm INT NOT NULL DEFAULT 0"},
	{"dropped", "m, n", "DROP COLUMN m, DROP PRIMARY KEY, ADD PRIMARY KEY (n)"},
	{"numbered", "n", "DROP PRIMARY KEY, DROP COLUMN n, ADD COLUMN n INT NOT NULL AUTO_INCREMENT PRIMARY KEY"}, // the same name, other values
}

const rekeyedRows = 1500

func rekeyedSchema() string {
	var sql strings.Builder
	for _, x := range rekeyed {
		fmt.Fprintf(&sql, `CREATE TABLE %s (n INT NOT NULL, m INT NOT NULL DEFAULT 0, s VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, v INT NOT NULL, PRIMARY KEY (%s));`, x.name, x.key)
		fmt.Fprintf(&sql, `INSERT INTO %s WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d)
			SELECT n, n %% 7, CONCAT(IF(n %% 2, 'B', 'a'), n), 0 FROM c;`, x.name, rekeyedRows)
	}
	return "SET cte_max_recursion_depth = 10000;" + sql.String()
}

// rewriting changes rows of the tables until it is stopped: each statement
// touches, inserts or deletes a few.
func (r *Rig) rewriting(ctx context.Context, t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := r.DB.Conn(ctx, "shop")
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		next := rekeyedRows
		for ctx.Err() == nil {
			table, n := rekeyed[rand.IntN(len(rekeyed))].name, rand.IntN(rekeyedRows)
			next++
			for _, sql := range []string{
				fmt.Sprintf("UPDATE %s SET v = v + 1 WHERE n BETWEEN %d AND %[2]d + 3", table, n),
				fmt.Sprintf("DELETE FROM %s WHERE n = %d", table, n),
				fmt.Sprintf("INSERT IGNORE INTO %s (n, s, v) VALUES (%d, 'c%[2]d', 1)", table, next),
			} {
				if _, err := conn.Execute(sql); err != nil {
					t.Errorf("%s: %v", sql, err)
					return
				}
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// TestSnapshotRekeyed: tables whose key gets other columns, another order or goes,
// in the middle of their reading and while their rows change, begin anew, and the
// fold of their topics equals them.
func TestSnapshotRekeyed(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			schema := rekeyedSchema()
			if flavor == testenv.MariaDB118 {
				schema = strings.Replace(schema, "cte_max_recursion_depth", "max_recursive_iterations", 1)
			}
			r, ctx := newRig(t, RigOptions{
				Flavor: flavor, Schema: schema, Race: true,
				Pipeline: ", snapshot: {mode: initial, chunk_rows: 20, readers: 8, max_rows_per_second: 2500}",
			})
			stop := r.rewriting(ctx, t)
			r.mustStart(t)
			for i, x := range rekeyed {
				if err := r.await(ctx, x.name+" to be read in part", r.inPart("shop."+x.name)); err != nil {
					t.Fatal(err)
				}
				r.DB.MustExec(t, "ALTER TABLE shop."+x.name+" "+x.ddl)
				if i == len(rekeyed)/2 { // in the middle of beginning anew
					r.Daemon.Kill()
					r.mustStart(t)
				}
			}
			r.reconfigure(t, ", max_rows_per_second: 2500", "")
			r.Daemon.Kill()
			r.mustStart(t)
			if err := r.await(ctx, "some chunks", func(p PipelineStatus) bool { return len(p.Snapshot) == len(rekeyed) }); err != nil {
				t.Fatal(err)
			}
			stop() // or the one without a key is never read
			r.mustFinish(ctx, t)
			r.mustLeave(ctx, t)
			changes := r.changes(ctx, t)
			for _, v := range Check(changes, Rules{ExactlyOnce: true}) {
				t.Error(v)
			}
			for _, x := range rekeyed {
				r.wantReplayed(t, changes, x.name)
			}
			if strings.Contains(r.Daemon.Log(), "DATA RACE") {
				t.Error("the race detector found something: see the daemon's log")
			}
		})
	}
}

// mustConsume waits until so many records can be read.
func (r *Rig) mustConsume(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	if _, err := r.Kafka.Consume(ctx, testenv.ConsumeOptions{Pattern: `shop\..*`, Count: n}); err != nil {
		t.Fatal(err)
	}
}

// inPart says that a table has begun and not ended to be read.
func (r *Rig) inPart(table string) func(PipelineStatus) bool {
	return func(p PipelineStatus) bool {
		for _, s := range p.Snapshot {
			if s.Table == table {
				return s.Rows > 0 && !s.Done
			}
		}
		return false
	}
}

// TestSnapshotGainsAKey: a table without a key that gets one before it is read
// is read in chunks, and so is one that was half delivered as a whole.
func TestSnapshotGainsAKey(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{
				Flavor: flavor, Schema: "CREATE TABLE log (n INT NOT NULL, v VARCHAR(255)); INSERT INTO log VALUES (0, REPEAT('x', 255)), (1, '0')",
				Pipeline: ", snapshot: {mode: initial}",
			})
			r.grow(t, 1<<15)
			conn, err := r.DB.Conn(ctx, "shop")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			mustDo(t, conn, "LOCK TABLES log WRITE")
			r.mustStart(t)
			r.awaitLocked(ctx, t)
			mustDo(t, conn, "ALTER TABLE log ADD PRIMARY KEY (n)")
			mustDo(t, conn, "UNLOCK TABLES")
			r.mustFinish(ctx, t)
			if log := r.Daemon.Log(); !strings.Contains(log, "the key of the table has changed") && !strings.Contains(log, "the table is read anew") {
				t.Errorf("the table was not read as a whole first:\n%s", log)
			}
			r.mustLeave(ctx, t)
			changes := r.changes(ctx, t)
			if got := replay(changes, r.Topic("log")); len(got) != 1<<15 {
				t.Errorf("%d rows", len(got))
			}

			mustDo(t, conn, "ALTER TABLE log DROP PRIMARY KEY")
			r.reconfigure(t, "mode: initial", "mode: initial, chunk_rows: 5000")
			r.mustStart(t, "CDCD_FAILPOINTS=snapshot.merge=3*hang")
			r.snapshot(ctx, t, `{"verb":"start"}`)
			r.mustConsume(ctx, t, len(changes)+5000)
			r.Daemon.Kill()
			mustDo(t, conn, "DELETE FROM log WHERE n < 10")
			mustDo(t, conn, "ALTER TABLE log ADD PRIMARY KEY (n)")
			mustDo(t, conn, "UPDATE log SET v = '1' WHERE n < 20")
			r.mustStart(t)
			r.mustFinish(ctx, t)
			r.mustLeave(ctx, t)
			got, want := replay(r.changes(ctx, t), r.Topic("log")), 1<<15-10
			if len(got) != want {
				t.Errorf("%d different rows, want %d", len(got), want)
			}
			for text, n := range got {
				if n != 1 {
					t.Errorf("row %.20q is there %d times", text, n)
					break
				}
			}
		})
	}
}

func mustDo(t *testing.T, conn *client.Conn, sql string) {
	t.Helper()
	if _, err := conn.Execute(sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// awaitLocked waits until the daemon waits for a table that is locked.
func (r *Rig) awaitLocked(ctx context.Context, t *testing.T) {
	t.Helper()
	err := Eventually(ctx, "a SELECT that waits", func() (bool, error) {
		rows, err := r.DB.Query(ctx, "SELECT 1 FROM information_schema.PROCESSLIST WHERE USER = '"+testenv.ReaderUser+"' AND STATE LIKE 'Waiting for table metadata lock%'")
		return len(rows) > 0, err
	})
	if err != nil {
		t.Fatal(err)
	}
}
