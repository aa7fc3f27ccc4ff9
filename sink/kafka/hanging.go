package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

const (
	// hangDelay is how long a transaction must lie undecided behind
	// InitProducerId before it counts as forgotten.
	hangDelay = time.Second
	// settleRounds bounds how often settle acts: what it writes may be forgotten
	// by the brokers too.
	settleRounds = 3
	// tailBytes is the size of requests that look for one batch.
	tailBytes = 1 << 20
)

// Settlement tells of transactions that the brokers had forgotten to end.
type Settlement struct {
	Committed, Aborted []string // partitions, as topic/number
	Reason             string
}

// settle is settleAll with errors that have their meaning.
func (l *line) settle(ctx context.Context, told checkpoint.Checkpoint) (acted bool, err error) {
	acted, err = l.settleAll(ctx, told)
	if err = classify(err, "settle transaction", l.producer.id); resilience.ClassOf(err) == resilience.Fenced {
		err = l.confirmFence(err)
	}
	return acted, err
}

// settleAll ends transactions of ours that their coordinator holds for done and
// that lie undecided in partitions. It must follow InitProducerId: nobody else
// will end them then. acted says that the session was used for it and must not
// be used for anything else.
func (l *line) settleAll(ctx context.Context, told checkpoint.Checkpoint) (acted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*l.cluster.timeout+settleRounds*hangDelay)
	defer cancel()
	for range settleRounds {
		f, err := l.survey(ctx, told, acted)
		if err != nil {
			return acted, err
		}
		s, err := l.judge(ctx, f)
		if err != nil {
			return acted, err
		}
		if len(s.commit)+len(s.abort) == 0 {
			if f.note != nil {
				acted, err = true, l.finishNote(ctx, f)
			}
			return acted, err
		}
		acted = true
		if err := l.carryOut(ctx, f, s); err != nil {
			return acted, err
		}
	}
	return acted, l.forgetful()
}

func (l *line) forgetful() error {
	return resilience.Errorf(resilience.Transient, "transaction_undecided", "settle transaction",
		"the brokers keep forgetting to end the transactions of %s", l.producer.id)
}

// judge decides, with another look where that takes one.
func (l *line) judge(ctx context.Context, f *facts) (settlement, error) {
	s, look, err := decide(f)
	if look {
		if err = l.lookForShown(ctx, f); err == nil {
			s, _, err = decide(f)
		}
	}
	return s, err
}

// carryOut writes the outcomes. Aborting needs no note: if we die the brokers
// do it.
func (l *line) carryOut(ctx context.Context, f *facts, s settlement) error {
	l.obs.settled(s)
	if len(s.abort) > 0 {
		if err := l.endHanging(ctx, s.abort, false); err != nil {
			return err
		}
	}
	if len(s.commit) == 0 {
		return nil
	}
	if err := l.writeNote(ctx, newNote(f, s)); err != nil {
		return err
	}
	return l.endHanging(ctx, s.commit, true)
}

// endHanging writes a marker of our newer epoch behind what hangs.
func (l *line) endHanging(ctx context.Context, hangs []hang, commit bool) error {
	parts := make([]*partition, len(hangs))
	until := map[place]int64{}
	for i := range hangs {
		h := &hangs[i]
		parts[i] = &partition{topic: &topic{name: h.topic}, id: h.part}
		until[h.place] = h.last + 1
	}
	if err := l.producer.addPartitions(ctx, parts); err != nil {
		return err
	}
	failpoint.Hit("kafka.settle.added")
	if err := l.producer.endTxn(ctx, commit); err != nil {
		return err
	}
	failpoint.Hit("kafka.settle.ended")
	_, err := l.cluster.awaitStable(ctx, until, hangDelay)
	return err
}

// finishNote removes a note when everything in it is decided.
func (l *line) finishNote(ctx context.Context, f *facts) error {
	for _, p := range f.note.Parts {
		if err := l.verifyNoted(ctx, p); err != nil {
			return err
		}
	}
	return l.clearNote(ctx, f.note, f.stored)
}

// verifyNoted makes sure that noted records were not aborted: whoever carried
// the note out may have died in the middle and stayed away for longer than the
// transaction time-out.
func (l *line) verifyNoted(ctx context.Context, p notedPart) error {
	at := p.place()
	if at == l.log.place() {
		return nil // its records are stored anew
	}
	if gone, err := l.gone(ctx, at); gone || err != nil {
		return err
	}
	if !l.clean[at] {
		return undecided(at)
	}
	next := p.Last + 1
	for {
		batches, after, err := l.fetchPatiently(ctx, at, next, tailBytes)
		if errors.Is(err, kafka.OffsetOutOfRange) {
			return nil // deleted meanwhile, for everybody
		}
		if err != nil {
			return err
		}
		for i := range batches {
			b := &batches[i]
			if !l.own(b.writer.pid) || b.marker == noMarker || b.base <= p.Last {
				continue
			}
			if b.marker == commitMarker {
				return nil
			}
			return resilience.Errorf(resilience.Fatal, "transaction_torn", "settle transaction",
				"records up to offset %d are aborted in this partition and committed in others", p.Last).WithPlace("%s", at).
				WithHint("the changes of that transaction are invisible here and nowhere else; %s", resilience.StartOver)
		}
		if after == next {
			return nil // its end was cleaned away
		}
		next = after
	}
}

// lookForShown finds out whether a part of the sealed transaction is committed.
func (l *line) lookForShown(ctx context.Context, f *facts) error {
	f.looked = true
	for _, at := range f.unseen() {
		gone, err := l.gone(ctx, at)
		if err != nil {
			return err
		}
		if gone {
			continue
		}
		b, m, err := l.newestOwn(ctx, at)
		if err != nil && verdictOf(err) == stop {
			return err
		}
		if err != nil {
			f.blind = &at
			continue
		}
		if b != nil && m == commitMarker && b.writer == f.sealed.writer && f.sealed.ledger[at].holds(b.seq) {
			f.shown = true
		}
	}
	return nil
}

// gone tells that a partition was deleted, for everybody. A broker that has just
// started may not know its topic yet.
func (l *line) gone(ctx context.Context, at place) (bool, error) {
	if slices.Contains(l.data, at) {
		return false, nil
	}
	m, err := awaitTopic(ctx, l.cluster, at.topic)
	return err == nil && (m == nil || int(at.part) >= len(m.Partitions)), err
}

// newestOwn is the last batch of ours in a partition, with the marker behind it.
func (l *line) newestOwn(ctx context.Context, at place) (*logBatch, marker, error) {
	from, err := l.offsetOf(ctx, at, readUncommitted, atStart)
	if err != nil {
		return nil, noMarker, err
	}
	to, err := l.offsetOf(ctx, at, readUncommitted, atEnd)
	if err != nil {
		return nil, noMarker, err
	}
	return l.lastOwn(ctx, at, from, to, true)
}

func (l *line) offsetOf(ctx context.Context, at place, isolation int8, when int64) (int64, error) {
	res, err := l.cluster.offsets(ctx, isolation, when, []place{at})
	if err != nil {
		return 0, err
	}
	return res[at].at, res[at].err
}

// lastOwn searches [from, to) backwards for the last batch of records of ours
// and the marker behind it, in steps that grow: in a topic of our own it takes
// two. Unless pastMarkers, a marker without records behind it is enough.
func (l *line) lastOwn(ctx context.Context, at place, from, to int64, pastMarkers bool) (*logBatch, marker, error) {
	behind := noMarker // what was searched so far
	for step, n := int64(1), 0; to > from; step, n = min(step*4, 1<<14), n+1 {
		if n > farthest {
			return nil, noMarker, fmt.Errorf("%s: %w", at, errTooFar)
		}
		start := max(from, to-step)
		last, m, err := l.lastOwnIn(ctx, at, start, to)
		if err != nil {
			return nil, noMarker, err
		}
		if m != noMarker {
			behind = m
		}
		if last != nil || behind != noMarker && !pastMarkers {
			return last, behind, nil
		}
		to = start
	}
	return nil, behind, nil
}

// farthest is how many steps back lastOwn goes, a million records. That much
// can only lie there in a topic that others write to.
const farthest = 64

var errTooFar = errors.New("too many records of others are behind the last transaction that is decided")

// lastOwnIn reads [from, to) and returns the last batch of records of ours with
// the first marker behind it, or the first marker if there are no records.
func (l *line) lastOwnIn(ctx context.Context, at place, from, to int64) (last *logBatch, m marker, err error) {
	for from < to {
		batches, next, err := l.fetchPatiently(ctx, at, from, tailBytes)
		if err != nil {
			return nil, noMarker, err
		}
		for i := range batches {
			b := &batches[i]
			switch {
			case b.base >= to || !b.transactional || !l.own(b.writer.pid):
			case b.marker == noMarker:
				last, m = b, noMarker
			case m == noMarker:
				m = b.marker
			}
		}
		if next == from {
			return last, m, nil
		}
		from = next
	}
	return last, m, nil
}

func (l *line) fetchPatiently(ctx context.Context, at place, from int64, size int32) (batches []logBatch, next int64, err error) {
	err = l.cluster.patiently(ctx, func() error {
		batches, next, err = l.cluster.fetchLog(ctx, at, from, size, offsetsOnly)
		return err
	})
	return batches, next, err
}

// own tells whether a producer id is or was ours: only ours write to the
// checkpoint topic.
func (l *line) own(pid int64) bool {
	_, known := l.log.epochs[pid]
	return pid == l.producer.session.pid || known
}
