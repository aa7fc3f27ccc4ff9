package proof

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// killPoints are the steps at which the daemon is killed, each with the visit
// that strikes. Every one must be reached, or the sweep fails.
var killPoints = []struct {
	name string
	at   int
}{
	{"read.open", 1}, {"read.reset", 1}, {"read.begin", 20}, {"read.rows", 30}, {"read.commit", 10},
	{"read.ddl", 1}, {"read.heartbeat", 1},
	{"dispatch.unit", 3}, {"encode.piece", 5}, {"encode.unit", 2},
	{"send.before", 1}, {"send.before", 4}, {"send.after", 2}, {"send.ack", 1}, {"send.ack", 5},
	{"save.before", 1}, {"save.after", 1},
	{"checkpoint.file.written", 1}, {"checkpoint.file.renamed", 2},
	{"kafka.connect.init", 1}, {"kafka.connect.read", 1},
	{"kafka.partitions.before", 1}, {"kafka.partitions.after", 2},
	{"kafka.produce.before", 2}, {"kafka.produce.after", 1}, {"kafka.produce.after", 3},
	{"kafka.seal", 2},
	{"kafka.end.before", 1}, {"kafka.end.before", 5}, {"kafka.end.after", 1}, {"kafka.end.after", 4},
}

// TestKillSweep kills the daemon at each point while writers write, and lets
// the judge look when all is over.
func TestKillSweep(t *testing.T) {
	r, ctx := newRig(t, RigOptions{})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	r.Daemon.Kill()
	r.Load.DDL = true
	for _, p := range killPoints {
		r.strike(ctx, t, fmt.Sprintf("%s=%d*kill", p.name, p.at))
	}
	r.mustStart(t)
	r.mustSettle(ctx, t, true)
}

// strike runs the daemon until the failpoint has killed it, while writers write.
func (r *Rig) strike(ctx context.Context, t *testing.T, failpoint string) {
	t.Helper()
	r.mustStart(t, "CDCD_FAILPOINTS="+failpoint)
	defer r.Daemon.Kill()
	limit := time.After(30 * time.Second)
	for {
		r.mustRun(ctx, t, 25)
		select {
		case <-r.Daemon.Done():
			if !r.Daemon.Killed() {
				t.Errorf("%s: the daemon ended by itself: %v\n%s", failpoint, r.Daemon.Err(), r.Daemon.Log())
			}
			return
		case <-limit:
			t.Errorf("%s was never reached", failpoint)
			return
		case <-time.After(100 * time.Millisecond): // the next burst
		}
	}
}

// TestSoakRandomKill kills the daemon at random moments under load: for 15
// seconds, or for as long as CDCD_SOAK says.
func TestSoakRandomKill(t *testing.T) {
	r, ctx := newRig(t, RigOptions{})
	if d := soak(t); d > 5*time.Minute {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), d+10*time.Minute)
		defer cancel()
	}
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil { // the start position is stored
		t.Fatal(err)
	}
	r.Daemon.Kill()
	r.Load.BigRows, r.Load.DDL = 1000, true
	writing, stop := context.WithTimeout(ctx, soak(t))
	defer stop()
	wrote := make(chan error, 1)
	go func() { wrote <- r.Load.Run(writing, 0) }()
	kills := 0
	for writing.Err() == nil {
		r.mustStart(t)
		select {
		case <-time.After(200*time.Millisecond + rand.N(3*time.Second)):
		case <-writing.Done():
		}
		r.Daemon.Kill()
		kills++
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	r.mustStart(t)
	r.mustSettle(ctx, t, true)
	t.Logf("%d kills", kills)
}

func soak(t *testing.T) time.Duration {
	text := os.Getenv("CDCD_SOAK")
	if text == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CDCD_SOAK: %v", err)
	}
	return d
}
