package kafka

import (
	"math/rand/v2"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

// again repeats the batches after a pause, with the leaders looked up anew.
func (l *line) again(parts []*partition, cause error) {
	l.disturbed = true
	worst := parts[0]
	for _, p := range parts {
		if p.attempts == 1 {
			l.retrying++
		}
		if p.attempts > worst.attempts {
			worst = p
		}
	}
	attempts := worst.attempts
	shown := classify(cause, "produce", worst.place().String())
	l.waits.Store(&shown)
	l.obs.retry(Retry{Op: "produce", At: worst.place().String(), Since: worst.since, Attempts: attempts, Err: cause})
	l.spawn(func() func() error {
		sleep(l.ctx, backoff(attempts))
		l.cluster.refresh()
		err := l.relocate(parts, attempts)
		return func() error {
			for _, p := range parts {
				l.m.retry(p)
			}
			return err
		}
	})
}

// backoff is the pause before a repetition: doubling from 10 ms to 2 s, with
// jitter.
func backoff(attempts int) time.Duration {
	d := 10 * time.Millisecond << min(attempts-1, 8)
	d = min(d, 2*time.Second)
	return d/2 + rand.N(d)
}

// relocate looks up the leaders of the partitions. Only a topic that stays away
// is an error: what is unreachable is tried again.
func (l *line) relocate(parts []*partition, attempts int) error {
	seen := map[*topic]bool{}
	for _, p := range parts {
		if seen[p.topic] {
			continue
		}
		seen[p.topic] = true
		m, err := describe(l.ctx, l.cluster, p.topic.name)
		if err == nil && m == nil && attempts >= 5 {
			m, err = awaitTopic(l.ctx, l.cluster, p.topic.name)
			if err == nil && m == nil {
				return l.topicGone(p.topic.name)
			}
		}
		if err == nil && m != nil {
			p.topic.setLeaders(m)
		}
	}
	return nil
}

// healed notes that a repeated batch got through.
func (l *line) healed(p *partition) {
	if l.retrying--; l.retrying == 0 {
		l.waits.Store(nil)
		l.obs.retry(Retry{Op: "produce", At: p.place().String(), Since: p.since})
	}
}

// topicGone is the error of a topic that was there and stays away: where it may
// be made again, the next line does that.
func (l *line) topicGone(name string) error {
	if l.cfg.DeletedTopics == policyRecreate {
		return resilience.Errorf(resilience.Transient, "topic_deleted", "look up topic", "topic %s is gone: it is made again", name)
	}
	return topicDeleted(name)
}
