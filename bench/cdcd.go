package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/format/debezium"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/file"
)

// cdcd runs one pipeline over the log, from the target's start to its end. A
// target without an end is followed until standard input is closed.
func cdcd(ctx context.Context, t target, dst sink.Sink) (counts, error) {
	var c counts
	cp, err := checkpoint.Decode(t.Checkpoint)
	if err != nil {
		return c, err
	}
	store := &memory{cp: cp, name: "bench"}
	cfg := pipeline.DefaultConfig()
	cfg.Name, cfg.Installation, cfg.SaveInterval = "bench", "bench", 5*time.Millisecond
	cfg.Buffer.SpillDir = filepath.Join(t.Dir, "spill")
	if os.Getenv("GOMEMLIMIT") == "" { // as the daemon does
		debug.SetMemoryLimit(pipeline.MemoryLimit(cfg))
	}
	if t.Snapshot != "" {
		cfg.Snapshot.Mode, cfg.Snapshot.MaxRowsPerSecond = t.Snapshot, t.SnapshotRate
	}
	var rows, raw atomic.Int64
	p, err := pipeline.New(cfg, pipeline.Deps{
		Source: t.source(), Sink: dst, Store: store,
		Encoder: func(r *format.Routes, f event.Flavor) format.Encoder {
			return debezium.New(debezium.DefaultConfig(), debezium.Deps{Source: "bench", Flavor: f, Routes: r})
		},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Observer: pipeline.Observer{UnitDone: func(u pipeline.UnitStats) {
			rows.Add(int64(u.Rows))
			raw.Add(int64(u.RawBytes))
		}},
	})
	if err != nil {
		return c, err
	}
	soft, stop := context.WithCancel(ctx)
	defer stop()
	store.reached = func(cp checkpoint.Checkpoint) {
		if t.EndGTIDs != "" && cp.Position.GTIDs.String() == t.EndGTIDs {
			stop()
		}
	}
	if t.EndGTIDs == "" && t.Snapshot != pipeline.SnapshotOnly {
		go awaitEndOfInput(stop)
	}
	err = p.Run(soft, ctx)
	c.Rows, c.Bytes = rows.Load(), raw.Load()
	return c, err
}

func awaitEndOfInput(then func()) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	then()
}

func toFile(ctx context.Context, t target) (counts, error) {
	cfg := file.DefaultConfig()
	cfg.Path = filepath.Join(t.Dir, "out.jsonl")
	return cdcd(ctx, t, file.New(cfg))
}

// memory is a checkpoint store that says when it was told of a position.
type memory struct {
	cp      checkpoint.Checkpoint
	name    string
	reached func(checkpoint.Checkpoint)
}

func (m *memory) Load(context.Context, string) (checkpoint.Checkpoint, error) { return m.cp, nil }

func (m *memory) Save(_ context.Context, cp checkpoint.Checkpoint) error {
	m.cp = cp
	m.reached(cp)
	return nil
}
