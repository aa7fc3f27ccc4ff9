package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// check runs cdcd check with the daemon's configuration.
func (r *Rig) check(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, r.Daemon.Bin, "check", r.Daemon.Config)
	cmd.Env = append(cmd.Environ(), r.Daemon.Env...)
	out, _ := cmd.CombinedOutput() // findings have an exit code
	return string(out)
}

// TestSnapshotExclude: a table that cannot be read is left out, and what changes
// in it is delivered all the same; one that is not left out any more is read.
func TestSnapshotExclude(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		Schema: "CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY); CREATE TABLE log (id INT);" +
			"INSERT INTO a VALUES (1),(2),(3); INSERT INTO b VALUES (1),(2); INSERT INTO log VALUES (1)",
		Pipeline: ", snapshot: {mode: initial, exclude: [shop.log, shop.b]}",
	})
	if out := r.check(ctx); strings.Contains(out, "shop.log") && strings.Contains(out, "to cut chunks by") {
		t.Errorf("check speaks of a table that is left out:\n%s", out)
	}
	r.mustStart(t)
	r.mustFinish(ctx, t)
	r.DB.MustExec(t, "INSERT INTO shop.log VALUES (2)")
	r.mustLeave(ctx, t)
	if n := r.readRows(ctx, t); n["a"] != 3 || n["b"]+n["log"] != 0 {
		t.Errorf("rows read: %v, want three of a", n)
	}
	r.reconfigure(t, "[shop.log, shop.b]", "[shop.log]")
	r.mustStart(t)
	if err := r.await(ctx, "b to be read", func(p PipelineStatus) bool {
		return slices.ContainsFunc(p.Snapshot, func(s TableProgress) bool { return s.Table == "shop.b" && s.Done })
	}); err != nil {
		t.Fatal(err)
	}
	r.mustLeave(ctx, t)
	if n := r.readRows(ctx, t); n["a"] != 3 || n["b"] != 2 || n["log"] != 0 {
		t.Errorf("rows read: %v, want three of a and two of b", n)
	}
	r.reconfigure(t, "[shop.log]", "[]")
	if out := r.check(ctx); !strings.Contains(out, "shop.log") || !strings.Contains(out, "as a whole") {
		t.Errorf("check does not name the table without a key:\n%s", out)
	}
}

// bag folds the topic of a table without a key: how often each row is there. op t
// empties the partition, which is the one that holds the rows.
func (r *Rig) bag(ctx context.Context, t *testing.T, table string) map[string]int {
	t.Helper()
	recs, err := r.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := ParseChanges(recs)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Check(changes, Rules{ExactlyOnce: true}) {
		t.Error(v)
	}
	home, rows := -1, map[string]int{}
	for _, c := range changes {
		switch {
		case c.Topic != r.Topic(table):
			continue
		case c.Op == "t":
			if home < 0 || c.Partition == home {
				clear(rows)
			}
			continue
		}
		home = c.Partition
		if c.Before != nil {
			rows[string(c.Before["n"])]--
		}
		if c.After != nil {
			rows[string(c.After["n"])]++
		}
	}
	return rows
}

// mustLeave waits until everything is delivered, and ends the daemon.
func (r *Rig) mustLeave(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.Daemon.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// wantBag compares the fold of a table without a key with the table.
func (r *Rig) wantBag(ctx context.Context, t *testing.T, table string) {
	t.Helper()
	got := r.bag(ctx, t, table)
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	want := map[string]int{}
	for _, row := range r.DB.MustQuery(t, "SELECT n, COUNT(*) FROM shop."+table+" GROUP BY n") {
		want[*row[0]], _ = strconv.Atoi(*row[1])
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d different rows in the topic, %d in the table", len(got), len(want))
	}
}

const keylessSchema = "CREATE TABLE log (n INT, pad VARCHAR(255)); INSERT INTO log VALUES (0, REPEAT('x', 255)), (0, ''), (1, '')"

// grow gives the table without a key so many rows.
func (r *Rig) grow(t *testing.T, rows int) {
	t.Helper()
	for i := 2; i < rows; i *= 2 {
		r.DB.MustExec(t, fmt.Sprintf("INSERT INTO shop.log SELECT n + %d, REPEAT('y', 255) FROM shop.log", i))
	}
}

// TestSnapshotKeyless: a table without a key is read as a whole, with its equal
// rows, beside one that is written to; killed on the way, it begins again with op t.
func TestSnapshotKeyless(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{
				Flavor: flavor, Schema: keylessSchema + "; CREATE TABLE busy (id INT PRIMARY KEY AUTO_INCREMENT, x INT); CREATE TABLE none (n INT)",
				Pipeline: ", snapshot: {mode: initial}",
			})
			r.grow(t, 1<<15)
			stop := r.insert(ctx, t, "INSERT INTO shop.busy (x) VALUES (1)")
			for _, at := range []string{"snapshot.open=1*kill", "snapshot.read=2*kill", "snapshot.merge=4*kill"} {
				r.mustStart(t, "CDCD_FAILPOINTS="+at)
				select {
				case <-r.Daemon.Done():
				case <-ctx.Done():
					t.Fatalf("%s was never reached", at)
				}
			}
			r.mustStart(t)
			r.mustFinish(ctx, t)
			r.DB.MustExec(t, "DELETE FROM shop.log WHERE n = 7; UPDATE shop.log SET n = -1 WHERE n = 8; INSERT INTO shop.none VALUES (3)")
			stop()
			r.mustLeave(ctx, t)
			r.wantBag(ctx, t, "log")
			r.wantBag(ctx, t, "none")
		})
	}
}

// insert runs a statement again and again, until it is stopped.
func (r *Rig) insert(ctx context.Context, t *testing.T, sql string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		for {
			if err := r.DB.Exec(ctx, sql); err != nil {
				done <- err
				return
			}
		}
	}()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

// TestSnapshotKeylessTouched: a table without a key that changes during each read
// stops the pipeline by name, and is read once its writers rest.
func TestSnapshotKeylessTouched(t *testing.T) {
	r, ctx := newRig(t, RigOptions{Schema: keylessSchema, Pipeline: ", snapshot: {mode: initial}"})
	r.slowSource(t) // a read takes longer than a change
	stop := func() {}
	for range 3 {
		before, next := stop, r.insert(ctx, t, "INSERT INTO shop.log VALUES (2, '')")
		stop = func() { before(); next() }
	}
	r.mustStart(t)
	r.wantStop(t, "snapshot_table_busy", "shop.log", "exclude: [shop.log]")
	stop()
	r.mustStart(t)
	r.mustFinish(ctx, t)
	r.mustLeave(ctx, t)
	r.wantBag(ctx, t, "log")
}
