package pipeline

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// What is done about DDL that changes rows without row events.
const (
	RowChangingWarn     = "warn"
	RowChangingStop     = "stop"
	RowChangingSnapshot = "snapshot"
)

// refuse stops the reading in front of DDL that changes rows, if that is what is
// wanted.
func (l *line) refuse(ddl *event.DDL) error {
	if l.p.cfg.RowChangingDDL != RowChangingStop || ddl == nil {
		return nil
	}
	for _, a := range ddl.Altered {
		if a.Effect >= event.ValuesChange {
			return resilience.Errorf(resilience.Fatal, "row_changing_ddl", "read DDL", "%q may change rows without telling which", ddl.SQL).
				WithPlace("%s.%s", a.Database, a.Name).
				WithHint("the position is in front of it; set row_changing_ddl: snapshot, which reads the table anew behind it, or warn, and start again")
		}
	}
	return nil
}

// redoing are tables that DDL made due. Dispatch enters them, with the end of
// the DDL, and takes them out once their new state is stored; in between the
// goroutine that owns the readers takes over.
type redoing struct {
	list    []redo // dispatch: those due
	last    uint64 // dispatch: number of the newest
	changed bool   // dispatch: the list is to be stored

	mu    sync.Mutex
	asked []redo
	wake  chan struct{} // has a token when asked may be not empty
}

// redo is one table that is due.
type redo struct {
	snapshot.Due
	n uint64 // which of them, from 1; 0 for none
}

// altered takes note of DDL that is handed on: of tables that begin anew
// because of it. A table that is being read is one of them, whatever the
// configuration says, if its rows go or have another key: what is read of it
// would not fit what has left. So is one that its rows may have gone to.
func (d *dispatcher) altered(tx *event.Tx) error {
	l, due := d.l, false
	moves := l.movesUnread(tx.DDL)
	for _, a := range tx.DDL.Altered {
		n := snapshot.Name{Database: a.Database, Table: a.Name}
		switch {
		case l.view != nil && l.redoes(n, a.Effect, moves):
			l.redo.enter(snapshot.Due{Name: n, Clear: a.Effect != event.ValuesChange})
			due = true
			l.p.deps.Log.Warn("DDL changes rows without telling which: the table is read anew", "table", n.Database+"."+n.Table, "sql", tx.DDL.SQL)
		case a.Effect >= event.ValuesChange:
			l.p.deps.Log.Warn("DDL may change rows without telling which: the topic keeps them as they were", "table", n.Database+"."+n.Table,
				"sql", tx.DDL.SQL, "hint", "cdcd snapshot start reads the table anew; row_changing_ddl: snapshot does so by itself")
		default:
			continue
		}
		if o := l.p.deps.Observer.RowChangingDDL; o != nil {
			o(due)
		}
	}
	if !due {
		return nil
	}
	mark, err := l.redo.mark()
	tx.End.Mark = mark
	return err
}

// redoes decides whether a table is to begin anew; moves says that rows which are
// still to be read may have come to lie in it.
func (l *line) redoes(n snapshot.Name, e event.DDLEffect, moves bool) bool {
	excluded := l.view.Excluded != nil && l.view.Excluded(n)
	wanted := moves || l.p.cfg.RowChangingDDL == RowChangingSnapshot && e >= event.ValuesChange
	return wanted && !excluded || e != event.ValuesChange && l.view.Unread(n)
}

// movesUnread reports whether a statement moves rows of a table that is not read
// to its end, as RENAME does: where they come to lie they would not be read.
func (l *line) movesUnread(ddl *event.DDL) bool {
	return l.view != nil && slices.ContainsFunc(ddl.Altered, func(a event.DDLAltered) bool {
		return a.Effect == event.RowsMove && l.view.Unread(snapshot.Name{Database: a.Database, Table: a.Name})
	})
}

// enter adds a table and tells the owner of the readers.
func (r *redoing) enter(d snapshot.Due) {
	r.last++
	r.list = append(r.list, redo{d, r.last})
	r.mu.Lock()
	r.asked = append(r.asked, redo{d, r.last})
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take returns what was entered.
func (r *redoing) take() []redo {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// waits reports whether something was entered and not taken.
func (r *redoing) waits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked) > 0
}

// done takes out what was entered for a table up to one entry.
func (r *redoing) done(n snapshot.Name, upTo uint64) {
	r.list = slices.DeleteFunc(r.list, func(x redo) bool { return sameTable(x.Name, n) && x.n <= upTo })
}

// mark is what stores the list.
func (r *redoing) mark() (*event.Mark, error) {
	var list []snapshot.Due
	for _, x := range r.list {
		list = snapshot.WithDue(list, x.Due)
	}
	return snapshot.DueMark(list)
}

// restore begins with what is stored. Its entries have the number 0: the plan of
// the line reads these tables.
func (r *redoing) restore(list []snapshot.Due) {
	r.wake = make(chan struct{}, 1)
	for _, d := range list {
		r.list = append(r.list, redo{Due: d})
	}
}

// sameTable compares in any case: servers may store names in another one than
// statements do.
func sameTable(a, b snapshot.Name) bool {
	return strings.EqualFold(a.Database, b.Database) && strings.EqualFold(a.Table, b.Table)
}

// viewOf is what dispatch knows of the planning: a copy of its own.
func viewOf(p *planning) *snapshot.Planning {
	v := p.Planning
	v.Marks.States = maps.Clone(v.Marks.States)
	return &v
}

// redoAll has tables begin anew that DDL made due. Of those that do not exist any
// more a truncate event is left, where rows are gone.
func (s *snapshots) redoAll(ctx context.Context) error {
	asked := s.l.redo.take()
	retry := resilience.NewRetry(resilience.DefaultRetryConfig())
	for {
		tables, err := s.src.Tables(ctx)
		if err == nil {
			return s.redo(ctx, tables, asked)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.l.p.deps.Log.Warn("tables not listed, trying again", "err", err)
		if err := retry.Wait(ctx, err); err != nil {
			return err
		}
	}
}

func (s *snapshots) redo(ctx context.Context, tables []source.TableInfo, asked []redo) error {
	for k, x := range asked {
		if slices.ContainsFunc(asked[k+1:], func(o redo) bool { return sameTable(o.Name, x.Name) && (o.Clear || !x.Clear) }) {
			continue // a later one does for both
		}
		info, there := source.TableInfo{Database: x.Database, Name: x.Table}, false
		if i := slices.IndexFunc(tables, func(t source.TableInfo) bool {
			return sameTable(x.Name, snapshot.Name{Database: t.Database, Table: t.Name})
		}); i >= 0 {
			info, there = tables[i], true
		}
		if err := s.stop(ctx, info.Database+"."+info.Name, nil); err != nil {
			return err
		}
		if err := s.redoOne(&info, there, x.Clear); err != nil {
			return err
		}
		if err := s.l.calls.post(func() { s.l.redone(x.Name, x.n) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshots) redoOne(info *source.TableInfo, there, clear bool) error {
	switch {
	case there:
		s.l.planning.Now = time.Now()
		j := s.l.planning.Altered(info, clear)
		t := s.newRead(j.Table, j.State)
		t.now = j.Now
		return s.enqueue(t, false)
	case clear:
		return s.empty([]snapshot.Job{{Table: *info}})
	}
	return nil
}

// redone has the list stored without a table, behind its new state.
func (l *line) redone(n snapshot.Name, upTo uint64) {
	l.redo.done(n, upTo)
	l.redo.changed = true
}
