package proof

import (
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// TestMirror: a random workload with DDL, TRUNCATE, large transactions,
// rollbacks, savepoints and key changes, folded from the topics, equals the
// tables; whole transactions, per-key order and no double at every prefix.
func TestMirror(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{Flavor: flavor})
			r.mustStart(t)
			if err := r.AwaitState(ctx, "running"); err != nil {
				t.Fatal(err)
			}
			r.Load.DDL, r.Load.BigRows = true, 20_000
			r.mustRun(ctx, t, 400)
			r.mustSettle(ctx, t, true)
			if err := r.Daemon.Stop(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCompressed: transactions that the source compresses are as good as others.
func TestCompressed(t *testing.T) {
	r, ctx := newRig(t, RigOptions{MySQL: map[string]string{"binlog_transaction_compression": "ON"}})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	r.Load.BigRows = 20_000
	r.mustRun(ctx, t, 200)
	r.mustSettle(ctx, t, true)
}

// TestAtLeastOnce: a kill may double a suffix, and loses nothing.
func TestAtLeastOnce(t *testing.T) {
	r, ctx := newRig(t, RigOptions{Delivery: "at_least_once"})
	for range 4 {
		r.mustStart(t)
		if err := r.AwaitState(ctx, "running"); err != nil {
			t.Fatal(err)
		}
		r.mustRun(ctx, t, 100)
		r.Daemon.Kill()
	}
	r.mustStart(t)
	r.mustSettle(ctx, t, false)
}
