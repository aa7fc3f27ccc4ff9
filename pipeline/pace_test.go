package pipeline

import (
	"testing"
	"time"
)

// TestRate: whatever the readers spend, never more than what the time allows,
// and no credit is saved up in idle times.
func TestRate(t *testing.T) {
	var r rate
	now := time.Unix(1000, 0)
	if r.left(now) > 0 {
		t.Error("the first chunk has to wait")
	}
	r.spend(500, 1000, now)
	r.spend(500, 1000, now)
	if got := r.left(now); got != time.Second {
		t.Errorf("1000 rows at 1000 a second are paid for in %s", got)
	}
	now = now.Add(time.Hour)
	r.spend(100, 1000, now)
	if got := r.left(now); got != 100*time.Millisecond {
		t.Errorf("after a long pause 100 rows cost %s", got)
	}
	r.spend(1e9, 0, now)
	if got := r.left(now); got != 100*time.Millisecond {
		t.Errorf("without a limit rows cost %s", got)
	}
}

// TestHoldShows: the bar does not say "waits" for what the rate does all the time.
func TestHoldShows(t *testing.T) {
	for _, c := range []struct {
		h    hold
		want bool
	}{
		{hold{"the source is busy", busyEvery, false}, true},
		{hold{"the rate", 500 * time.Millisecond, true}, false},
		{hold{"the rate", 5 * time.Second, true}, true},
	} {
		if c.h.shows() != c.want {
			t.Errorf("%+v", c.h)
		}
	}
}
