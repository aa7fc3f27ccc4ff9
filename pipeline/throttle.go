package pipeline

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

const (
	// leastRatio is the slowest that readers go before they wait altogether.
	leastRatio = 0.1
	// resumeRatio is what the source must allow before readers that wait go on:
	// at the limit they would start and stop all the time.
	resumeRatio = 0.5
	// riseTime is how long the way from waiting to full speed takes at least.
	riseTime = 10 * time.Second
	// longStep is the most of the time between two looks that counts for the rise.
	longStep = time.Second
	// staleAfter is when an answer is too old to say anything.
	staleAfter = 5 * time.Second
)

// gauge is a number that tells how the source is, and what was last heard of it.
type gauge struct {
	kind    gaugeKind
	replica string // of lagOf
	max     float64

	value float64
	at    time.Time // of the last try; zero: there was none
	fails string    // why that had no answer; "" when it had
	heard time.Time // of the last answer; zero: there was none
}

type gaugeKind int

const (
	runningAt gaugeKind = iota // statements that the source runs
	lagOf                      // seconds that a replica is behind
	queryOf                    // the answer to health_query
)

// took takes down what a try at that time gave.
func (g *gauge) took(now time.Time, value float64, err error) {
	g.at, g.fails = now, ""
	if err != nil {
		g.fails = resilience.Found(err).Text
		return
	}
	g.value, g.heard = value, now
}

// share is how fast the gauge lets readers go, from 0 to 1: at full speed up to half of what
// is allowed, ever slower up to all of it, and not at all above that. One that
// says nothing, or said it too long ago, does not let them.
func (g *gauge) share(now time.Time) float64 {
	switch {
	case g.fails != "" || g.stale(now) || !(g.value <= g.max): // not a number, too
		return 0
	case g.value <= g.max/2:
		return 1
	}
	return max(leastRatio, 2*(g.max-g.value)/g.max)
}

func (g *gauge) stale(now time.Time) bool { return now.Sub(g.heard) > staleAfter }

// why says in words what share says.
func (g *gauge) why(now time.Time) string {
	switch {
	case g.fails != "":
		return g.subject() + ": " + g.fails
	case g.stale(now):
		return fmt.Sprintf("%s has told nothing for %s", g.subject(), now.Sub(g.heard).Round(time.Second))
	case !(g.value <= g.max):
		return fmt.Sprintf("%s, more than %s", g.says(), g.text(g.max))
	}
	return fmt.Sprintf("%s, not far enough from %s", g.says(), g.text(g.max))
}

func (g *gauge) subject() string {
	switch g.kind {
	case lagOf:
		return "replica " + g.replica
	case queryOf:
		return "health_query"
	}
	return "the source"
}

func (g *gauge) says() string {
	switch g.kind {
	case lagOf:
		return g.subject() + " is " + g.text(g.value) + " behind"
	case queryOf:
		return g.subject() + " says " + g.text(g.value)
	}
	return g.subject() + " runs " + g.text(g.value) + " statements"
}

func (g *gauge) text(x float64) string {
	if g.kind == lagOf && math.Abs(x) < 1e9 {
		return time.Duration(x * float64(time.Second)).String()
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// throttle turns what the gauges say into the speed of the readers: it goes down
// at once and up slowly.
type throttle struct {
	ratio float64
	at    time.Time // of the last step; zero: there was none
}

// verdict is how fast readers may go, 0 (they wait) or from leastRatio to 1, and
// why no faster.
type verdict struct {
	ratio float64
	why   string // "" at full speed
	soon  bool   // nothing is known yet, and an answer is on its way
}

// step is the verdict at a time not before that of the last step.
func (t *throttle) step(now time.Time, gauges []gauge) verdict {
	target, why := 1.0, ""
	for i := range gauges {
		if s := gauges[i].share(now); s < target {
			target, why = s, gauges[i].why(now)
		}
	}
	passed := min(max(0, now.Sub(t.at)), longStep)
	switch {
	case t.at.IsZero() || target <= t.ratio:
		t.ratio = target
	case t.ratio > 0 || target >= resumeRatio:
		t.ratio = min(target, max(leastRatio, t.ratio+passed.Seconds()/riseTime.Seconds()))
	}
	t.at = now
	if why == "" && t.ratio < 1 {
		why = "the source was busy a moment ago"
	}
	return verdict{ratio: t.ratio, why: why}
}
