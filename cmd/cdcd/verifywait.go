package main

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/verify"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink/kafka"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// codeStandsStill is the code of the error that no waiting for one pipeline heals.
const codeStandsStill = "pipeline_stands_still"

// reachEvery is how often the stored position is looked at.
const reachEvery = 100 * time.Millisecond

// reach waits for the pipeline, as long as it moves.
func (r *verifyRun) reach(ctx context.Context, high event.Coord) (event.Position, error) {
	var last event.Position
	moved := time.Now()
	for {
		p, err := r.position(ctx)
		if err != nil {
			return last, err
		}
		if snapshot.Passed(&p, high) {
			return p, nil
		}
		if p.File != last.File || p.Offset != last.Offset {
			last, moved = p, time.Now()
		}
		if time.Since(moved) > r.flags.wait {
			return last, resilience.Errorf(resilience.Transient, codeStandsStill, "verify table",
				"the pipeline stands at %s:%d for %s, the log goes on to %s:%d", p.File.Name, p.Offset, r.flags.wait, high.File.Name, high.Offset).
				WithHint("it must run while it is verified: cdcd status tells how it is")
		}
		if err := pauseFor(ctx, reachEvery); err != nil {
			return last, err
		}
	}
}

// position is the one that is stored.
func (r *verifyRun) position(ctx context.Context) (p event.Position, err error) {
	err = patiently(ctx, r.flags.wait, func() (bool, error) {
		cp, err := r.reader.Checkpoint(ctx)
		p = cp.Position
		return false, err
	})
	return p, err
}

func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// patiently calls again after a Transient error, as long as that goes on for no
// more than wait; moved says that the call got on before it failed.
func patiently(ctx context.Context, wait time.Duration, call func() (moved bool, err error)) error {
	for since := time.Now(); ; {
		moved, err := call()
		if moved {
			since = time.Now()
		}
		if err == nil || resilience.ClassOf(err) != resilience.Transient || time.Since(since) >= wait {
			return err
		}
		if stopped := pauseFor(ctx, reachEvery); stopped != nil {
			return stopped
		}
	}
}

// patientRows waits out that a source is away.
type patientRows struct {
	source.ChunkReader
	wait time.Duration
}

// Read implements source.ChunkReader.
func (p patientRows) Read(ctx context.Context, req source.ChunkRequest) (c source.Chunk, err error) {
	err = patiently(ctx, p.wait, func() (bool, error) {
		c, err = p.ChunkReader.Read(ctx, req)
		return false, err
	})
	return c, err
}

// verifyTopic is a topic as package verify wants it. It waits out that brokers
// are away.
type verifyTopic struct {
	reader *kafka.Reader
	name   string
	wait   time.Duration
}

// Extents implements verify.Topic.
func (t verifyTopic) Extents(ctx context.Context) (out []verify.Extent, err error) {
	err = patiently(ctx, t.wait, func() (bool, error) {
		list, err := t.reader.Extents(ctx, t.name)
		out = make([]verify.Extent, len(list))
		for i, x := range list {
			out[i] = verify.Extent(x)
		}
		return false, err
	})
	return out, err
}

// Read implements verify.Topic.
func (t verifyTopic) Read(ctx context.Context, part int32, from, to int64, visit func(*verify.Record) error) error {
	return patiently(ctx, t.wait, func() (bool, error) {
		began := from
		err := t.reader.Read(ctx, t.name, part, from, to, func(m *kafka.Message) error {
			from = m.Offset + 1
			return visit(&verify.Record{
				Partition: m.Partition, Offset: m.Offset, Millis: m.Time.UnixMilli(), Key: m.Key, Value: m.Value, KeyOnly: m.Oversize,
			})
		})
		return from > began, err
	})
}
