package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

// TestPatiently: what is transient is tried again, for so long without getting on.
func TestPatiently(t *testing.T) {
	away := resilience.Errorf(resilience.Transient, "away", "read", "nobody answers")
	calls := 0
	err := patiently(t.Context(), time.Minute, func() (bool, error) {
		if calls++; calls < 3 {
			return false, away
		}
		return false, nil
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	for _, c := range []struct {
		name  string
		wait  time.Duration
		err   error
		calls int
	}{{"lasting", 0, away, 1}, {"until told to end", time.Minute, away, 3}, {"not transient", time.Minute, errors.New("no"), 1}} {
		calls := 0
		ctx, cancel := context.WithCancel(t.Context())
		err := patiently(ctx, c.wait, func() (bool, error) {
			if calls++; calls == 3 {
				cancel()
			}
			return false, c.err
		})
		if calls != c.calls || !errors.Is(err, c.err) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %d calls, %v", c.name, calls, err)
		}
		cancel()
	}
}
