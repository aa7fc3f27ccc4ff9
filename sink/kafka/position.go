package kafka

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// sealGroup makes the records that end a Kafka transaction: the position after
// its items, with what is done of a source transaction that goes on, and the
// partition counts of topics it is the first to write.
func (l *line) sealGroup(group []*item) ([]*batch, error) {
	for _, it := range group {
		l.advance(it.ends)
	}
	failpoint.Hit("kafka.seal")
	if last := group[len(group)-1]; last.open {
		l.cp.Position.Partial = last.part
		failpoint.Hit("kafka.split")
	}
	l.told = false
	l.pins = append(l.pins, entry{lineKey(l.producer.session), encodeLedger(l.m.written)})
	return l.checkpointBatches()
}

// advance moves the position over ends that are, or are about to be, delivered.
// Their marks are records of their own.
func (l *line) advance(ends []event.Coord) {
	for _, c := range ends {
		l.cp.Position.Advance(c)
		if c.Mark != nil {
			l.pins = append(l.pins, entry{keyMark + c.Mark.Key, c.Mark.Value})
		}
	}
}

func (l *line) checkpointBatches() ([]*batch, error) {
	now := time.Now()
	l.cp.Saved = now
	value, err := encodePosition(l.cp)
	if err != nil {
		return nil, err
	}
	entries := append(lastOfEach(l.pins), entry{keyPosition, value})
	l.pins = nil
	return []*batch{encodeEntries(l.m.checkpoint.topic, now, entries)}, nil
}

// changedMarks makes the records that turn one set of marks into another.
func changedMarks(from, to map[string][]byte) (entries []entry) {
	for key := range from {
		if _, kept := to[key]; !kept {
			entries = append(entries, entry{keyMark + key, nil})
		}
	}
	for key, value := range to {
		if old, ok := from[key]; !ok || !bytes.Equal(old, value) {
			entries = append(entries, entry{keyMark + key, value})
		}
	}
	return entries
}

// encodePosition leaves the marks out, which have keys of their own.
func encodePosition(cp checkpoint.Checkpoint) ([]byte, error) {
	cp.Position.Marks = nil
	return checkpoint.Encode(cp)
}

// lastOfEach drops what a later entry of the same key replaces: a group may
// hold many chunks of one table.
func lastOfEach(entries []entry) []entry {
	last := make(map[string]int, len(entries))
	for i, e := range entries {
		last[e.key] = i
	}
	kept := entries[:0]
	for i, e := range entries {
		if last[e.key] == i {
			kept = append(kept, e)
		}
	}
	return kept
}

// pin remembers the topics whose partition count is not stored yet. It goes
// into the next checkpoint, which is in or before the transaction of the item.
func (l *line) pin(it *item) {
	for i := range it.unit.batches {
		if t := it.unit.batches[i].topic; !t.pinned {
			t.pinned = true
			l.pins = append(l.pins, entry{keyPartitions + t.name, strconv.AppendInt(nil, int64(t.partitions), 10)})
		}
	}
}

// savePosition stores the position of an at_least_once line, after the data.
func (l *line) savePosition(now time.Time) error {
	if !l.positionWaits() {
		return nil
	}
	if l.m.draining {
		if !l.m.quiet() && !l.m.stranded() {
			return nil
		}
	} else if now.Sub(l.savedAt) < l.cfg.CheckpointInterval {
		return nil
	}
	batches, err := l.checkpointBatches()
	if err != nil {
		return err
	}
	l.moved, l.savedAt = false, now
	l.m.enqueue(batches[0])
	return nil
}

// positionWaits tells that there is a position to store, and none on its way.
func (l *line) positionWaits() bool {
	return l.moved && !l.cfg.exactlyOnce() && len(l.m.partition(l.checkpointKey()).queue) == 0
}

// write stores entries in the checkpoint topic by themselves, while the loop
// does not run.
func (l *line) write(ctx context.Context, entries ...entry) error {
	err := l.writeTxn(ctx, entries)
	if resilience.ClassOf(err) == resilience.Fenced {
		err = l.confirmFence(err)
	}
	return err
}

func (l *line) writeTxn(ctx context.Context, entries []entry) error {
	p := l.m.partition(l.checkpointKey())
	b := encodeEntries(p.topic, time.Now(), entries)
	if l.producer.transactional {
		if p.check != clean {
			if err := l.confirm(ctx, []*partition{p}); err != nil {
				return err
			}
		}
		p.check = unchecked // for the next
		if err := l.producer.addPartitions(ctx, []*partition{p}); err != nil {
			return err
		}
	}
	stamp(b.bytes(), l.producer.session.pid, l.producer.session.epoch, p.seq, l.producer.transactional)
	if err := l.writeBatch(ctx, b); err != nil {
		return classify(err, "store checkpoint", p.place().String())
	}
	p.seq, p.end = nextSequence(p.seq, b.count), b.end
	if l.producer.transactional {
		return l.producer.endTxn(ctx, true)
	}
	return nil
}

func (l *line) writeBatch(ctx context.Context, b *batch) error {
	for attempt := 1; ; attempt++ {
		err := l.producer.produce(ctx, []*batch{b})[0]
		if err == nil || verdictOf(err) == done {
			return nil
		}
		if attempt == 8 || verdictOf(err) != again || !sleep(ctx, backoff(attempt)) {
			return err
		}
		l.cluster.refresh()
	}
}
