package proof

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// reconfigure replaces a text of the daemon's configuration.
func (r *Rig) reconfigure(t *testing.T, old, new string) {
	t.Helper()
	text, err := os.ReadFile(r.Daemon.Config)
	if err == nil && !strings.Contains(string(text), old) {
		t.Fatalf("the configuration has no %q:\n%s", old, text)
	}
	if err == nil {
		err = os.WriteFile(r.Daemon.Config, []byte(strings.Replace(string(text), old, new, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readRows counts the rows that were read, by table.
func (r *Rig) readRows(ctx context.Context, t *testing.T) map[string]int {
	t.Helper()
	recs, err := r.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := ParseChanges(recs)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, c := range changes {
		if c.Op == "r" {
			n[strings.TrimPrefix(c.Topic, "shop.shop.")]++
		}
	}
	return n
}

// TestSnapshotPlanning: each table is read once, whatever is restarted; one that
// the configuration includes later is read then, one that was created while the
// pipeline ran is not; and with mode only the daemon ends by itself.
func TestSnapshotPlanning(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		Schema:   "CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO a VALUES (1),(2),(3); INSERT INTO b VALUES (1),(2)",
		Pipeline: ", snapshot: {mode: initial}",
	})
	r.reconfigure(t, `include: ["shop.*"]`, `include: ["shop.*"], exclude: ["shop.b"]`)
	settle := func() {
		t.Helper()
		r.mustStart(t)
		err := r.AwaitSnapshot(ctx)
		if err == nil {
			err = r.AwaitCaughtUp(ctx)
		}
		if err == nil {
			err = r.Daemon.Stop(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(a, b, c int) {
		t.Helper()
		if n := r.readRows(ctx, t); n["a"] != a || n["b"] != b || n["c"] != c {
			t.Errorf("rows read: %v, want a %d, b %d, c %d", n, a, b, c)
		}
	}
	settle()
	want(3, 0, 0)

	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	if err := r.DB.Exec(ctx, "USE shop; CREATE TABLE c (id INT PRIMARY KEY); INSERT INTO c VALUES (1),(2),(3),(4)"); err != nil {
		t.Fatal(err)
	}
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	r.Daemon.Kill()
	settle()
	want(3, 0, 0) // a is known, c came by the stream

	r.reconfigure(t, `, exclude: ["shop.b"]`, "")
	settle()
	want(3, 2, 0)
	r.mustStart(t)
	if err := r.AwaitSnapshot(ctx); err != nil {
		t.Fatal(err)
	}
	r.wantListed(ctx, t, "shop.a 3", "shop.b 2") // of which the checkpoint tells
	err := r.Daemon.Command(ctx, r.Socket, "shop-events", "snapshot", `{"verb":"cancel","tables":["shop.a"]}`)
	if err == nil || !strings.Contains(err.Error(), "nobody reads shop.a") {
		t.Errorf("a table that nobody reads was given up: %v", err)
	}
	if err := r.Daemon.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	want(3, 2, 0)
}

// wantListed compares the tables that the daemon lists as done, with their rows.
func (r *Rig) wantListed(ctx context.Context, t *testing.T, want ...string) {
	t.Helper()
	p, err := r.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Snapshot {
		if s.Done {
			got = append(got, fmt.Sprintf("%s %d", s.Table, s.Rows))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

// TestSnapshotOnly: the daemon delivers what there is, and ends.
func TestSnapshotOnly(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		Schema:   "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1),(2),(3); CREATE TABLE b (id INT PRIMARY KEY)",
		Pipeline: ", snapshot: {mode: only, where: {shop.a: 'id > 1'}}",
	})
	r.mustStart(t)
	select {
	case <-r.Daemon.Done():
	case <-ctx.Done():
		t.Fatal("the daemon does not end")
	}
	if err := r.Daemon.Err(); err != nil {
		t.Fatalf("%v\n%s", err, r.Daemon.Log())
	}
	if n := r.readRows(ctx, t); n["a"] != 2 || n["b"] != 0 {
		t.Errorf("rows read: %v, want two of a", n)
	}
}

// TestSnapshotHeldBack: a busy source and a paused snapshot hold the readers
// back, the reason shows, and the stream goes on meanwhile.
func TestSnapshotHeldBack(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		Schema:   "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1),(2),(3),(4),(5),(6)",
		Pipeline: ", snapshot: {mode: initial, chunk_rows: 1, max_running: 10, readers: 1}",
	})
	var sleepers errgroup.Group
	for range 12 {
		sleepers.Go(func() error { return r.DB.Exec(ctx, "DO SLEEP(60)") })
	}
	r.mustStart(t)
	held := func(p PipelineStatus) bool {
		return len(p.Snapshot) == 1 && strings.Contains(p.Snapshot[0].Held, "statements")
	}
	if err := r.await(ctx, "the reader to wait", held); err != nil {
		t.Fatal(err)
	}
	if err := r.DB.Exec(ctx, "INSERT INTO shop.a VALUES (100)"); err != nil {
		t.Fatal(err)
	}
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	if p, err := r.Pipeline(ctx); err != nil || !held(p) {
		t.Errorf("the reader does not wait any more: %+v, %v", p.Snapshot, err)
	}
	for _, row := range r.DB.MustQuery(t, "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP%'") {
		r.DB.MustExec(t, "KILL QUERY "+*row[0])
	}
	if err := sleepers.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := r.await(ctx, "the table to be read", func(p PipelineStatus) bool { return len(p.Snapshot) == 1 && p.Snapshot[0].Done }); err != nil {
		t.Fatal(err)
	}
	if n := r.readRows(ctx, t); n["a"] < 6 {
		t.Errorf("rows read: %v", n)
	}
}
