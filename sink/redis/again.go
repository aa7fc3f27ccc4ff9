package redis

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// A commit is in the log before a SELECT shows it. Who takes a lease after the
// delete and loads before the commit shows, fills the old row. So the keys are
// deleted again once the source shows the transaction, unless it did before the
// first delete was issued. Only the acknowledgement waits for that.

const (
	// keptOpen bounds the keys of transactions that go on: their batches count as
	// delivered, so the pipeline's budget does not hold them any more.
	keptOpen = 32 << 20
	// waitsLong is how long keys wait before a person is told.
	waitsLong = time.Second
)

// again is what was deleted once, in the order of the log, and what is known to
// show. Its functions touch neither Redis nor the source.
type again struct {
	items []item
	kept  int          // bytes of the keys of batches that were acknowledged early
	shown source.Shown // nil: nothing is known
	// ready is how many items from the first need no longer wait.
	ready int
}

// add takes over an item whose keys are deleted, and reports whether it may be
// acknowledged early: its last transaction goes on, and may be larger than any
// budget. Beyond keptOpen such keys are not kept.
func (a *again) add(it item) (early bool, drop *unit) {
	if it.open {
		it.ends = slices.Clone(it.ends)
		if n := it.unit.Bytes(); a.kept+n > keptOpen && it.unit.keys.len() > 0 {
			drop, it.unit, it.dropped = it.unit, nil, true
		} else {
			it.kept = n
			a.kept += n
		}
	}
	a.items = append(a.items, it)
	return it.open, drop
}

// update counts what is ready. lost reports that keys which were not kept would
// have to be deleted now.
func (a *again) update() (lost bool) {
	for a.ready < len(a.items) {
		it := &a.items[a.ready]
		if !it.isEmpty() && !it.known && !a.settled(a.ready, it.before) {
			if !a.settled(a.ready, a.shown) {
				return false
			}
			if it.dropped {
				return true
			}
			it.repeat = true
		}
		it.known = true
		a.ready++
	}
	return false
}

// settled reports whether all transactions of item i show by what s says, also
// the one that goes on behind it.
func (a *again) settled(i int, s source.Shown) bool {
	if s == nil {
		return false
	}
	for _, end := range a.items[i].ends {
		if !s.End(end) {
			return false
		}
	}
	if !a.items[i].open {
		return true
	}
	end, ok := a.endBehind(i)
	return ok && s.End(end)
}

// endBehind is the end of the transaction that is open at the end of item i.
func (a *again) endBehind(i int) (event.Coord, bool) {
	for j := i + 1; j < len(a.items); j++ {
		if len(a.items[j].ends) > 0 {
			return a.items[j].ends[0], true
		}
	}
	return event.Coord{}, false
}

// pop takes the ready items, without those beyond n.
func (a *again) pop(n int) {
	for i := range n {
		a.kept -= a.items[i].kept
	}
	a.items = slices.Delete(a.items, 0, n)
	a.ready -= n
}

// waits reports whether something waits for the source.
func (a *again) waits() bool { return a.ready < len(a.items) }

// seen is a time at which all of what waits had not shown yet, if a commit
// carries its time: the source was asked then, or it is that of the oldest.
func (a *again) seen(asked time.Time) time.Time {
	if first := a.items[0].commit; first.After(asked) {
		return first
	}
	return asked
}

// since is when the oldest of what waits was deleted for the first time.
func (a *again) since() time.Time { return a.items[a.ready].deleted }

func (it *item) isEmpty() bool { return !it.dropped && it.unit.keys.len() == 0 }

// wonder asks the source where an answer would let something go.
func (l *line) wonder() {
	if l.asker == nil || l.asking || l.err != nil || !l.again.waits() && !l.issues() {
		return
	}
	l.asking = true
	l.asker.ask <- l.askAt
}

// issues reports whether keys are about to be deleted that may not show yet.
func (l *line) issues() bool {
	for i := range l.group {
		if it := &l.group[i]; !it.isEmpty() && (it.open || l.again.shown == nil || !shows(l.again.shown, it.ends)) {
			return true
		}
	}
	return false
}

func shows(s source.Shown, ends []event.Coord) bool {
	return !slices.ContainsFunc(ends, func(end event.Coord) bool { return !s.End(end) })
}

// hear takes an answer of the source.
func (l *line) hear(a answer) {
	l.asking = false
	if a.err != nil {
		l.unheard(a.err)
		return
	}
	before := l.again.ready
	l.again.shown, l.asked, l.answered = a.shown, a.began, true
	l.sortOut()
	every := max(askEvery, 4*a.took)
	if l.again.ready > before || !l.again.waits() {
		l.askPause = every
	} else {
		l.askPause = max(every, min(2*l.askPause, askSlow))
	}
	l.askAt = time.Now().Add(l.askPause)
	l.tellWaiting(nil)
}

// unheard deals with a source that does not answer: keys wait, unless it says
// that it never will.
func (l *line) unheard(err error) {
	if errors.Is(err, context.Canceled) {
		err = &resilience.Error{Class: resilience.Transient, Code: "send_cancelled", Op: "delete keys again", At: l.conn.addr, Err: err}
		l.fail(err)
		return
	}
	if resilience.ClassOf(err) == resilience.Fatal {
		l.fail(err)
		return
	}
	l.answered = true
	l.askAt = time.Now().Add(askAgain)
	l.tellWaiting(err)
}

// tellWaiting says why acknowledgements wait, where they have for long.
func (l *line) tellWaiting(cause error) {
	if !l.again.waits() || time.Since(l.again.since()) < waitsLong {
		l.awaits.Store(nil)
		return
	}
	err := notShown(cause)
	l.awaits.Store(&err)
}

func notShown(cause error) error {
	e := resilience.Errorf(resilience.Transient, "not_shown", "delete keys again", "the source has a commit in its log that a SELECT does not show yet").
		WithHint("a semi-synchronous replica may owe its acknowledgement; what is read meanwhile is deleted again, only the checkpoint waits")
	if cause != nil {
		e.Err = cause
		e.Hint = "keys are deleted at once; the source must tell when a SELECT shows the change, so that they are deleted again: only the checkpoint waits"
	}
	return e
}

// sortOut finds what need not wait any more.
func (l *line) sortOut() {
	if l.again.update() {
		l.fail(resilience.Errorf(resilience.Transient, "transaction_again", "delete keys again",
			"a transaction with more than %d MiB of keys did not show when they were deleted, and is read again", keptOpen>>20))
	}
}

// wait takes over the group whose first deletes are acknowledged.
func (l *line) wait(it item) {
	it.deleted = time.Now()
	if l.asker == nil {
		it.known = true
	}
	early, drop := l.again.add(it)
	if drop != nil {
		l.pool.put(drop)
	}
	if last := &l.again.items[len(l.again.items)-1]; early {
		last.done(ackNow())
		last.done = nil
	}
}

// over moves the first n items, whose keys are deleted for the last time, to
// those that the beacon owes.
func (l *line) over(n int) {
	for i := range l.again.items[:n] {
		it := l.again.items[i]
		for _, end := range it.ends {
			l.last.Advance(end)
		}
		if it.unit != nil {
			l.pool.put(it.unit)
			it.unit = nil
		}
		l.owed = append(l.owed, it)
	}
	l.again.pop(n)
}
