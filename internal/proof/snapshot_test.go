package proof

import (
	"context"
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
	err := r.AwaitSnapshot(ctx)
	if err != nil {
		p, _ := r.Pipeline(ctx)
		t.Fatalf("%v: %+v", err, p.Snapshot)
	}
}

// slowSource leads the daemon to the source by a slow road, so that a snapshot
// takes its time and others have time to write between any two steps.
func (r *Rig) slowSource(t *testing.T) *testenv.Proxy {
	t.Helper()
	proxy, err := testenv.NewProxy(r.DB.Addr(), testenv.Raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	proxy.Latency(testenv.ToClient, 2*time.Millisecond, 4*time.Millisecond)
	if err := r.readThrough(proxy.Addr()); err != nil {
		t.Fatal(err)
	}
	return proxy
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

// snapshotPoints are the steps at which the daemon is killed while tables are
// read, each with the visit that strikes. The first commit of a process is that
// of its claim.
var snapshotPoints = []struct {
	name string
	at   int
}{
	{"snapshot.open", 1}, {"snapshot.read", 2}, {"snapshot.merge", 1}, {"snapshot.merge", 12}, {"snapshot.read", 29},
	{"dispatch.unit", 20}, {"encode.unit", 20}, {"send.before", 20}, {"send.ack", 10}, {"save.before", 2}, {"save.after", 2},
	{"checkpoint.file.written", 2}, {"checkpoint.file.renamed", 2},
	{"kafka.produce.before", 15}, {"kafka.produce.after", 15}, {"kafka.seal", 2}, {"kafka.seal", 10},
	{"kafka.end.before", 7}, {"kafka.end.before", 14}, {"kafka.end.after", 7}, {"kafka.end.after", 14},
}

// TestSnapshotKilled kills the daemon at each step while tables are read: it
// goes on from the last chunk that left, and nothing comes twice.
func TestSnapshotKilled(t *testing.T) {
	r, ctx := snapshotRig(t, RigOptions{})
	r.reconfigure(t, "chunk_rows: 40", "chunk_rows: 15")
	r.slowSource(t)
	r.Load.Writers = 2
	stop := r.writing(ctx, t)
	for _, p := range snapshotPoints {
		r.killedAt(t, p.name, p.at)
	}
	r.reconfigure(t, "chunk_rows: 15", "chunk_rows: 4000")
	r.mustStart(t)
	r.mustFinish(ctx, t) // fails if nothing was left to be read
	stop()
	j := r.mustSettle(ctx, t, true)
	if j.ReadBy < len(snapshotPoints)/3 {
		t.Errorf("rows were read by %d processes only", j.ReadBy)
	}
}

// TestSnapshotAtLeastOnce: without transactions rows may come again after a
// kill, but none is lost, none is stale in the end, and no id stands for two
// different chunks.
func TestSnapshotAtLeastOnce(t *testing.T) {
	r, ctx := snapshotRig(t, RigOptions{Delivery: "at_least_once"})
	r.slowSource(t)
	r.Load.Writers = 2
	stop := r.writing(ctx, t)
	for _, name := range []string{"snapshot.merge", "kafka.produce.after", "send.ack"} {
		r.killedAt(t, name, 12)
	}
	r.mustStart(t)
	r.mustFinish(ctx, t)
	stop()
	if j := r.mustSettle(ctx, t, false); j.Read == 0 {
		t.Error("no row was read")
	}
}
