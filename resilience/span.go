package resilience

import (
	"strconv"
	"strings"
	"time"
)

// Span writes a duration for a person, in its two largest units: "30d",
// "1h30m", "5m", "45s", "200ms".
func Span(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	units := []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	var b strings.Builder
	for i, left := range units {
		if d < left.of {
			continue
		}
		for _, u := range units[i:min(i+2, len(units))] {
			if n := d / u.of; n > 0 {
				b.WriteString(strconv.Itoa(int(n)) + u.name)
			}
			d %= u.of
		}
		break
	}
	return b.String()
}

// Count writes a number with its noun: "1 table", "2 tables".
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// BridgeGap names the setting by which a pipeline goes on by itself behind changes
// that are lost.
const BridgeGap = "snapshot: {mode: when_needed, gap: truncate} in the pipeline, which goes on at the present end of the log, " +
	"empties each table in the topics and reads it anew"

// StartOver is the end of the hints of errors after which a pipeline cannot go
// on from its checkpoint.
const StartOver = "start over under a new pipeline name, which begins at the present end of the log: what was changed in between " +
	"is missing from the topics (docs/operations.md, Start over)"
