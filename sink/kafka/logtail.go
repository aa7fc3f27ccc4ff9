package kafka

import (
	"context"
	"strings"

	"github.com/cdcd-io/cdcd/checkpoint"
)

// readTail reads what lies behind the last stable offset: it may tell of a
// transaction that hangs. Call it after read.
func (l *checkpointLog) readTail(ctx context.Context) error {
	l.hang = nil
	end, err := l.offset(ctx, readUncommitted)
	for next := l.next; err == nil && next < end; {
		var batches []logBatch
		var after int64
		err = l.c.patiently(ctx, func() (err error) {
			batches, after, err = l.c.fetchLog(ctx, l.place(), next, tailBytes, withEntries)
			return err
		})
		for i := 0; i < len(batches) && err == nil; i++ {
			err = l.takeUndecided(&batches[i])
		}
		if after == next {
			break
		}
		next = after
	}
	return classify(err, "read checkpoint topic", l.topic)
}

func (l *checkpointLog) place() place { return place{l.topic, 0} }

// takeUndecided takes in a batch from behind the last stable offset.
func (l *checkpointLog) takeUndecided(b *logBatch) error {
	switch {
	case b.base < l.next:
		return nil
	case b.marker != noMarker:
		l.hang = nil // in a moment the offset will be stable
		return nil
	case !b.transactional:
		return l.takePlain(b)
	}
	l.meet(b.writer)
	if l.hang == nil {
		l.hang = &hang{place: l.place(), writer: b.writer, first: b.base}
	}
	l.hang.last = b.last
	return l.setAside(b)
}

// takePlain looks for notes among records that are of no transaction. The
// others wait until the offset is stable.
func (l *checkpointLog) takePlain(b *logBatch) error {
	for _, e := range b.entries {
		if e.key == keySettle {
			if err := l.takeNote(e.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeNote takes in a note, or its removal. One whose session was not the
// newest when it came is of somebody who had been replaced.
func (l *checkpointLog) takeNote(value []byte) error {
	n, err := parseNote(l.topic, value)
	if err == nil && (n == nil || n.Epoch >= l.epochs[n.Pid]) {
		l.note = n
	}
	return err
}

// setAside keeps the end of a transaction that is not committed.
func (l *checkpointLog) setAside(b *logBatch) error {
	s := &lostEnd{at: b.base, entries: b.entries, writer: b.writer}
	for _, e := range b.entries {
		var err error
		switch {
		case e.key == keyPosition:
			s.position, err = checkpoint.Decode(e.value)
			l.sealed = s
		case strings.HasPrefix(e.key, keyLine) && e.value != nil:
			s.ledger, err = l.takeLedger(e.key, e.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *checkpointLog) takeLedger(key string, value []byte) (ledger, error) {
	g, err := parseLedger(value)
	if err != nil {
		err = corrupt(l.topic, key, err)
	}
	return g, err
}

// ledgers are those of the newest committed transaction of each session.
func (l *checkpointLog) ledgers() (map[session]ledger, error) {
	all := map[session]ledger{}
	for k, v := range l.values {
		s, ok := parseLineKey(k)
		if !ok {
			continue
		}
		g, err := l.takeLedger(k, v)
		if err != nil {
			return nil, err
		}
		all[s] = g
	}
	return all, nil
}
