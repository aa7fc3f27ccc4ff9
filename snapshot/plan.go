package snapshot

import (
	"slices"
	"time"

	"github.com/cdcd-io/cdcd/source"
)

// Mode is when tables are read that nobody asked for.
type Mode string

// The modes.
const (
	ModeInitial    Mode = "initial"     // every captured table, once
	ModeNever      Mode = "never"       // none
	ModeOnly       Mode = "only"        // as initial; the pipeline ends with the last table
	ModeWhenNeeded Mode = "when_needed" // as initial, and all again after a gap
)

// Planning is what a plan is made from.
type Planning struct {
	Mode  Mode
	Marks Marks
	// Tables are the captured tables that exist.
	Tables []source.TableInfo
	// Filter is the text of the source's filter, and Match tells whether a
	// filter of that text lets a table through.
	Filter string
	Match  func(filter string, n Name) bool
	// Where returns the condition for the rows of a table, "" for all; nil: none
	// has one.
	Where func(n Name) string
	// Excluded tells the captured tables that are read only when somebody asks
	// for them; nil: there are none. Match says no to them where that is a part of
	// the filter's text, so that one that is not excluded any more is read then.
	Excluded func(n Name) bool
	Now      time.Time
}

// Plan says which tables are to be read.
type Plan struct {
	// Jobs are the tables to be read, those first that were begun.
	Jobs []Job
	// Emptied are tables that are not read, though the stream lost changes of
	// them, or DDL took their rows: all they need is the truncate event that their
	// State is stored with. A zero State means that the table is gone, and its mark
	// with it.
	Emptied []Job
	// Scope is to be stored if Changed, and the marks with the keys Forget are to
	// be removed, before anything is handed on under the filter: so a later
	// planning knows what was left out meanwhile.
	Scope   Scope
	Changed bool
	Forget  []string
	// Finished is the scope to be stored once no job is left.
	Finished Scope
	// Missing are tables that were begun, not ended, and do not exist.
	Missing []Name
}

// Job is one table to be read.
type Job struct {
	Table source.TableInfo
	State State // to go on from
	// Begun says that State, or what it was before the table got another key, is
	// stored. If not, it is to be stored first; with Now, in the transaction that
	// carries a truncate event.
	Begun, Now bool
	// Clear says that a truncate event must leave before the first row, behind
	// the place of the stream up to which that could see: see Planning.Over.
	Clear bool
}

func (j Job) name() Name { return Name{j.Table.Database, j.Table.Name} }

// Plan says which tables are to be read, from where. A table is read when it has
// no state, unless it was created while the pipeline ran, and goes on when its
// state is not ended. In doubt a table is read: rows that leave twice do no harm,
// rows that never leave do.
func (p *Planning) Plan() Plan {
	plan := Plan{Scope: p.Marks.Scope.narrowed(p.Filter)}
	plan.Changed = !plan.Scope.Equal(p.Marks.Scope)
	plan.Finished = plan.Scope
	if p.Mode != ModeNever {
		plan.Finished.Filters = []string{p.Filter}
	}
	exists := map[Name]bool{}
	for i := range p.Tables {
		t := &p.Tables[i]
		n := Name{t.Database, t.Name}
		exists[n] = true
		if d, ok := p.due(n); ok {
			plan.Jobs = append(plan.Jobs, p.Altered(t, d.Clear))
		} else if _, ok := p.Marks.state(n); !ok && p.bridges() && p.excluded(n) {
			s := p.begun(t).Cancel(p.Now)
			s.Rest = true
			plan.Emptied = append(plan.Emptied, Job{Table: *t, State: s})
		} else if job, ok := p.job(t); ok {
			plan.Jobs = append(plan.Jobs, job)
		}
	}
	slices.SortStableFunc(plan.Jobs, func(a, b Job) int { return boolOrder(b.Begun) - boolOrder(a.Begun) })
	p.rest(&plan, exists)
	return plan
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// job returns what is left to be read of a table.
func (p *Planning) job(t *source.TableInfo) (Job, bool) {
	n := Name{t.Database, t.Name}
	s, ok := p.Marks.state(n)
	unwanted := p.Mode == ModeNever || p.excluded(n)
	if ok && !(s.Ended() && s.Rest) {
		if s.Ended() || unwanted && s.Cause != Requested {
			return Job{}, false
		}
		job := Job{Table: *t, State: s, Begun: true}
		if !slices.Equal(s.Key, t.Key) {
			job.State, job.Clear = p.Over(n, s, t.Key)
		}
		return job, true
	}
	if unwanted || !ok && p.covered(n) {
		return Job{}, false
	}
	s = p.begun(t)
	return Job{Table: *t, State: s, Now: s.Cause == Gap}, true
}

// due returns what DDL made due of a table; unless it is excluded.
func (p *Planning) due(n Name) (Due, bool) {
	i := slices.IndexFunc(p.Marks.Due, func(d Due) bool { return d.Name.same(n) })
	if i < 0 || p.excluded(n) {
		return Due{}, false
	}
	return p.Marks.Due[i], true
}

// Altered is the job of a table that DDL makes begin anew; clear says that a
// truncate event goes first.
func (p *Planning) Altered(t *source.TableInfo, clear bool) Job {
	s := p.begun(t)
	s.Cause = Altered
	return Job{Table: *t, State: s, Now: clear}
}

// Unread reports whether the table is to be read, or to be read on. Nobody
// need have listed it.
func (p *Planning) Unread(n Name) bool {
	s, ok := p.Marks.state(n)
	if ok && !(s.Ended() && s.Rest) {
		return !s.Ended()
	}
	return p.Mode != ModeNever && !p.excluded(n) && (ok || !p.covered(n))
}

// begun is the state of a table that nobody asked for and that is to be read.
func (p *Planning) begun(t *source.TableInfo) State {
	return State{Run: p.Marks.NextRun(), Cause: p.cause(), Key: t.Key, Where: p.where(Name{t.Database, t.Name}), Started: stamp(p.Now)}
}

// bridges reports that tables are to begin anew since changes were lost.
func (p *Planning) bridges() bool { return p.Mode != ModeNever && p.Marks.Scope.Bridging() }

func (p *Planning) where(n Name) string {
	if p.Where == nil {
		return ""
	}
	return p.Where(n)
}

// Over returns the state of the same reading, begun anew by that key, and
// whether a truncate event must leave before its first row: what has left under
// other columns would else stay beside the rows that come again. Where only some
// rows are read it would take the others away, so none leaves there.
//
// A table without a key leaves behind a truncate event always: some rows cannot
// be read of it, and so all are.
func (p *Planning) Over(n Name, s State, key []string) (_ State, clears bool) {
	again := s.Over(key)
	if len(key) == 0 && s.Cause == Requested {
		again.Where, again.Rest = p.where(n), false
	}
	return again, !slices.Equal(s.Key, key) && (s.Where == "" || len(s.Key) == 0)
}

func (p *Planning) excluded(n Name) bool { return p.Excluded != nil && p.Excluded(n) }

// covered reports that all rows of a table without a state are in the stream.
func (p *Planning) covered(n Name) bool {
	for _, f := range p.Marks.Scope.Filters {
		if !p.Match(f, n) {
			return false
		}
	}
	return len(p.Marks.Scope.Filters) > 0
}

func (p *Planning) cause() Cause {
	switch {
	case len(p.Marks.Scope.Filters) > 0:
		return Included
	case p.Marks.Scope.Gap > 0:
		return Gap
	}
	return Initial
}

// rest sees to the states of tables that are not read. Those the filter leaves
// out are forgotten: the stream misses their changes from now on. Those that are
// excluded are in the stream.
func (p *Planning) rest(plan *Plan, exists map[Name]bool) {
	for n, s := range p.Marks.States {
		switch {
		case !p.Match(p.Filter, n) && !p.excluded(n):
			plan.Forget = append(plan.Forget, MarkKey(n.Database, n.Table))
		case !exists[n] && s.Run < p.Marks.Scope.Gap:
			if p.Mode != ModeNever {
				plan.Emptied = append(plan.Emptied, Job{Table: source.TableInfo{Database: n.Database, Name: n.Table}})
			}
		case !exists[n] && !s.Ended() && !slices.ContainsFunc(p.Marks.Due, func(d Due) bool { return d.Name.same(n) && d.Clear }):
			plan.Missing = append(plan.Missing, n)
		}
	}
	for _, d := range p.Marks.Due {
		there := slices.ContainsFunc(p.Tables, func(t source.TableInfo) bool { return d.Name.same(Name{t.Database, t.Name}) })
		if _, ok := p.due(d.Name); ok && d.Clear && !there && p.Match(p.Filter, d.Name) {
			plan.Emptied = append(plan.Emptied, Job{Table: source.TableInfo{Database: d.Database, Name: d.Table}})
		}
	}
	slices.Sort(plan.Forget)
	slices.SortFunc(plan.Missing, Name.compare)
	slices.SortFunc(plan.Emptied, func(a, b Job) int { return a.name().compare(b.name()) })
}
