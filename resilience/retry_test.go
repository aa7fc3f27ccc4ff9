package resilience

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = Errorf(Transient, "down", "connect", "connection refused")

// top makes every pause the longest that the backoff allows.
func top(cfg RetryConfig) *Retry {
	r := NewRetry(cfg)
	r.rand = func() float64 { return 1 }
	return r
}

func TestPausesDoubleUpToMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := top(RetryConfig{Min: time.Second, Max: 5 * time.Second})
		for i, want := range []time.Duration{1, 2, 4, 5, 5} {
			began := time.Now()
			if err := r.Wait(t.Context(), errDown); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(began); got != want*time.Second {
				t.Errorf("pause %d is %s, want %ds", i+1, got, want)
			}
		}
		r.Reset()
		began := time.Now()
		if err := r.Wait(t.Context(), errDown); err != nil || time.Since(began) != time.Second {
			t.Errorf("after a success: %s, %v", time.Since(began), err)
		}
	})
}

func TestTransientIsRetriedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRetry(DefaultRetryConfig())
		began := time.Now()
		for range 10_000 {
			if err := r.Wait(t.Context(), errDown); err != nil {
				t.Fatalf("given up after %d tries: %v", r.State().Attempts, err)
			}
		}
		// Full jitter draws half of the longest pause on average.
		if d := time.Since(began) / 10_000; d < 10*time.Second || d > 20*time.Second {
			t.Errorf("mean pause %s", d)
		}
	})
}

func TestOnlyWhatMayHealIsRetried(t *testing.T) {
	for _, c := range []struct {
		class   Class
		retried bool
	}{{Unclassified, true}, {Transient, true}, {Poison, false}, {Fatal, false}, {Fenced, false}} {
		synctest.Test(t, func(t *testing.T) {
			cause := fmt.Errorf("wrapped: %w", Errorf(c.class, "x", "do", "it broke"))
			began := time.Now()
			err := top(DefaultRetryConfig()).Wait(t.Context(), cause)
			if c.retried && (err != nil || time.Since(began) == 0) {
				t.Errorf("%s: %v after %s", c.class, err, time.Since(began))
			}
			if !c.retried && (err != cause || time.Since(began) != 0) {
				t.Errorf("%s: %v after %s", c.class, err, time.Since(began))
			}
		})
	}
}

func TestUnclassifiedEndsAsFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRetry(RetryConfig{Min: time.Second, Max: time.Second, Unclassified: 2})
		// A transient one between starts the count anew.
		for _, cause := range []error{io.EOF, errDown, io.EOF, io.EOF} {
			if err := r.Wait(t.Context(), cause); err != nil {
				t.Fatal(err)
			}
		}
		err := r.Wait(t.Context(), io.EOF)
		if ClassOf(err) != Fatal || CodeOf(err) != "unclassified" || !errors.Is(err, io.EOF) || HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAfterIsALowerBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRetry(RetryConfig{Min: time.Second, Max: time.Second})
		busy := &Error{Class: Transient, Code: "busy", After: time.Minute}
		began := time.Now()
		if err := r.Wait(t.Context(), busy); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < time.Minute || d >= time.Minute+time.Second {
			t.Errorf("waited %s", d)
		}
	})
}

func TestContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stopped by a person")
		ctx, cancel := context.WithCancelCause(t.Context())
		r := top(RetryConfig{Min: time.Hour, Max: time.Hour})
		time.AfterFunc(time.Second, func() { cancel(stop) })
		if err := r.Wait(ctx, errDown); err != stop {
			t.Errorf("got %v", err)
		}
		if err := r.Wait(ctx, errDown); err != stop || r.State().Attempts != 1 {
			t.Errorf("once ended: %v, %d attempts", err, r.State().Attempts)
		}
	})
}

func TestStateIsVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := top(RetryConfig{Min: time.Minute, Max: time.Minute})
		if r.State().Retrying() {
			t.Error("retrying before any error")
		}
		began := time.Now()
		over := make(chan error)
		go func() { over <- r.Wait(t.Context(), errDown) }()
		synctest.Wait()
		want := State{Since: began, Attempts: 1, LastError: errDown, Next: began.Add(time.Minute)}
		if got := r.State(); got != want || !got.Retrying() {
			t.Errorf("got %+v", got)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
		r.Reset()
		if got := r.State(); got.Retrying() {
			t.Errorf("after a success: %+v", got)
		}
	})
}

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRetry(DefaultRetryConfig())
		tries := 0
		err := r.Do(t.Context(), func(context.Context) error {
			if tries++; tries < 4 {
				return errDown
			}
			return nil
		})
		if err != nil || tries != 4 || r.State().Retrying() {
			t.Errorf("%d tries, %v, %+v", tries, err, r.State())
		}
		fatal := Errorf(Fatal, "gone", "do", "it is gone")
		if err := r.Do(t.Context(), func(context.Context) error { return fatal }); err != fatal {
			t.Errorf("got %v", err)
		}
	})
}

func TestRetryConfigTellsAllProblems(t *testing.T) {
	if err := DefaultRetryConfig().Validate(); err != nil {
		t.Error(err)
	}
	want := "min: want more than 0, have 0s\nmax: want at least min (0s), have -1s\nunclassified: want 0 or more, have -1"
	if err := (RetryConfig{Max: -time.Second, Unclassified: -1}).Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*Error{
		"read binlog at a.1:4: it broke (fix it)": Errorf(Fatal, "c", "read binlog", "it broke").WithPlace("a.1:%d", 4).WithHint("fix %s", "it"),
		"read binlog: it broke":                   Errorf(Fatal, "c", "read binlog", "it broke"),
		"read binlog (fix it)":                    {Op: "read binlog", Hint: "fix it"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHintOf(t *testing.T) {
	inner := Errorf(Fatal, "c", "read", "it broke").WithHint("fix it")
	outer := Errorf(Transient, "d", "run", "line: %w", inner)
	if got := HintOf(fmt.Errorf("x: %w", outer)); got != "fix it" {
		t.Errorf("got %q", got)
	}
	if HintOf(io.EOF) != "" || HintOf(nil) != "" {
		t.Error("a hint from nowhere")
	}
}
