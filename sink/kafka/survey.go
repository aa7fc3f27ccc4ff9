package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
)

// survey gathers what lies undecided in the partitions that this pipeline may
// have written to. What lies there only for a moment does not count.
func (l *line) survey(ctx context.Context, told checkpoint.Checkpoint, acted bool) (*facts, error) {
	f, err := l.surveyOnce(ctx, told)
	if err == nil && (f.log != nil || len(f.hangs) > 0) && !acted {
		sleep(ctx, hangDelay)
		f, err = l.surveyOnce(ctx, told)
	}
	return f, err
}

func (l *line) surveyOnce(ctx context.Context, told checkpoint.Checkpoint) (*facts, error) {
	f := &facts{us: l.producer.session, told: told}
	if err := l.surveyLog(ctx, f); err != nil {
		return nil, err
	}
	if err := l.findData(ctx, f); err != nil {
		return nil, err
	}
	return f, l.surveyData(ctx, f)
}

// surveyLog reads the checkpoint topic, decided and undecided.
func (l *line) surveyLog(ctx context.Context, f *facts) error {
	err := l.log.read(ctx, false)
	if err == nil {
		err = l.log.readTail(ctx)
	}
	if err != nil {
		return err
	}
	if f.stored, err = l.log.checkpoint(); err != nil {
		return err
	}
	f.log, f.sealed, f.note = l.log.hang, l.log.sealed, l.log.note
	l.clean[l.log.place()] = f.log == nil
	f.ledgers, err = l.log.ledgers()
	return err
}

// findData lists the partitions of all topics that may hold records of ours:
// those with a pinned number of partitions, those of the transaction that may
// hang, and those in which a line met what it could not explain.
func (l *line) findData(ctx context.Context, f *facts) error {
	names := slices.Clone(l.suspects)
	for k := range l.log.values {
		if name, ok := strings.CutPrefix(k, keyPartitions); ok {
			names = append(names, name)
		}
	}
	if f.sealed != nil {
		for at := range f.sealed.ledger {
			names = append(names, at.topic)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	l.data, l.allThere = l.data[:0], true
	if len(names) == 0 {
		return nil
	}
	res, err := l.cluster.metadata(ctx, names...)
	if err != nil {
		return err
	}
	for _, t := range res.Topics {
		l.allThere = l.allThere && t.ErrorCode == 0
		for _, p := range t.Partitions {
			l.data = append(l.data, place{t.Name, p.PartitionIndex})
		}
	}
	return nil
}

// surveyData finds what hangs in data partitions. One that does not answer is
// looked at before it is written to.
func (l *line) surveyData(ctx context.Context, f *facts) error {
	if len(l.data) == 0 {
		return nil
	}
	ends, err := l.cluster.offsets(ctx, readUncommitted, atEnd, l.data)
	if err != nil {
		return err
	}
	stable, err := l.cluster.offsets(ctx, readCommitted, atEnd, l.data)
	if err != nil {
		return err
	}
	for _, at := range l.data {
		end, lso := ends[at], stable[at]
		if end.err != nil || lso.err != nil {
			delete(l.clean, at)
			continue
		}
		h, err := l.hangIn(ctx, at, lso.at, end.at)
		if errors.Is(err, errUnreadable) || errors.Is(err, errTooFar) {
			delete(l.clean, at) // others write there too; we look again before we do
			continue
		}
		if err != nil {
			return err
		}
		if l.clean[at] = h == nil; h != nil {
			f.hangs = append(f.hangs, *h)
		}
	}
	return nil
}

// hangIn looks for records of ours between the last stable offset and the end
// that no marker follows. What lies undecided first may be somebody else's.
func (l *line) hangIn(ctx context.Context, at place, lso, end int64) (*hang, error) {
	last, m, err := l.lastOwn(ctx, at, lso, end, false)
	if err != nil || last == nil || m != noMarker {
		return nil, err
	}
	h := &hang{place: at, writer: last.writer, first: last.base, last: last.last, seqs: []int32{last.seq}}
	batches, _, err := l.fetchPatiently(ctx, at, lso, tailBytes)
	if err != nil || len(batches) == 0 {
		return h, err
	}
	if b := &batches[0]; b.writer == h.writer && b.transactional && b.marker == noMarker && b.base >= lso {
		h.first, h.seqs = b.base, append(h.seqs, b.seq)
	}
	return h, nil
}

// failedPause is between questions to brokers that are down.
const failedPause = 50 * time.Millisecond

// awaitStable polls until everything before the given offsets is decided, for
// limit at most, and returns where it is not. Partitions that do not answer
// count as not decided.
func (c *cluster) awaitStable(ctx context.Context, until map[place]int64, limit time.Duration) ([]place, error) {
	left := make([]place, 0, len(until))
	for at := range until {
		left = append(left, at)
	}
	deadline := time.Now().Add(limit)
	for pause := pauseMin; ; pause = min(pause*3/2, pauseMax) {
		stable, err := c.offsets(ctx, readCommitted, atEnd, left)
		if err != nil && ctx.Err() != nil {
			return left, err
		}
		undecided, failed := left[:0], err != nil
		for _, at := range left {
			o := stable[at]
			if o.err != nil && verdictOf(o.err) == stop {
				return left, o.err
			}
			if failed = failed || o.err != nil; o.err != nil || o.at < until[at] {
				undecided = append(undecided, at)
			}
		}
		if left = undecided; len(left) == 0 || !time.Now().Before(deadline) || !sleep(ctx, pause) {
			return left, nil
		}
		if failed {
			c.refresh()
			pause = failedPause
		}
	}
}
