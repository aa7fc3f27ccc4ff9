package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"
)

// The causes of the stops, as logs and errors show them.
var (
	errSignalled  = errors.New("asked to stop")
	errSecond     = errors.New("asked to stop a second time")
	errGraceSpent = errors.New("shutdown_grace is over")
)

// stops are the two ways in which a daemon ends. Soft: take no more, deliver
// what is in hand. Hard: drop everything; nothing is lost, because the next
// start goes on from the checkpoint.
type stops struct {
	soft, hard context.Context
	end        func() // frees both; call it once the work is over
}

// newStops ends soft at the first signal, and hard at the second or when the
// grace after the first is over.
func newStops(parent context.Context, signals <-chan os.Signal, grace time.Duration, log *slog.Logger) *stops {
	hard, endHard := context.WithCancelCause(parent)
	soft, endSoft := context.WithCancelCause(hard)
	over, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		select {
		case s := <-signals:
			log.Info("stopping: delivering what is in hand, a second signal stops at once", "signal", s.String(), "grace", grace.String())
			endSoft(errSignalled)
		case <-over:
			return
		}
		endHard(secondStop(signals, grace, over))
	}()
	return &stops{soft: soft, hard: hard, end: func() {
		close(over)
		<-joined
		endSoft(nil)
		endHard(nil)
	}}
}

// sameStop is how long after a first signal another one is taken for its echo:
// timeout(1) and some supervisors signal the process and then its whole group.
const sameStop = 200 * time.Millisecond

// secondStop waits for what ends a soft stop early; nil when it ended by itself.
func secondStop(signals <-chan os.Signal, grace time.Duration, over <-chan struct{}) error {
	first := time.Now()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for {
		select {
		case <-signals:
			if time.Since(first) > sameStop {
				return errSecond
			}
		case <-timer.C:
			return errGraceSpent
		case <-over:
			return nil
		}
	}
}

// hardCause is why the daemon had to stop hard, nil when it had not.
func (s *stops) hardCause() error {
	if s.hard.Err() == nil {
		return nil
	}
	return context.Cause(s.hard)
}
