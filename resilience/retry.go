package resilience

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// RetryConfig paces a Retry.
type RetryConfig struct {
	// Min is the upper end of the first pause; it doubles from try to try.
	// Default 100ms.
	Min time.Duration `yaml:"min"`
	// Max is the upper end of every pause from then on. Default 30s.
	Max time.Duration `yaml:"max"`
	// Unclassified is how many errors without a class are retried in a row
	// before one is returned as Fatal. Default 5.
	Unclassified int `yaml:"unclassified"`
}

// DefaultRetryConfig returns the documented defaults.
func DefaultRetryConfig() RetryConfig {
	return RetryConfig{Min: 100 * time.Millisecond, Max: 30 * time.Second, Unclassified: 5}
}

// Validate reports everything that is wrong with c.
func (c RetryConfig) Validate() error {
	var errs []error
	if c.Min <= 0 {
		errs = append(errs, fmt.Errorf("min: want more than 0, have %s", c.Min))
	}
	if c.Max < c.Min {
		errs = append(errs, fmt.Errorf("max: want at least min (%s), have %s", c.Min, c.Max))
	}
	if c.Unclassified < 0 {
		errs = append(errs, fmt.Errorf("unclassified: want 0 or more, have %d", c.Unclassified))
	}
	return errors.Join(errs...)
}

// State is what a Retry is waiting out. The zero State means that all is well.
type State struct {
	Since     time.Time // when the first error since the last success came
	Attempts  int       // errors since the last success
	LastError error
	Next      time.Time // when the next try begins
}

// Retrying reports whether there were errors since the last success.
func (s State) Retrying() bool { return s.Attempts > 0 }

// Retry is the one way to wait out an error: capped exponential backoff with
// full jitter, for ever while errors are Transient. One goroutine waits; State
// and Reset may be called from any. Success must be told by Reset, or the
// pauses stay long and the state stays visible.
type Retry struct {
	cfg  RetryConfig
	rand func() float64 // in [0, 1)

	mu           sync.Mutex
	state        State
	unclassified int
}

// NewRetry returns a Retry that has seen no error.
func NewRetry(cfg RetryConfig) *Retry { return &Retry{cfg: cfg, rand: rand.Float64} }

// State is what is being waited out now.
func (r *Retry) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Reset notes a success.
func (r *Retry) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.unclassified = State{}, 0
}

// Wait sleeps until it is time to try again after cause and returns nil. It
// returns at once, with the cause, when waiting does not help: the cause is
// Poison, Fatal or Fenced, or it is the last of too many without a class, which
// is then wrapped as Fatal. When ctx ends first, it returns the cause of that.
func (r *Retry) Wait(ctx context.Context, cause error) error {
	if cause == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	pause, err := r.note(cause, time.Now())
	if err != nil {
		return err
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Do calls f until it succeeds, or fails in a way that waiting does not heal,
// or ctx ends.
func (r *Retry) Do(ctx context.Context, f func(context.Context) error) error {
	for {
		err := f(ctx)
		if err == nil {
			r.Reset()
			return nil
		}
		if err := r.Wait(ctx, err); err != nil {
			return err
		}
	}
}

// note enters one more error and returns the pause that it calls for.
func (r *Retry) note(cause error, now time.Time) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Attempts == 0 {
		r.state.Since = now
	}
	r.state.Attempts++
	r.state.LastError = cause
	r.state.Next = time.Time{}
	switch ClassOf(cause) {
	case Transient:
		r.unclassified = 0
	case Unclassified:
		if r.unclassified++; r.unclassified > r.cfg.Unclassified {
			return 0, unclassified(cause, r.unclassified)
		}
	default:
		return 0, cause
	}
	pause := r.pause() + after(cause)
	r.state.Next = now.Add(pause)
	return pause, nil
}

// pause draws from zero up to the backoff, so that many who failed together do
// not come back together.
func (r *Retry) pause() time.Duration {
	backoff := r.cfg.Min
	for i := 1; i < r.state.Attempts && backoff < r.cfg.Max; i++ {
		backoff *= 2
	}
	return time.Duration(r.rand() * float64(min(backoff, r.cfg.Max)))
}

func after(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

func unclassified(cause error, times int) error {
	return &Error{
		Class: Fatal, Code: "unclassified", Op: fmt.Sprintf("retry, %d times in a row", times), Err: cause,
		Hint: "cdcd does not know this error and cannot tell whether waiting helps; report it, remove the cause, then resume the pipeline",
	}
}
