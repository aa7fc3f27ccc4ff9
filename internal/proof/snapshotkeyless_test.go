package proof

import (
	"context"
	"os/exec"
	"strings"
	"testing"
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
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	if n := r.readRows(ctx, t); n["a"] != 3 || n["b"]+n["log"] != 0 {
		t.Errorf("rows read: %v, want three of a", n)
	}
	if err := r.Daemon.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	r.reconfigure(t, "[shop.log, shop.b]", "[shop.log]")
	r.mustStart(t)
	r.mustFinish(ctx, t)
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	if n := r.readRows(ctx, t); n["a"] != 3 || n["b"] != 2 || n["log"] != 0 {
		t.Errorf("rows read: %v, want three of a and two of b", n)
	}
	if err := r.Daemon.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	r.reconfigure(t, "[shop.log]", "[]")
	if out := r.check(ctx); !strings.Contains(out, "shop.log") || !strings.Contains(out, "to cut chunks by") {
		t.Errorf("check does not name the table without a key:\n%s", out)
	}
	r.mustStart(t)
	r.wantStop(t, "snapshot_no_key", "exclude: [shop.log]")
}
