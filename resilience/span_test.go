package resilience

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	day := 24 * time.Hour
	for want, d := range map[string]time.Duration{
		"30d": 30 * day, "1d1h": 25*time.Hour + 59*time.Second, "1h30m": 90 * time.Minute, "5m": 5 * time.Minute,
		"1m1s": 61 * time.Second, "45s": 45 * time.Second, "200ms": 200 * time.Millisecond, "0s": 0, "1d": day + 10*time.Minute,
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%s) is %s, want %s", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range []string{"0 tables", "1 table", "2 tables"} {
		if got := Count(n, "table"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
