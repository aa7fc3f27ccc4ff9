package proof

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// snapshotRig has rows before the daemon starts, and a daemon that reads them in
// small chunks.
func snapshotRig(t *testing.T, o RigOptions) (*Rig, context.Context) {
	o.Pipeline = ", snapshot: {mode: initial, chunk_rows: 40, readers: 3}"
	r, ctx := newRig(t, o)
	r.Load.BigRows = 3000
	r.mustRun(ctx, t, 300)
	return r, ctx
}

// mustFinish waits until every table is read.
func (r *Rig) mustFinish(ctx context.Context, t *testing.T) {
	t.Helper()
	r.mustFinishAll(ctx, t, len(mirrored))
}

func (r *Rig) mustFinishAll(ctx context.Context, t *testing.T, tables int) {
	t.Helper()
	err := r.await(ctx, "snapshots to end", func(p PipelineStatus) bool {
		done := 0
		for _, s := range p.Snapshot {
			if s.Done {
				done++
			}
		}
		return done == tables
	})
	if err != nil {
		p, _ := r.Pipeline(ctx)
		t.Fatalf("%v: %+v", err, p.Snapshot)
	}
}

// TestSnapshot: rows that were there before, read in chunks while writers write
// and alter, and the changes together equal the tables; no row goes backwards
// at any prefix.
func TestSnapshot(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := snapshotRig(t, RigOptions{Flavor: flavor, Race: true})
			r.Load.DDL = true
			stop := r.writing(ctx, t)
			r.mustStart(t)
			r.mustFinish(ctx, t)
			stop()
			j := r.mustSettle(ctx, t, true)
			if j.Read == 0 {
				t.Error("no row was read")
			}
			r.secondOpinion(ctx, t, j)
			if err := r.Daemon.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(r.Daemon.Log(), "DATA RACE") {
				t.Error("the race detector found something: see the daemon's log")
			}
		})
	}
}

// TestSnapshotKilled kills the daemon at each step of a snapshot: it goes on
// from the last chunk that left, and nothing comes twice.
func TestSnapshotKilled(t *testing.T) {
	r, ctx := snapshotRig(t, RigOptions{})
	stop := r.writing(ctx, t)
	for _, p := range []string{"snapshot.open=1", "snapshot.read=2", "snapshot.merge=1", "snapshot.merge=4", "snapshot.read=9"} {
		name, at, _ := strings.Cut(p, "=")
		r.mustStart(t, fmt.Sprintf("CDCD_FAILPOINTS=%s=%s*kill", name, at))
		select {
		case <-r.Daemon.Done():
		case <-time.After(30 * time.Second):
			t.Errorf("%s was never reached", p)
			r.Daemon.Kill()
		}
	}
	r.mustStart(t)
	r.mustFinish(ctx, t)
	stop()
	if j := r.mustSettle(ctx, t, true); j.Read == 0 {
		t.Error("no row was read")
	}
}
