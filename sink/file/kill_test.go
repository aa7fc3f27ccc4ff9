package file

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	checkpointfile "github.com/cdcd-io/cdcd/checkpoint/file"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/sink"
)

// childDir is set in the process that is there to be killed.
const childDir = "CDCD_TEST_FILE_SINK_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, deliverForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func killConfig(dir string) Config {
	cfg := DefaultConfig()
	cfg.Path, cfg.MaxBytes = filepath.Join(dir, "out.jsonl"), 20_000
	return cfg
}

// deliverForEver goes on from the stored checkpoint and stores it now and then,
// always behind what was delivered.
func deliverForEver(dir string) error {
	ctx := context.Background()
	store, err := checkpointfile.Open(checkpointfile.Config{Dir: dir, Installation: begun.Installation})
	if err != nil {
		return err
	}
	cp, err := store.Load(ctx, begun.Pipeline)
	if err != nil && !errors.Is(err, checkpoint.ErrNone) {
		return err
	}
	term := cp.Term + 1
	s := New(killConfig(dir))
	if cp, err = s.Connect(ctx, term, cp); err != nil {
		return err
	}
	if cp.IsZero() {
		cp = begun
		if err := s.Begin(ctx, cp); err != nil {
			return err
		}
	}
	cp.Term = term
	for {
		if err := store.Save(ctx, cp); err != nil {
			return err
		}
		for range rand.IntN(20) {
			if err := deliverOne(ctx, s, &cp); err != nil {
				return err
			}
		}
	}
}

// deliverOne delivers one transaction of some rows and moves cp behind it.
func deliverOne(ctx context.Context, s *Sink, cp *checkpoint.Checkpoint) error {
	p, route, seq := s.Packer(), &format.Route{Topic: "t"}, cp.Position.Seq+1
	p.Start(eventtest.Piece(eventtest.Tx(seq)))
	for row := range killRows(seq) {
		r := format.Record{Route: route, Value: []byte(`{"filler":"0123456789012345678901234567890123456789"}`), Ordinal: row + 1}
		if err := p.Emit(&r); err != nil {
			return err
		}
	}
	packed, err := p.Pack()
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	s.Send(ctx, sink.Batch{Packed: packed}, true, func(a sink.Ack, err error) {
		cp.Sink = a.State
		result <- err
	})
	cp.Position.Seq = seq
	return <-result
}

// killRows is how many rows a transaction of the test has.
func killRows(seq uint64) uint64 { return 1 + seq%7*seq%11 }

// TestKill9 kills the process while it writes, again and again: in the end each
// row is there once, in order, in whole lines.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		killAfter(t, dir, 1+rand.Int64N(150_000))
	}
	store, err := checkpointfile.Open(checkpointfile.Config{Dir: dir, Installation: begun.Installation})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	cp, err := store.Load(t.Context(), begun.Pipeline)
	if err != nil {
		t.Fatal(err)
	}
	s := connected(t, killConfig(dir), cp.Term+1, cp)
	closed(t, s)
	wantRows(t, records(t, killConfig(dir).Path), cp.Position.Seq)
}

// wantRows wants all rows of transactions 1 to last, and no more.
func wantRows(t *testing.T, got []record, last uint64) {
	t.Helper()
	if last == 0 {
		t.Fatal("nothing was delivered: the test tests nothing")
	}
	i := 0
	for seq := uint64(1); seq <= last; seq++ {
		for row := range killRows(seq) {
			if i >= len(got) || got[i].Seq != seq || got[i].Row != row+1 {
				t.Fatalf("line %d of %d is not row %d of transaction %d", i, len(got), row+1, seq)
			}
			i++
		}
	}
	if i != len(got) {
		t.Fatalf("%d lines after the checkpoint's transaction %d", len(got)-i, last)
	}
}

// killAfter runs the process until it wrote some bytes more, and kills it.
func killAfter(t *testing.T, dir string, bytes int64) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env, cmd.Stderr = append(os.Environ(), childDir+"="+dir), t.Output()
	until := written(dir) + bytes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); written(dir) < until; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the process does not write")
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
}

func written(dir string) (n int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !e.IsDir() {
			n += info.Size()
		}
	}
	return n
}
