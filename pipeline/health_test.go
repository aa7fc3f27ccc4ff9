package pipeline

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cdcd-io/cdcd/source"
)

// patient is a source with one replica that is behind by lag, or hangs.
type patient struct {
	mu    sync.Mutex
	lag   time.Duration
	hangs bool
	deaf  chan struct{} // it hangs beyond every deadline, until this is closed
	asked int
	open  bool
}

func (p *patient) OpenHealth() source.HealthProbe { return p }

func (p *patient) ReplicaLag(ctx context.Context, _ string) (time.Duration, error) {
	p.mu.Lock()
	p.asked++
	p.open = true
	lag, hangs, deaf := p.lag, p.hangs, p.deaf
	p.mu.Unlock()
	if deaf != nil {
		<-deaf
	}
	if hangs {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	return lag, nil
}

func (p *patient) Number(context.Context, string) (float64, error) { return 0, nil }

func (p *patient) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = false
	return nil
}

// was tells how often it was asked, and whether a connection is open.
func (p *patient) was() (asked int, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, p.open
}

// is changes how the patient is.
func (p *patient) is(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// TestHealth: readers wait for the first answer, for a replica that lags, hangs, or
// of which nothing is heard; the others' speed comes back slowly; and nothing is
// asked while nobody looks.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultSnapshotConfig()
		cfg.Replicas = []string{"db2:3306"}
		h, p := newHealth(&cfg), &patient{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { h.watch(ctx, p); close(ended) }()
		look := func(ratio float64, why string) {
			t.Helper()
			v, _ := h.look(time.Now())
			if v.ratio != ratio || !strings.Contains(v.why, why) {
				t.Errorf("%+v, want %g, %s", v, ratio, why)
			}
		}
		// wait passes time with a reader that looks all the while.
		wait := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				h.look(time.Now())
				time.Sleep(paceEvery)
			}
			synctest.Wait()
		}
		synctest.Wait()
		if asked, _ := p.was(); asked != 0 {
			t.Error("it is asked before anybody looks")
		}
		look(0, "being asked")
		wait(time.Second)
		look(1, "")
		p.is(func() { p.lag = 34 * time.Second })
		wait(time.Second)
		look(0, "replica db2:3306 is 34s behind, more than 10s")
		p.is(func() { p.lag = 0 })
		wait(time.Second)
		if v, _ := h.look(time.Now()); v.ratio < leastRatio || v.ratio > 0.3 {
			t.Errorf("a second later: %+v", v)
		}
		wait(riseTime)
		look(1, "")
		p.is(func() { p.hangs = true })
		wait(3 * time.Second)
		look(0, "no answer within 2s")
		p.is(func() { p.hangs = false })
		wait(3 * time.Second)
		deaf := make(chan struct{})
		p.is(func() { p.deaf = deaf })
		wait(7 * time.Second)
		look(0, "has told nothing for")
		p.is(func() { p.deaf = nil })
		close(deaf)
		wait(2 * riseTime)
		look(1, "")

		synctest.Wait()
		before, _ := p.was()
		time.Sleep(time.Hour)
		synctest.Wait()
		if asked, open := p.was(); asked > before+1 || open {
			t.Errorf("asked %d times while nobody looked; connected: %t", asked-before, open)
		}
		p.is(func() { p.lag = time.Minute })
		look(0, "being asked")
		wait(time.Second)
		look(0, "more than 10s")
		cancel()
		<-ended
	})
}

// TestSpare: a reader rests in proportion to what its chunk took.
func TestSpare(t *testing.T) {
	cfg := DefaultSnapshotConfig()
	read := &tableRead{l: &line{p: &Pipeline{}, health: newHealth(&cfg)}}
	now := time.Unix(1000, 0)
	read.readAt, read.took = now, 200*time.Millisecond
	for _, c := range []struct {
		running int
		want    time.Duration
	}{{50, 0}, {75, 200 * time.Millisecond}, {90, busyEvery}} { // 0.8s at 20%: it looks again before
		read.l.health.forget()
		read.l.health.tell(now, c.running)
		if h := read.spare(now); (h.wait-c.want).Abs() > time.Millisecond || (h.why == "") != (c.want == 0) {
			t.Errorf("%d running: %+v, want %s", c.running, h, c.want)
		}
	}
}
