package proof

import (
	"testing"
	"time"
)

// TestSnapshotToFile kills the daemon at each step while it reads tables into
// files: they go on without a gap and without a double, whole in themselves; and
// with mode only they hold the tables, and the daemon ends by itself.
func TestSnapshotToFile(t *testing.T) {
	r, ctx := snapshotRig(t, RigOptions{File: true, Sink: ", max_bytes: 300000"})
	r.reconfigure(t, "chunk_rows: 40", "chunk_rows: 15")
	r.slowSource(t)
	r.Load.Writers, r.Load.Pause = 2, 2*time.Millisecond
	stop := r.writing(ctx, t)
	for _, p := range []struct {
		name string
		at   int
	}{
		{"snapshot.open", 3}, {"snapshot.merge", 1}, {"snapshot.merge", 12}, {"encode.unit", 20}, {"send.before", 20}, {"send.ack", 10},
		{"save.before", 2}, {"save.after", 2}, {"checkpoint.file.written", 2}, {"checkpoint.file.renamed", 2},
	} {
		r.killedAt(t, p.name, p.at)
	}
	r.mustStart(t)
	r.mustFinish(ctx, t) // fails if nothing was left to be read
	stop()
	if j := r.mustSettle(ctx, t, true); j.Read == 0 {
		t.Error("no row was read")
	}
	if err := r.Daemon.Stop(ctx); err != nil {
		t.Fatal(err)
	}

	only := r.Output + "-only"
	r.reconfigure(t, r.Output, only)
	r.reconfigure(t, "checkpoints", "checkpoints-only")
	r.reconfigure(t, "mode: initial", "mode: only")
	r.Output = only
	r.killedAt(t, "snapshot.merge", 20)
	r.mustStart(t)
	if err := r.Daemon.Err(); err != nil {
		t.Errorf("%v\n%s", err, r.Daemon.Log())
	}
	if j := r.judged(ctx, t, true); j.Read != j.Changes {
		t.Errorf("%d changes beside %d rows", j.Changes-j.Read, j.Read)
	}
}
