package proof

import (
	"context"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// TestMirror: a random workload with DDL, TRUNCATE, large transactions,
// rollbacks, savepoints and key changes, folded from the topics, equals the
// tables; whole transactions, per-key order and no double at every prefix.
func TestMirror(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{Flavor: flavor, Race: true})
			r.mustStart(t)
			if err := r.AwaitState(ctx, "running"); err != nil {
				t.Fatal(err)
			}
			r.Load.DDL, r.Load.BigRows = true, 20_000
			r.mustRun(ctx, t, 400)
			j := r.mustSettle(ctx, t, true)
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

// secondOpinion asks another client library for the number of committed records.
func (r *Rig) secondOpinion(ctx context.Context, t *testing.T, j Judgement) {
	t.Helper()
	var topics []string
	for table := range mirrored {
		topics = append(topics, r.Topic(table))
	}
	recs, err := r.Kafka.ConsumeKcat(ctx, testenv.ConsumeOptions{Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	if len(recs) != j.Records {
		t.Errorf("kcat reads %d records, the Java consumer %d", len(recs), j.Records)
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
