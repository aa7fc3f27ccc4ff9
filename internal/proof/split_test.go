package proof

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// splitPoints are the steps at which the daemon is killed while it delivers one
// transaction in parts, each with the visit that strikes.
var splitPoints = []struct {
	name string
	at   int
}{
	{"kafka.split", 1}, {"kafka.end.before", 2}, {"kafka.split.after", 1}, {"kafka.produce.after", 5},
	{"read.rows", 50}, {"checkpoint.file.renamed", 1}, {"kafka.split", 2}, {"kafka.end.after", 3}, {"kafka.split.after", 2},
}

// splitRig is a daemon that may keep Kafka transactions open for few seconds, and
// a broker that takes what it sends slowly.
func splitRig(t *testing.T) (*Rig, *testenv.Proxy, context.Context) {
	r, proxy, ctx := brokerProxy(t, RigOptions{
		Sink: ", oversize_transaction: split, transaction_timeout: 5s, request_timeout: 4s, compression: none, inflight_bytes: 2MiB, batch_bytes: 100KiB",
	})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	return r, proxy, ctx
}

// TestKillSweepInParts: a transaction that takes far longer than a Kafka
// transaction may comes in parts; the daemon is killed at each step of that and
// goes on behind the last whole part. Every row comes once and in order.
func TestKillSweepInParts(t *testing.T) {
	r, proxy, ctx := splitRig(t)
	r.mustRun(ctx, t, 25)
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	r.Daemon.Kill()
	const rows, perInsert = 2000, 100
	if err := r.giant(ctx, rows, perInsert); err != nil {
		t.Fatal(err)
	}
	r.mustRun(ctx, t, 25)
	proxy.Bandwidth(testenv.ToServer, 1_000_000)
	for _, p := range splitPoints {
		r.killedAt(t, p.name, p.at)
	}
	r.otherRowsStop(t)
	r.mustStart(t)
	r.InParts = rows - 1
	r.mustSettle(ctx, t, true)
	r.wantParts(ctx, t, rows)
}

// killedAt runs the daemon until the failpoint has killed it.
func (r *Rig) killedAt(t *testing.T, name string, at int) {
	t.Helper()
	failpoint := name + "=" + strconv.Itoa(at) + "*kill"
	r.mustStart(t, "CDCD_FAILPOINTS="+failpoint)
	defer r.Daemon.Kill()
	select {
	case <-r.Daemon.Done():
		if !r.Daemon.Killed() {
			t.Errorf("%s: the daemon ended by itself: %v\n%s", failpoint, r.Daemon.Err(), r.Daemon.Log())
		}
	case <-time.After(30 * time.Second):
		t.Errorf("%s was never reached", failpoint)
	}
}

// otherRowsStop starts the daemon with another filter in the middle of the
// transaction: the rows that are done can no longer be told, so it stops by
// name. The filter is set back.
func (r *Rig) otherRowsStop(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(r.Daemon.Config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `include: ["shop.*"]`, `include: ["shop.*"], exclude: ["shop.giant"]`, 1)
	if changed == string(text) {
		t.Fatalf("the configuration has no such filter:\n%s", text)
	}
	if err := os.WriteFile(r.Daemon.Config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r.mustStart(t)
	r.wantStop(t, "partial_transaction_changed", "tables.include")
	if err := os.WriteFile(r.Daemon.Config, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantParts looks at the rows of the giant: they came in several parts, by
// several processes, and hold what was written.
func (r *Rig) wantParts(ctx context.Context, t *testing.T, rows int) {
	t.Helper()
	recs, err := r.Kafka.Consume(ctx, consumeCount(r.Topic("giant"), rows))
	if err != nil {
		t.Fatal(err)
	}
	all := make([]Record, len(recs))
	for i := range recs {
		all[i] = FromEnv(recs[i])
	}
	changes, err := ParseChanges(all)
	if err != nil {
		t.Fatal(err)
	}
	terms := map[uint64]int{}
	for _, c := range changes {
		terms[c.Term]++
		if id := strconv.FormatUint(c.Row-1, 10); string(c.After["id"]) != id {
			t.Fatalf("row %d has id %s", c.Row, c.After["id"])
		}
	}
	for _, n := range Parts(changes) {
		t.Logf("%d parts; rows by process: %v", n, terms)
		if n < 4 || len(terms) < 4 {
			t.Errorf("%d parts by %d processes: too few to show anything", n, len(terms))
		}
	}
}
