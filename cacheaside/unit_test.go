package cacheaside

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
	"github.com/cdcd-io/cdcd/resilience"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).reaper"))
}

func TestConfigTellsAllProblems(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Jitter: 1, LoadTimeout: time.Second, GenerationAge: time.Minute, NegativeTTL: 1}.Validate()
	for _, want := range []string{"TTL:", "NegativeTTL:", "Jitter:", "Lease:", "LoadTimeout: want more than 0 and less than Lease", "HoldOff:", "RedisTimeout:",
		"BreakerFailures:", "BreakerPause:", "MaxLoads:", "MaxLoadsDown:", "GenerationAge: want 0 to 1s", "MaxValue:", "Codec, OnError:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func TestClientsThatCannotCacheAreRefused(t *testing.T) {
	for want, rdb := range map[string]redis.UniversalClient{
		"does not keep deadlines": redis.NewClient(&redis.Options{}),
		"reads replicas":          redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ReadOnly: true, ContextTimeoutEnabled: true}),
		"neither":                 redis.NewRing(&redis.RingOptions{}),
	} {
		_, err := New(rdb, DefaultConfig())
		if resilience.CodeOf(err) != CodeBadClient || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		rdb.Close()
	}
}

func TestTemplatesNameTheirTables(t *testing.T) {
	for _, c := range []struct {
		text   string
		tables []string
	}{{"user:{id}", nil}, {"user:{id", []string{"shop.users"}}, {"user:{id}", []string{"users"}}} {
		if _, err := NewTemplate(c.text, c.tables...); err == nil {
			t.Errorf("%s of %v was taken", c.text, c.tables)
		}
	}
	k, err := MustTemplate("user:{id}", "shop.users").Key(7)
	if err != nil || k.String() != "user:7" || len(k.generations) != 1 || k.generations[0] != "gen:{shop.users}" {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := MustTemplate("user:{id}", "shop.users").Key(1.5); err == nil {
		t.Error("a float was taken")
	}
}

func TestGenerationOfSeveralTables(t *testing.T) {
	one := combined([]string{"a", "b"})
	if len(one) != protocol.TokenLen || one == combined([]string{"b", "a"}) || one == combined([]string{"a", "c"}) || one != combined([]string{"a", "b"}) {
		t.Error(one)
	}
}

func TestBreakerOpensTriesAndCloses(t *testing.T) {
	b := breaker{failures: 3, pause: time.Second}
	now := time.Now()
	for i := range 3 {
		if !b.allow(now) {
			t.Fatal("closed, and nothing may go")
		}
		if opened := b.report(true, now); opened != (i == 2) {
			t.Errorf("failure %d opened it: %v", i+1, opened)
		}
	}
	b.report(false, now) // a late answer
	if b.allow(now.Add(400*time.Millisecond)) || !b.open() {
		t.Error("open, and a request may go at once")
	}
	now = now.Add(1600 * time.Millisecond)
	if !b.allow(now) || b.allow(now) {
		t.Error("after the pause exactly one may try")
	}
	b.dropped()
	if !b.allow(now) {
		t.Error("a trial that told nothing blocks the next")
	}
	b.report(true, now)
	if b.allow(now) {
		t.Error("a failed trial closed it")
	}
	now = now.Add(1600 * time.Millisecond)
	if !b.allow(now) || b.report(false, now) || b.open() || !b.allow(now) || !b.allow(now) {
		t.Error("a trial that went well did not close it")
	}
	b.report(true, now)
	b.report(true, now)
	b.report(false, now)
	b.report(true, now)
	if b.open() {
		t.Error("a success does not start the count anew")
	}
}

func TestFailuresThatTheBreakerCounts(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want bool
	}{
		{t.Context(), nil, false}, {t.Context(), redis.Nil, false}, {gone, context.Canceled, false}, {gone, errors.New("x"), false},
		{t.Context(), context.DeadlineExceeded, true}, {t.Context(), errors.New("connection refused"), true},
	} {
		if got := failure(c.ctx, c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

func TestLimiterIsFairAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limiter{maxQueue: 2, wait: time.Second}
		ctx := t.Context()
		for range 3 {
			if err := l.acquire(ctx, 3); err != nil {
				t.Fatal(err)
			}
		}
		var order []int
		for i := range 2 {
			go func() {
				if err := l.acquire(ctx, 3); err != nil {
					t.Error(err)
				}
				order = append(order, i)
				time.Sleep(time.Millisecond)
				l.release()
			}()
			synctest.Wait()
		}
		if err := l.acquire(ctx, 3); err != errQueueFull {
			t.Errorf("beyond the queue: %v", err)
		}
		l.release()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if len(order) != 2 || order[0] != 0 {
			t.Errorf("order %v", order)
		}
		// A lower limit waits for more to end.
		began := time.Now()
		if err := l.acquire(ctx, 1); err != errQueueWait || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		stop := errors.New("stopped")
		ended, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(time.Millisecond, func() { cancel(stop) })
		if err := l.acquire(ended, 1); err != stop {
			t.Error(err)
		}
		l.release()
		l.release()
		if l.running != 0 || len(l.queue) != 0 {
			t.Errorf("%d run, %d wait", l.running, len(l.queue))
		}
	})
}

func TestLimiterNeverExceedsItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limiter{maxQueue: 1000, wait: time.Hour}
		var running, most, done atomic.Int64
		for range 200 {
			go func() {
				if err := l.acquire(t.Context(), 7); err != nil {
					t.Error(err)
				}
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Millisecond)
				running.Add(-1)
				l.release()
				done.Add(1)
			}()
		}
		time.Sleep(time.Minute)
		if most.Load() != 7 || done.Load() != 200 {
			t.Errorf("%d at once, %d done", most.Load(), done.Load())
		}
	})
}

func TestFlightIsSharedUntilItIsForgotten(t *testing.T) {
	f := &flights{}
	one, leader := f.join("k")
	if two, again := f.join("k"); !leader || again || one != two {
		t.Error("the second does not share")
	}
	f.forget("k", nil)
	three, leader := f.join("k")
	if !leader || three == one {
		t.Error("a forgotten flight was joined")
	}
	f.finish("k", one)
	if four, _ := f.join("k"); four != three {
		t.Error("the end of a forgotten flight took another one away")
	}
	f.finish("k", three)
	if _, leader := f.join("k"); !leader {
		t.Error("a flight that is over was joined")
	}
}
