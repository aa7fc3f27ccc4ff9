package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/format/debezium"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/file"
	"github.com/cdcd-io/cdcd/sink/kafka"
)

// cdcd runs one pipeline over the reference log, from its start to its end.
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
	var rows, raw atomic.Int64
	p, err := pipeline.New(cfg, pipeline.Deps{
		Source: t.source(), Sink: dst, Store: store,
		Encoder: func(r *format.Routes) format.Encoder {
			return debezium.New(debezium.DefaultConfig(), debezium.Deps{Source: "bench", Flavor: event.MySQL, Routes: r})
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
		if cp.Position.GTIDs.String() == t.EndGTIDs {
			stop()
		}
	}
	err = p.Run(soft, ctx)
	c.Rows, c.Bytes = rows.Load(), raw.Load()
	return c, err
}

func toFile(ctx context.Context, t target) (counts, error) {
	cfg := file.DefaultConfig()
	cfg.Path = filepath.Join(t.Dir, "out.jsonl")
	return cdcd(ctx, t, file.New(cfg))
}

// toKafka measures into topics and a checkpoint topic of its own.
func toKafka(ctx context.Context, t target, delivery string) (counts, error) {
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Delivery = []string{t.Kafka}, delivery
	cfg.Installation, cfg.Pipeline = "bench", "bench"
	cfg.TransactionalID = "bench." + delivery + "." + fmt.Sprint(time.Now().UnixNano())
	cfg.CreateTopics.Partitions = 8
	return cdcd(ctx, t, &firstStart{Sink: kafka.New(cfg, kafka.Options{})})
}

// firstStart gives a sink that keeps positions itself, and has none yet, the
// position the measurement starts from.
type firstStart struct{ sink.Sink }

func (s *firstStart) Connect(ctx context.Context, term uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	have, err := s.Sink.Connect(ctx, term, checkpoint.Checkpoint{})
	if err != nil || !have.IsZero() {
		return have, err
	}
	cp.Term = term
	return cp, s.Begin(ctx, cp)
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

// discard is a sink that counts and throws away.
type discard struct{}

type discarded struct{ records, bytes int }

func (d *discarded) Bytes() int { return d.bytes }

type discardPacker struct{ cur *discarded }

func (p *discardPacker) Start(*event.Piece) {}

func (p *discardPacker) Emit(r *format.Record) error {
	p.cur.records++
	p.cur.bytes += len(r.Key) + len(r.Value)
	return nil
}

func (p *discardPacker) Pack() (sink.Packed, error) {
	out := p.cur
	p.cur = &discarded{}
	return out, nil
}

func (*discard) Packer() sink.Packer { return &discardPacker{cur: &discarded{}} }

func (*discard) Connect(_ context.Context, _ uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	return cp, nil
}

func (*discard) Begin(context.Context, checkpoint.Checkpoint) error { return nil }

func (*discard) Send(_ context.Context, _ sink.Batch, _ bool, done func(sink.Ack, error)) {
	done(sink.Ack{}, nil)
}

func (*discard) Close(context.Context) error { return nil }

func profileTo(f *os.File) (func(), error) {
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

func fileName(s string) string { return strings.NewReplacer(" ", "-", ",", "").Replace(s) }
