package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	kafka "github.com/segmentio/kafka-go"
	meta "github.com/segmentio/kafka-go/protocol/metadata"
)

// TestTopicsAreWaitedFor: brokers that do not know a topic yet are asked again;
// it is missing only if they do not for long.
func TestTopicsAreWaitedFor(t *testing.T) {
	there, unreachable := &meta.ResponseTopic{Name: "t"}, errors.New("unreachable")
	for _, c := range []struct {
		name    string
		knownAt time.Duration // when the brokers know it
		until   error         // what they answer before that
		ends    time.Duration // of the line
		want    *meta.ResponseTopic
		err     error
	}{
		{name: "known", ends: time.Minute, want: there},
		{name: "unknown for a while", ends: time.Minute, knownAt: 4 * time.Second, want: there},
		{name: "no leader for a while", ends: time.Minute, knownAt: 4 * time.Second, until: kafka.LeaderNotAvailable, want: there},
		{name: "missing", ends: time.Minute, knownAt: time.Hour},
		{name: "unreachable", ends: time.Minute, knownAt: time.Hour, until: unreachable, err: unreachable},
		{name: "the line ends", knownAt: time.Hour, ends: time.Second, err: context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.ends)
			defer cancel()
			began := time.Now()
			got, err := await(ctx, func() (*meta.ResponseTopic, error) {
				if time.Since(began) < c.knownAt {
					return nil, c.until
				}
				return there, nil
			})
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s: %v, %v", c.name, got, err)
			}
			if c.name == "missing" && time.Since(began) < absence {
				t.Errorf("missing after %s", time.Since(began))
			}
		})
	}
}

// TestOneFailedLookupEndsAll: a worker does not sit out its own time-out after
// another's has ended the line.
func TestOneFailedLookupEndsAll(t *testing.T) {
	ts := newTopics(&Config{}, nil, nil)
	ts.cluster = &cluster{ctx: t.Context()}
	_, first := ts.topic("no/topic")
	if _, err := ts.topic("another"); first == nil || !errors.Is(err, first) {
		t.Errorf("%v, then %v", first, err)
	}
}
