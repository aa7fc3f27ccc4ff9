package pipeline

import (
	"testing"
	"time"
)

func TestWatchdogJudges(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	cases := []struct {
		name   string
		pulses []pulse // one a second
		want   string
	}{
		{"works without a beat", []pulse{{"a", working, 1}, {"a", working, 1}, {"a", working, 1}, {"a", working, 1}}, "a"},
		{"beats", []pulse{{"a", working, 1}, {"a", working, 2}, {"a", working, 3}, {"a", working, 4}}, ""},
		{"waits for input", []pulse{{"a", idle, 1}, {"a", idle, 1}, {"a", idle, 1}, {"a", idle, 1}}, ""},
		{"waits for room", []pulse{{"a", blocked, 1}, {"a", blocked, 1}, {"a", blocked, 1}, {"a", blocked, 1}}, ""},
		{"declares a retry", []pulse{{"a", retrying, 1}, {"a", retrying, 1}, {"a", retrying, 1}, {"a", retrying, 1}}, ""},
		{"a moment of rest starts anew", []pulse{{"a", working, 1}, {"a", working, 1}, {"a", idle, 1}, {"a", working, 1}}, ""},
	}
	for _, c := range cases {
		w, got := newWatchdog(3*time.Second), ""
		for i, p := range c.pulses {
			got = w.step(at(i), []pulse{p})
		}
		if got != c.want {
			t.Errorf("%s: hanging stage %q, want %q", c.name, got, c.want)
		}
	}
}

func TestBudgetGrantsTheHeadOfTheLine(t *testing.T) {
	b := newBudget(100)
	if err := b.reserve(t.Context(), 250); err != nil {
		t.Fatal("larger than the budget, nothing held:", err)
	}
	if b.try(1) == nil {
		t.Fatal("granted over the limit")
	}
	b.adjust(-200)
	if b.try(50) != nil || b.held() != 100 {
		t.Fatalf("held %d", b.held())
	}
	b.adjust(30) // turned out larger
	if b.try(1) == nil {
		t.Fatal("granted while overdrawn")
	}
	b.adjust(-130)
	if b.try(100) != nil {
		t.Fatal("not granted though it fits")
	}
}
