package proof

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// addSide gives the daemon a second pipeline, side-events, of the table side.t.
func (r *Rig) addSide(ctx context.Context) error {
	err := r.DB.Exec(ctx, "CREATE DATABASE side; CREATE TABLE side.t (id INT PRIMARY KEY) ENGINE=InnoDB")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(r.Daemon.Config)
	if err != nil {
		return err
	}
	sink := "\nsinks:\n"
	source := fmt.Sprintf("\n  side: {hosts: [%q], user: %s, password: \"${env:CDCD_MYSQL_PASSWORD}\", tables: {include: [\"side.*\"]}}", r.DB.Addr(), testenv.ReaderUser)
	added := strings.Replace(string(text), sink, source+sink, 1)
	added = strings.Replace(added, "\npipelines:\n", "\npipelines:\n  side-events: {source: side, sink: events}\n", 1)
	return os.WriteFile(r.Daemon.Config, []byte(added), 0o600)
}

// awaitPipeline polls the status of one of several pipelines.
func (r *Rig) awaitPipeline(ctx context.Context, name string, ok func(PipelineStatus) bool) error {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	return Eventually(ctx, name, func() (bool, error) {
		list, err := r.Daemon.Status(ctx, r.Socket)
		if err != nil {
			return r.ended(err)
		}
		for _, p := range list {
			if p.Name == name && ok(p) {
				return true, nil
			}
		}
		return false, fmt.Errorf("pipelines are %+v", list)
	})
}

func running(p PipelineStatus) bool { return p.State == "running" }

// fullLog is all that the daemon wrote since the rig began.
func (r *Rig) fullLog(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(r.Daemon.Dir + "/daemon.log")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestHungStageStopsItsPipelineOnly: a stage that never returns cannot be
// restarted, since it may still write. Its pipeline stops, by name and with the
// goroutines in the log; the one beside it goes on; a new process loses nothing.
func TestHungStageStopsItsPipelineOnly(t *testing.T) {
	r, ctx := newRig(t, RigOptions{Pipeline: ", stall_after: 2s"})
	if err := r.addSide(ctx); err != nil {
		t.Fatal(err)
	}
	r.mustStart(t, "CDCD_FAILPOINTS=encode.piece=5*hang")
	for _, name := range []string{"shop-events", "side-events"} {
		if err := r.awaitPipeline(ctx, name, running); err != nil {
			t.Fatal(err)
		}
	}
	r.mustRun(ctx, t, 25)
	if err := r.awaitPipeline(ctx, "shop-events", func(p PipelineStatus) bool { return p.State == "stopped" }); err != nil {
		t.Fatal(err)
	}
	err := r.awaitPipeline(ctx, "shop-events", func(p PipelineStatus) bool {
		return p.ErrorCode == "stage_hangs" && strings.Contains(p.Error, "encode") && p.Hint != ""
	})
	if err != nil {
		t.Error(err)
	}
	log := r.fullLog(t)
	for _, want := range []string{"stage makes no progress", "stage does not end", "internal/failpoint.action.run"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell %q", want)
		}
	}
	if err := r.DB.Exec(ctx, "INSERT INTO side.t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if recs, err := r.Kafka.Consume(ctx, consumeCount("side.side.t", 1)); err != nil || len(recs) != 1 {
		t.Errorf("the other pipeline delivered %d records, %v", len(recs), err)
	}
	if err := r.awaitPipeline(ctx, "side-events", running); err != nil {
		t.Error(err)
	}

	r.Daemon.Kill()
	r.mustStart(t)
	want, err := r.DB.Scalar(ctx, "SELECT REPLACE(@@global.gtid_executed, '\n', '')")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.awaitPipeline(ctx, "shop-events", func(p PipelineStatus) bool { return p.GTIDs == want }); err != nil {
		t.Fatal(err)
	}
	r.judged(ctx, t, true)
}

// TestSlowStageRestartsItsLine: a stage that comes back late finds its line
// gone; nothing of it is sent, and the next line delivers everything once.
func TestSlowStageRestartsItsLine(t *testing.T) {
	r, ctx := newRig(t, RigOptions{Pipeline: ", stall_after: 2s"})
	r.mustStart(t, "CDCD_FAILPOINTS=encode.piece=5*delay(6s)")
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	r.mustRun(ctx, t, 25)
	r.mustSettle(ctx, t, true)
	if log := r.fullLog(t); !strings.Contains(log, "stage makes no progress") || !strings.Contains(log, "going on from the checkpoint") {
		t.Error("the log does not tell of the stall")
	}
	if p, err := r.Pipeline(ctx); err != nil || p.State != "running" {
		t.Errorf("afterwards: %+v, %v", p, err)
	}
}
