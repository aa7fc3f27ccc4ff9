package kafka

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestSoakOutages kills and restarts brokers at random moments under load, and
// the sink too: for 15 seconds, or for as long as CDCD_SOAK says.
func TestSoakOutages(t *testing.T) {
	b := startTwoBrokers(t)
	rigs := []*rig{
		b.rig(10*time.Second, b.away, b.home, b.away), b.rig(10*time.Second, b.home, b.home, b.away), b.rig(10*time.Second, b.away, b.away),
	}
	for _, r := range rigs {
		r.rows = func(seq uint64) int { return int(seq % 7) }
		r.deliver(20, 10)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soak(t))
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.outages(ctx)
	}()
	to := uint64(20)
	for ctx.Err() == nil {
		to += 20
		for i, r := range rigs {
			r.deliver(to, 1+i*4)
			if rand.IntN(3) == 0 {
				r.die()
			}
		}
	}
	<-over
	for _, r := range rigs {
		r.deliver(to+10, 1)
		r.check(to + 10)
		t.Logf("%d transactions, %d lines ended, settled %q", to, len(r.errs), r.settlements())
	}
}

// outages takes brokers down until ctx ends, mostly away, by force or in order.
func (b *twoBrokers) outages(ctx context.Context) {
	for sleep(ctx, time.Duration(1500+rand.IntN(3500))*time.Millisecond) {
		x := b.Broker(b.away)
		if rand.IntN(5) == 0 {
			x = b.Broker(b.home)
		}
		end := x.Kill
		if rand.IntN(2) == 0 {
			end = func() error { return x.Stop(testContext(b.t)) }
		}
		if err := end(); err != nil {
			b.t.Error(err)
		}
		sleep(ctx, time.Duration(rand.IntN(1500))*time.Millisecond)
		if err := x.Restart(testContext(b.t)); err != nil {
			b.t.Error(err)
		}
	}
}

func soak(t *testing.T) time.Duration {
	text := os.Getenv("CDCD_SOAK")
	if text == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CDCD_SOAK: %v", err)
	}
	return d
}
