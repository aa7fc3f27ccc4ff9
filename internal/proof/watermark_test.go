package proof

import (
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// noGTIDs is a source whose log is read by file and offset, and whose tables by
// the watermark.
func noGTIDs() RigOptions {
	return RigOptions{Reading: ", watermark: cdcd.watermark", MySQL: map[string]string{
		"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF", "sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1",
	}}
}

// mayMark lets the daemon's account make and write the watermark table.
func (r *Rig) mayMark(t *testing.T) {
	t.Helper()
	r.DB.MustExec(t, "GRANT CREATE, SELECT, INSERT, UPDATE ON cdcd.* TO "+testenv.ReaderUser)
}

// TestSnapshotHotRowsWithoutGTIDs is TestSnapshotHotRows by watermark.
func TestSnapshotHotRowsWithoutGTIDs(t *testing.T) {
	r, l, ctx := hotRig(t, noGTIDs())
	r.mayMark(t)
	r.mustStart(t)
	l.through(ctx, t)
}

// TestSnapshotKilledWithoutGTIDs kills the daemon, and once the source, while
// tables are read by watermark.
func TestSnapshotKilledWithoutGTIDs(t *testing.T) {
	r, ctx := snapshotRig(t, noGTIDs())
	r.mayMark(t)
	r.slowSource(t)
	r.Load.Writers = 2
	stop := r.writing(ctx, t)
	for _, name := range []string{"snapshot.open", "snapshot.read", "snapshot.merge", "kafka.end.before", "kafka.end.after"} {
		r.killedAt(t, name, 8)
	}
	r.mustStart(t)
	r.again(ctx, t)
	if err := r.DB.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.DB.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	r.mustFinish(ctx, t)
	stop()
	if j := r.mustSettle(ctx, t, true); j.ReadBy < 2 {
		t.Errorf("rows were read by %d processes only", j.ReadBy)
	}
}
