package kafka

import (
	"testing"
	"time"
)

func TestOutlived(t *testing.T) {
	const week = "604800000"
	for _, c := range []struct {
		retention, stamps, policy string
		away                      time.Duration
		want                      bool
	}{
		{week, "CreateTime", "delete", 8 * 24 * time.Hour, true},
		{week, "CreateTime", "compact,delete", 8 * 24 * time.Hour, true},
		{week, "CreateTime", "delete", 6 * 24 * time.Hour, false},
		{week, "CreateTime", "compact", 8 * 24 * time.Hour, false},
		{week, "LogAppendTime", "delete", 8 * 24 * time.Hour, false},
		{"-1", "CreateTime", "delete", 8 * 24 * time.Hour, false},
		{"9223372036854775807", "CreateTime", "delete", 8 * 24 * time.Hour, false},
		{"", "", "", 8 * 24 * time.Hour, false}, // not told
	} {
		topic := map[string]string{"retention.ms": c.retention, "message.timestamp.type": c.stamps, "cleanup.policy": c.policy}
		if got := outlived(topic, c.away); got != c.want {
			t.Errorf("%v, %s: %v", topic, c.away, got)
		}
	}
}
