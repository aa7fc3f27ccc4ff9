package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/kafka"
)

func exactlyOnce(ctx context.Context, t target) (counts, error) {
	return toKafka(ctx, t, kafka.ExactlyOnce)
}

func atLeastOnce(ctx context.Context, t target) (counts, error) {
	return toKafka(ctx, t, kafka.AtLeastOnce)
}

// toKafka measures into a checkpoint topic of its own.
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
