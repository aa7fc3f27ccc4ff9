package pipeline

import (
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// planning is what a line's plan of snapshots is made from, and the marks that
// hold at any time.
type planning struct{ snapshot.Planning }

// newPlanning reads the marks of a position. The marks it returns are to be
// stored before anything is handed on: they say what a changed filter leaves out.
func newPlanning(cfg *SnapshotConfig, pos *event.Position, src source.Snapshotter) (*planning, []*event.Mark, error) {
	stored, err := snapshot.ReadMarks(pos.Marks)
	if err != nil {
		return nil, nil, err
	}
	p := &planning{snapshot.Planning{
		Mode: snapshot.Mode(cfg.Mode), Marks: stored, Filter: filterText(cfg.Exclude, src.Filter()), Now: time.Now(),
		Match: func(f string, n snapshot.Name) bool { return matches(f, n, src) },
		Where: func(n snapshot.Name) string { return cfg.Where[n.Database+"."+n.Table] },
		Excluded: func(n snapshot.Name) bool {
			return leavesOut(cfg.Exclude, n) && src.Matches(src.Filter(), n.Database, n.Table)
		},
	}}
	plan := p.Plan()
	var first []*event.Mark
	if plan.Changed {
		m, err := plan.Scope.Mark()
		if err != nil {
			return nil, nil, err
		}
		first = append(first, m)
	}
	for _, key := range plan.Forget {
		first = append(first, &event.Mark{Key: key})
		if database, table, ok := snapshot.ParseMarkKey(key); ok {
			delete(p.Marks.States, snapshot.Name{Database: database, Table: table})
		}
	}
	p.Marks.Scope = plan.Scope
	return p, first, nil
}

// bridging reports that tables are to be told of changes that were lost.
func (p *planning) bridging() bool {
	return p.Mode != snapshot.ModeNever && p.Marks.Scope.Bridging()
}

// idle reports that there is nothing to plan: nobody wants tables read, and
// none that was asked for is left.
func (p *planning) idle() bool {
	if p.Mode != snapshot.ModeNever || len(p.Marks.Due) > 0 {
		return false
	}
	for _, s := range p.Marks.States {
		if !s.Ended() {
			return false
		}
	}
	return true
}
