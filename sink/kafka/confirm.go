package kafka

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

const (
	// lookDelay is how long the last stable offset may stand before we look for
	// our marker: somebody else's transaction may hold the offset back.
	lookDelay = 25 * time.Millisecond
	// forgetDelay is how long a partition that answers may lack our marker
	// before it counts as forgotten: Connect then asks the coordinator.
	forgetDelay = 2 * time.Second
)

// confirm waits until nothing of ours lies undecided in the partitions. The
// marker of a later transaction would end that too, and possibly otherwise.
func (l *line) confirm(ctx context.Context, parts []*partition) error {
	ctx, cancel := l.cluster.withTimeout(ctx)
	defer cancel()
	until := l.ends(ctx, parts)
	for began, wait := time.Now(), lookDelay; ; wait = 4 * lookDelay {
		left, err := l.cluster.awaitStable(ctx, until, wait)
		if err != nil || len(left) == 0 {
			return classify(err, "confirm transaction", l.producer.id)
		}
		why, err := l.findMarkers(ctx, left, until)
		if err != nil || len(until) == 0 {
			return err
		}
		if why != nil && time.Since(began) > forgetDelay {
			return why
		}
		if ctx.Err() != nil {
			return undecided(left[0])
		}
	}
}

// ends are the offsets before which all must be decided: behind our last
// record, or, where that is not known, behind all that is there now. One that
// cannot be had is out of reach.
func (l *line) ends(ctx context.Context, parts []*partition) map[place]int64 {
	until := make(map[place]int64, len(parts))
	var unknown []place
	for _, p := range parts {
		if until[p.place()] = p.end; p.end == 0 {
			unknown = append(unknown, p.place())
		}
	}
	for len(unknown) > 0 {
		ends, err := l.cluster.offsets(ctx, readUncommitted, atEnd, unknown)
		rest := unknown[:0]
		for _, at := range unknown {
			if o := ends[at]; err == nil && o.err == nil {
				until[at] = o.at
			} else {
				until[at], rest = math.MaxInt64, append(rest, at)
			}
		}
		if unknown = rest; len(unknown) > 0 {
			l.cluster.refresh()
			if !sleep(ctx, failedPause) {
				break
			}
		}
	}
	return until
}

// findMarkers looks for our markers in partitions whose stable offset stands,
// and removes those from until in which there is one. why says of one that
// answers what is wrong with it.
func (l *line) findMarkers(ctx context.Context, left []place, until map[place]int64) (why, err error) {
	for _, at := range left {
		h, err := l.hangAt(ctx, at)
		switch {
		case err == nil && h == nil:
			delete(until, at)
		case err == nil:
			why = undecided(at)
		case errors.Is(err, errUnreadable):
			why = classify(err, "confirm transaction", at.String())
		case verdictOf(err) == stop:
			return nil, classify(err, "confirm transaction", at.String())
		}
	}
	return why, nil
}

func (l *line) hangAt(ctx context.Context, at place) (*hang, error) {
	stable, err := l.offsetOf(ctx, at, readCommitted, atEnd)
	if err != nil {
		return nil, err
	}
	end, err := l.offsetOf(ctx, at, readUncommitted, atEnd)
	if err != nil {
		return nil, err
	}
	return l.hangIn(ctx, at, stable, end)
}

// undecided ends the line: Connect finds out and settles it.
func undecided(at place) error {
	return resilience.Errorf(resilience.Transient, "transaction_undecided", "confirm transaction",
		"it cannot be seen that the last transaction in this partition is committed or aborted").WithPlace("%s", at).
		WithHint("the brokers of the partition are down, or forgot to end it: then it is ended as soon as cdcd is connected anew")
}

// suspect has the next Connect look at the topics, whatever it knows of them.
func (l *line) suspect(parts ...*partition) {
	for _, p := range parts {
		if name := p.topic.name; name != l.log.topic && !slices.Contains(l.suspects, name) {
			l.suspects = append(l.suspects, name)
		}
	}
}
