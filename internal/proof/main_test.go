package proof

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// newRig starts a rig for a test; the test's end takes it down.
func newRig(t *testing.T, o RigOptions) (*Rig, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	r, err := NewRig(ctx, testenv.ForTest(t).Env, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if t.Failed() && r.Daemon.cmd != nil {
			t.Logf("end of the daemon's log:\n%s", r.Daemon.Log())
		}
	})
	return r, ctx
}

func (r *Rig) mustStart(t *testing.T, env ...string) {
	t.Helper()
	if err := r.Daemon.Start(env...); err != nil {
		t.Fatal(err)
	}
}

// mustSettle waits until everything written is delivered, then judges.
func (r *Rig) mustSettle(ctx context.Context, t *testing.T, exactlyOnce bool) Judgement {
	t.Helper()
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	return r.judged(ctx, t, exactlyOnce)
}

// judged lets the judge look at what is delivered.
func (r *Rig) judged(ctx context.Context, t *testing.T, exactlyOnce bool) Judgement {
	t.Helper()
	j, err := r.Judge(ctx, exactlyOnce)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range j.Violations {
		if i == 20 {
			t.Errorf("… and %d more", len(j.Violations)-i)
			break
		}
		t.Error(v)
	}
	if j.Committed == 0 || j.Transactions+j.Read < j.Committed {
		t.Errorf("the judge saw too little to judge: %+v", j)
	}
	t.Logf("%d records, %d changes, %d of them rows that were read by %d processes, %d transactions; ledger: %d committed, %d rolled back, %d unknown",
		j.Records, j.Changes, j.Read, j.ReadBy, j.Transactions, j.Committed, j.RolledBack, j.Unknown)
	return j
}

// wantStop waits for the daemon to end with an error, and its log to say why.
func (r *Rig) wantStop(t *testing.T, words ...string) {
	t.Helper()
	select {
	case <-r.Daemon.Done():
	case <-time.After(awaitLimit):
		t.Fatalf("the daemon goes on:\n%s", r.Daemon.Log())
	}
	if r.Daemon.Err() == nil {
		t.Error("the daemon ended with status 0")
	}
	for _, want := range words {
		if !strings.Contains(r.Daemon.Log(), want) {
			t.Errorf("the log does not say %q:\n%s", want, r.Daemon.Log())
		}
	}
}

func (r *Rig) mustRun(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	if err := r.Load.Run(ctx, n); err != nil {
		t.Fatal(err)
	}
}

func consumeCount(topic string, n int) testenv.ConsumeOptions {
	return testenv.ConsumeOptions{Topics: []string{topic}, Count: n}
}

// secondDaemon starts another daemon for the same pipeline: with a folder, a
// checkpoint store and a socket of its own, as on another machine.
func (r *Rig) secondDaemon(t *testing.T) error {
	text, err := os.ReadFile(r.Daemon.Config)
	if err != nil {
		return err
	}
	dir := t.TempDir()
	socket := r.Socket + "2"
	config := strings.NewReplacer(r.Socket, socket, filepath.Join(r.Dir, "checkpoints"), filepath.Join(dir, "checkpoints")).Replace(string(text))
	path := filepath.Join(dir, "cdcd.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return err
	}
	first := r.Daemon
	t.Cleanup(first.Kill)
	r.Daemon = &Daemon{Bin: first.Bin, Dir: dir, Config: path, Env: first.Env}
	r.Socket = socket
	return r.Daemon.Start()
}
