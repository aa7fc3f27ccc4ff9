package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/txbuffer"
)

// pieceBytes bounds a piece of snapshot rows.
const pieceBytes = 1 << 20

// merging is the part of snapshots that belongs to the dispatch goroutine.
type merging struct {
	merger *snapshot.Merger
	reads  map[*snapshot.Window]*pending
	states []*tableRead  // whose state is to be stored
	marks  []*event.Mark // to be stored by themselves
	// bridging says that changes were lost and the truncate events that tell it
	// have not left: nothing else may until then.
	bridging bool
	redo     redoing
	view     *snapshot.Planning // what is planned and stored; nil where the source cannot read tables
}

// pending is a window whose outcome is not told yet.
type pending struct {
	t     *tableRead
	held  int64             // of the budget, once its chunk was read
	whole *txbuffer.RowFile // the rows of a table that is read as a whole, once they are read
}

// close lets go of what is on disk.
func (p *pending) close() {
	if p.whole != nil {
		_ = p.whole.Close() // it was only read, if that
	}
}

func newMerging(pos event.Position, touched int) merging {
	return merging{merger: snapshot.NewMerger(pos, touched), reads: map[*snapshot.Window]*pending{}}
}

// merge runs what the readers ask for and hands on the chunks whose marks are
// passed. Between transactions only.
func (d *dispatcher) merge(ctx context.Context) error {
	l := d.l
	for _, call := range l.calls.take() {
		call()
	}
	for {
		o, ok := l.merger.Next()
		if !ok {
			break
		}
		if err := d.decided(ctx, &o); err != nil {
			return err
		}
	}
	for len(l.states) > 0 {
		t := l.states[0]
		l.states = l.states[1:]
		if err := d.storeState(ctx, t); err != nil {
			return err
		}
	}
	if l.redo.changed {
		l.redo.changed = false
		m, err := l.redo.mark()
		if err != nil {
			return err
		}
		l.marks = append(l.marks, m)
	}
	for len(l.marks) > 0 {
		m := l.marks[0]
		l.marks = l.marks[1:]
		if err := d.store(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// storeState hands the state of a table on, without rows.
func (d *dispatcher) storeState(ctx context.Context, t *tableRead) error {
	if t.now {
		t.now = false
		failpoint.Hit("snapshot.truncate")
		return d.clear(ctx, t, nil)
	}
	return d.handOn(ctx, t, &snapshot.Outcome{})
}

// store hands a mark on by itself.
func (d *dispatcher) store(ctx context.Context, m *event.Mark) error {
	end := d.l.merger.End()
	tx := &event.Tx{Begin: end, End: end, Received: time.Now(), Silent: true, Key: m.Key}
	tx.End.Mark = m
	return d.put(ctx, &event.Piece{Tx: tx, First: true, Last: true})
}

// decided hands the rows of a window on, or tells its reader that it was given up.
func (d *dispatcher) decided(ctx context.Context, o *snapshot.Outcome) error {
	p := d.l.reads[o.Window]
	if p == nil {
		return nil // dropped since
	}
	delete(d.l.reads, o.Window)
	defer p.close()
	d.l.chunks.adjust(int64(o.Bytes) - p.held)
	t := p.t
	if o.Err != nil {
		return o.Err
	}
	if o.Merged() && t.clears && p.whole == nil {
		d.l.chunks.adjust(-int64(o.Bytes))
		if err := d.clear(ctx, t, o.Chunk.Table); err != nil {
			return err
		}
		o.Reason = snapshot.ByKey // it is read again, behind op t
	}
	d.l.p.deps.Observer.chunkDecided(o)
	if err := d.release(ctx, p, o); err != nil {
		return err
	}
	t.outcomes <- outcome{givenUp: o.Reason, last: t.state.After, end: t.state.Done}
	return nil
}

// release hands on what a window that was merged has left.
func (d *dispatcher) release(ctx context.Context, p *pending, o *snapshot.Outcome) error {
	switch {
	case !o.Merged():
		return nil
	case p.whole != nil:
		return d.handOnWhole(ctx, p.t, o.Chunk.Table, p.whole)
	}
	p.t.state = p.t.state.With(o, time.Now())
	return d.handOn(ctx, p.t, o)
}

// handOn makes a transaction of rows, which may be none, and the table's new
// state, and puts it into units.
func (d *dispatcher) handOn(ctx context.Context, t *tableRead, o *snapshot.Outcome) error {
	failpoint.Hit("snapshot.merge")
	tx, err := d.silentTx(t, uint64(o.Kept))
	if err != nil {
		return err
	}
	return d.putAll(ctx, d.l.cut(tx, o.Rows))
}

// silentTx begins a transaction of n rows of a table, with the table's state. Its
// key is one that no other has, of this line or another: where a sink delivers at
// least once, a later line may read the chunk again, and it need not be the same
// rows then.
func (d *dispatcher) silentTx(t *tableRead, n uint64) (*event.Tx, error) {
	mark := &event.Mark{Key: snapshot.MarkKey(t.info.Database, t.info.Name)}
	if !t.gone {
		var err error
		if mark, err = t.state.Mark(t.info.Database, t.info.Name); err != nil {
			return nil, err
		}
	}
	if d.l.view.Marks.States[t.id()] = t.state; t.gone {
		delete(d.l.view.Marks.States, t.id())
	}
	if t.gone || emptied(&t.state) {
		d.l.progress.forget(t)
	} else {
		d.l.progress.note(t)
	}
	now := time.Now()
	tx := &event.Tx{
		Begin: d.l.merger.End(), End: d.l.merger.End(), Commit: now, Micros: true, Received: now, Rows: n, Silent: true,
		Key:    fmt.Sprintf("snapshot:%s:%d:%d:%s", t.name(), t.state.Run, t.state.Chunks, d.l.id),
		Tables: []event.TableCount{{Database: t.info.Database, Table: t.info.Name, Rows: n}},
	}
	tx.End.Mark = mark
	return tx, nil
}

// putAll puts the pieces of one transaction into units.
func (d *dispatcher) putAll(ctx context.Context, pieces []*event.Piece) error {
	for _, p := range pieces {
		if err := d.put(ctx, p); err != nil {
			return err
		}
		if d.cur != nil && d.cur.raw >= d.l.p.cfg.UnitBytes {
			if err := d.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget drops the windows of a table.
func (m *merging) forget(t *tableRead) {
	for w, p := range m.reads {
		if p.t == t {
			delete(m.reads, w)
			m.merger.Drop(w)
			t.l.chunks.adjust(-p.held)
			p.close()
		}
	}
}

// leave lets go of what windows that nobody decides any more have on disk.
func (m *merging) leave() {
	for _, p := range m.reads {
		p.close()
	}
}

// cut divides rows into pieces, which give their share of the budget back.
func (l *line) cut(tx *event.Tx, rows []event.RawRows) []*event.Piece {
	return cut(tx, rows, func(p *event.Piece) { l.chunks.adjust(-int64(p.Bytes)) })
}

func cut(tx *event.Tx, rows []event.RawRows, free func(*event.Piece)) []*event.Piece {
	var pieces []*event.Piece
	p := &event.Piece{Tx: tx, First: true, Free: free}
	for i := range rows {
		if p.Bytes > 0 && p.Bytes+len(rows[i].Body) > pieceBytes {
			pieces = append(pieces, p)
			p = &event.Piece{Tx: tx, Free: free}
		}
		p.Events = append(p.Events, rows[i])
		p.Bytes += len(rows[i].Body)
	}
	p.Last = true
	return append(pieces, p)
}
