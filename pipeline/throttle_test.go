package pipeline

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// looked is one step as the model sees it.
type looked struct {
	at     time.Time
	target float64
}

// ratioByHistory is the naive model of throttle: it has no state and goes through
// all that ever was. Readers wait from a target of 0 on until one of at least
// resumeRatio; after that they are as fast as the slowest that any target since
// allows, each of which allows more as time passes.
func ratioByHistory(all []looked) float64 {
	from, waits := 0, false
	for i, l := range all {
		switch {
		case l.target == 0:
			waits = true
		case waits && l.target >= resumeRatio:
			waits, from = false, i
		}
	}
	if waits {
		return 0
	}
	rise := func(from, to int) (sum float64) {
		for i := from + 1; i <= to; i++ {
			sum += min(all[i].at.Sub(all[i-1].at), longStep).Seconds() / riseTime.Seconds()
		}
		return sum
	}
	last, ratio := len(all)-1, math.Inf(1)
	if from > 0 {
		ratio = max(leastRatio, rise(from-1, from)) + rise(from, last)
	}
	for i := from; i <= last; i++ {
		ratio = min(ratio, all[i].target+rise(i, last))
	}
	return ratio
}

// TestThrottleLikeItsModel: gauges that move, fail and fall silent by chance.
func TestThrottleLikeItsModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		var th throttle
		var history []looked
		now := time.Unix(1000, 0)
		gauges := []gauge{{kind: runningAt, max: 100}, {kind: lagOf, replica: "r", max: 10}, {kind: queryOf}}
		for i := range gauges {
			gauges[i].took(now, 0, nil)
		}
		for range 60 {
			now = now.Add(time.Duration(rng.Int64N(int64(1500 * time.Millisecond))))
			for i := range gauges {
				switch rng.IntN(12) {
				case 0:
					gauges[i].took(now, 0, errors.New("no answer"))
				case 1, 2:
					gauges[i].took(now, gauges[i].max*1.3*rng.Float64(), nil)
				case 3, 4, 5, 6:
					gauges[i].took(now, 0, nil)
				}
			}
			target := 1.0
			for i := range gauges {
				target = min(target, gauges[i].share(now))
			}
			history = append(history, looked{now, target})
			got, want := th.step(now, gauges), ratioByHistory(history)
			if math.Abs(got.ratio-want) > 1e-9 {
				t.Fatalf("ratio %g, want %g after %+v", got.ratio, want, history)
			}
			if (got.why == "") != (got.ratio == 1) || got.ratio > target || got.ratio > 0 && got.ratio < leastRatio {
				t.Fatalf("%+v of a target of %g", got, target)
			}
		}
	}
}

// TestGauges: what each answer allows, and what is said about it. No answer, and
// one that is too old, allow nothing.
func TestGauges(t *testing.T) {
	now := time.Unix(1000, 0)
	lag := gauge{kind: lagOf, replica: "db2:3306", max: 10}
	running, query := gauge{kind: runningAt, max: 100}, gauge{kind: queryOf}
	for _, c := range []struct {
		g     gauge
		value float64
		err   error
		age   time.Duration
		share float64
		why   string
	}{
		{lag, 5, nil, 0, 1, ""},
		{lag, 8, nil, 0, 0.4, "replica db2:3306 is 8s behind, not far enough from 10s"},
		{lag, 10, nil, staleAfter, leastRatio, "replica db2:3306 is 10s behind, not far enough from 10s"},
		{lag, 34, nil, 0, 0, "replica db2:3306 is 34s behind, more than 10s"},
		{lag, 0, nil, 7 * time.Second, 0, "replica db2:3306 has told nothing for 7s"},
		{lag, 0, errors.New("its replication does not run"), 0, 0, "replica db2:3306: its replication does not run"},
		{running, 101, nil, 0, 0, "the source runs 101 statements, more than 100"},
		{query, 0, nil, 0, 1, ""},
		{query, 0.5, nil, 0, 0, "health_query says 0.5, more than 0"},
		{query, math.NaN(), nil, 0, 0, "health_query says NaN, more than 0"},
	} {
		g := c.g
		g.took(now, c.value, c.err)
		at := now.Add(c.age)
		if got := g.share(at); math.Abs(got-c.share) > 1e-9 {
			t.Errorf("%v, %v, %s old: share %g, want %g", c.value, c.err, c.age, got, c.share)
		}
		if c.why != "" && g.why(at) != c.why {
			t.Errorf("says %q, want %q", g.why(at), c.why)
		}
	}
}

// TestHealthConfigErrors: each tells its field.
func TestHealthConfigErrors(t *testing.T) {
	for want, change := range map[string]func(*SnapshotConfig){
		"replicas[0]: \"db2\" is not host:port":            func(c *SnapshotConfig) { c.Replicas = []string{"db2"} },
		"replicas[1]: \"db2:1\" is listed twice":           func(c *SnapshotConfig) { c.Replicas = []string{"db2:1", "db2:1"} },
		"max_replica_lag: want at least 1s":                func(c *SnapshotConfig) { c.MaxReplicaLag = time.Millisecond },
		"health_max: is the limit of a health_query":       func(c *SnapshotConfig) { c.HealthMax = 3 },
		"health_max: want 0 or more":                       func(c *SnapshotConfig) { c.HealthQuery, c.HealthMax = "SELECT 1", -1 },
		"max_bytes_per_second: want 0 (no limit) or more,": func(c *SnapshotConfig) { c.MaxBytesPerSecond = -1 },
	} {
		c := DefaultSnapshotConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
