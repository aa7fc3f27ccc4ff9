package pipeline

import "time"

// pulse is what the watchdog saw of one stage.
type pulse struct {
	stage string
	doing doing
	beats uint64
}

// watchdog finds a stage that has work and room, declares no retry, and still
// makes no progress. It is a pure step function: time and pulses come in.
type watchdog struct {
	after time.Duration
	seen  map[string]heldPulse
}

type heldPulse struct {
	pulse
	since time.Time
}

func newWatchdog(after time.Duration) *watchdog {
	return &watchdog{after: after, seen: make(map[string]heldPulse)}
}

// step takes the pulses of now and returns the stage that hangs, or "".
func (w *watchdog) step(now time.Time, pulses []pulse) string {
	for _, p := range pulses {
		held, ok := w.seen[p.stage]
		if !ok || held.pulse != p || p.doing != working {
			w.seen[p.stage] = heldPulse{pulse: p, since: now}
			continue
		}
		if now.Sub(held.since) >= w.after {
			return p.stage
		}
	}
	return ""
}
