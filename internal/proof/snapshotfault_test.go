package proof

import (
	"context"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// again has every table read from its start, so that tables are being read when
// the next fault strikes.
func (r *Rig) again(ctx context.Context, t *testing.T) {
	t.Helper()
	r.snapshot(ctx, t, `{"verb":"start"}`)
	err := r.await(ctx, "tables to be read again", func(p PipelineStatus) bool {
		for _, s := range p.Snapshot {
			if !s.Done && s.Rows > 0 {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot asks the daemon, until its line takes requests.
func (r *Rig) snapshot(ctx context.Context, t *testing.T, request string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	if err := Eventually(ctx, request, func() (bool, error) {
		err := r.Daemon.Command(ctx, r.Socket, "shop-events", "snapshot", request)
		return err == nil, err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotFaults: connections of the table readers break in the middle of a
// chunk and go silent, the source and the broker are killed, the pipeline is
// paused, tables are asked for again and cancelled while they are read.
func TestSnapshotFaults(t *testing.T) {
	o := RigOptions{MySQL: map[string]string{"sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1"}}
	r, ctx := snapshotRig(t, o)
	proxy := r.slowSource(t)
	r.Load.Writers = 1
	r.mustStart(t)
	stop := r.writing(ctx, t)
	for i := range 4 {
		r.again(ctx, t)
		hit := proxy.CutAfter(testenv.ToClient, int64(9_000+7_001*i))
		proxy.Reset()
		if err := Eventually(ctx, "cut to strike", func() (bool, error) { return hit.Reached(), nil }); err != nil {
			t.Fatal(err)
		}
	}
	faults := []struct {
		name string
		do   func() error
	}{
		{"source silent", func() error {
			proxy.Blackhole(testenv.ToClient, true)
			err := r.AwaitState(ctx, "retrying")
			proxy.Blackhole(testenv.ToClient, false)
			proxy.Reset()
			return err
		}},
		{"source killed", func() error {
			if err := r.DB.Kill(); err != nil {
				return err
			}
			return r.DB.Restart(ctx)
		}},
		{"broker killed", func() error {
			if err := r.Kafka.Kill(); err != nil {
				return err
			}
			return r.Kafka.Restart(ctx)
		}},
		{"pipeline paused", func() error {
			if err := r.Daemon.Command(ctx, r.Socket, "shop-events", "pause", ""); err != nil {
				return err
			}
			if err := r.AwaitState(ctx, "paused"); err != nil {
				return err
			}
			return r.Daemon.Command(ctx, r.Socket, "shop-events", "resume", "")
		}},
		{"snapshots paused, begun anew, cancelled", func() error {
			for _, q := range []string{
				`{"verb":"pause"}`, `{"verb":"start"}`, `{"verb":"cancel","tables":["shop.ledger"]}`, `{"verb":"resume"}`,
				`{"verb":"start","tables":["shop.ledger"]}`, `{"verb":"start","tables":["shop.scratch","shop.ledger"]}`, `{"verb":"cancel"}`,
			} {
				r.snapshot(ctx, t, q)
			}
			return nil
		}},
	}
	for _, f := range faults {
		r.again(ctx, t)
		began := time.Now()
		if err := f.do(); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		t.Logf("%s: %s", f.name, time.Since(began).Round(time.Millisecond))
	}
	r.again(ctx, t)
	proxy.Heal()
	r.mustFinish(ctx, t)
	stop()
	r.mustSettle(ctx, t, true)
}
