package main

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestStops(t *testing.T) {
	for name, c := range map[string]struct {
		signals int
		wait    time.Duration
		soft    bool
		hard    error
	}{
		"none":        {0, time.Hour, false, nil},
		"one":         {1, 29 * time.Second, true, nil},
		"two":         {2, time.Second, true, errSecond},
		"an echo":     {2, sameStop / 2, true, nil},
		"grace spent": {1, 31 * time.Second, true, errGraceSpent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal, 2)
				s := newStops(context.Background(), signals, 30*time.Second, quiet())
				defer s.end()
				if c.signals == 0 {
					time.Sleep(c.wait) // fake time, here and below
				}
				for range c.signals {
					signals <- syscall.SIGTERM
					time.Sleep(c.wait)
					synctest.Wait()
				}
				synctest.Wait()
				if (s.soft.Err() != nil) != c.soft || s.hardCause() != c.hard {
					t.Errorf("soft %v, hard %v", s.soft.Err(), s.hardCause())
				}
			})
		})
	}
}
