package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// How often a reader that is held back looks again at what this process knows,
// and at the source; and how often one that is not asks the source, however
// small its chunks are.
const (
	paceEvery = 50 * time.Millisecond
	busyEvery = 500 * time.Millisecond
	askEvery  = 100 * time.Millisecond
)

// pace holds a reader back before its next chunk: while an operator has paused
// snapshots, while the stream itself has much to do (rows that were there before
// can wait, changes cannot), while the configured rate is used up, and as the
// health of the source wants it. The reason shows in the progress of the table, that of the rate
// only where it is a long one: the rate holds every chunk back a little.
func (t *tableRead) pace(ctx context.Context) error {
	defer t.l.progress.held(t, "")
	for {
		h, err := t.hold(ctx)
		if err != nil || h.why == "" {
			return err
		}
		if h.shows() {
			t.l.progress.held(t, h.why)
		}
		pause := time.NewTimer(h.wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		}
	}
}

// longWait is from when on a wait for the rate shows.
const longWait = 2 * time.Second

// hold is why the next chunk must wait, "" when it need not, and when to look again.
type hold struct {
	why    string
	wait   time.Duration
	byRate bool
}

func (h hold) shows() bool { return !h.byRate || h.wait > longWait }

func (t *tableRead) hold(ctx context.Context) (hold, error) {
	l, cfg := t.l, &t.l.p.cfg.Snapshot
	if ctx.Err() != nil {
		return hold{}, context.Cause(ctx)
	}
	if l.p.snapshotsPaused.Load() {
		return hold{why: "paused by an operator", wait: paceEvery}, nil
	}
	if l.ring.Stats().Bytes > l.p.cfg.Buffer.RingBytes/2 {
		return hold{why: "the stream has much to do", wait: paceEvery}, nil
	}
	if wait := l.rate.left(time.Now()); wait > 0 {
		return hold{fmt.Sprintf("%d rows per second are allowed", cfg.MaxRowsPerSecond), wait, true}, nil
	}
	if wait := l.byteRate.left(time.Now()); wait > 0 {
		return hold{fmt.Sprintf("%d bytes per second are allowed", cfg.MaxBytesPerSecond), wait, true}, nil
	}
	if err := t.askRunning(ctx); err != nil {
		return hold{}, err
	}
	return t.spare(time.Now()), nil
}

// askRunning asks now and then how many statements the source runs.
func (t *tableRead) askRunning(ctx context.Context) error {
	if t.l.p.cfg.Snapshot.MaxRunning == 0 || time.Since(t.asked) < askEvery {
		return nil
	}
	running, err := t.conn.Running(ctx)
	if err == nil && running > 0 { // the question itself runs: nothing was asked before the first read
		t.asked = time.Now()
		t.l.health.tell(t.asked, running)
	}
	return err
}

// spare holds the reader back as the health of the source wants it: altogether,
// or for a time in proportion to that which its last chunk took.
func (t *tableRead) spare(now time.Time) hold {
	v, turned := t.l.health.look(now)
	if turned && v.ratio == 0 {
		t.l.p.deps.Log.Info("snapshots wait", "why", v.why)
	} else if turned {
		t.l.p.deps.Log.Info("snapshots go on", "speed", v.ratio)
	}
	if v.ratio == 0 {
		wait := busyEvery
		if v.soon {
			wait = paceEvery
		}
		return hold{why: v.why, wait: wait}
	}
	rest := t.readAt.Add(time.Duration(float64(t.took) * (1/v.ratio - 1))).Sub(now)
	if v.ratio == 1 || rest <= 0 {
		return hold{}
	}
	return hold{why: fmt.Sprintf("%.0f%% of full speed, %s", 100*v.ratio, v.why), wait: min(rest, busyEvery)}
}

// rate spreads what all readers of a line read, rows or bytes, over time. A chunk
// is paid for after it was read.
type rate struct {
	mu   sync.Mutex
	free time.Time // when the next chunk may be read
}

// spend takes note of what was read; perSecond 0 is no limit.
func (r *rate) spend(n, perSecond int, now time.Time) {
	if perSecond == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free.Before(now) {
		r.free = now
	}
	r.free = r.free.Add(time.Duration(float64(n) / float64(perSecond) * float64(time.Second)))
}

// left is how long the next chunk has to wait.
func (r *rate) left(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.free.Sub(now)
}
