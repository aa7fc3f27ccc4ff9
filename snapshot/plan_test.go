package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/source"
)

// site is a pipeline as far as planning goes: its filter is a list of tables of
// database "d", its marks are stored at once.
type site struct {
	t      *testing.T
	mode   Mode
	filter string   // "a,b"
	tables []string // that exist
	marks  map[string][]byte
	key    []string

	excluded string // a table
}

func newSite(t *testing.T, mode Mode, filter string, tables ...string) *site {
	return &site{t: t, mode: mode, filter: filter, tables: tables, marks: map[string][]byte{}, key: byID}
}

func (s *site) read() Marks {
	s.t.Helper()
	m, err := ReadMarks(s.marks)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *site) planning() *Planning {
	s.t.Helper()
	p := &Planning{Mode: s.mode, Marks: s.read(), Filter: s.filter, Now: noon,
		Match: func(filter string, n Name) bool { return slices.Contains(strings.Split(filter, ","), n.Table) }}
	captured := s.filter
	if s.excluded != "" {
		p.Filter = strings.ReplaceAll(s.filter, s.excluded, "")
		p.Excluded = func(n Name) bool { return n.Table == s.excluded && p.Match(captured, n) }
	}
	for _, t := range s.tables {
		if p.Match(captured, Name{"d", t}) {
			p.Tables = append(p.Tables, source.TableInfo{Database: "d", Name: t, Key: s.key})
		}
	}
	return p
}

// plan plans and stores what is to be stored before anything else.
func (s *site) plan() Plan {
	s.t.Helper()
	plan := s.planning().Plan()
	if plan.Changed {
		s.scope(plan.Scope)
	}
	for _, k := range plan.Forget {
		delete(s.marks, k)
	}
	return plan
}

// request stores the state of a request for rows of a table.
func (s *site) request(table, where string) error {
	s.t.Helper()
	x, err := s.planning().Request(&source.TableInfo{Database: "d", Name: table, Key: s.key}, where)
	if err == nil {
		s.state(table, x)
	}
	return err
}

func (s *site) scope(x Scope) {
	s.t.Helper()
	m, err := x.Mark()
	if err != nil {
		s.t.Fatal(err)
	}
	s.marks[m.Key] = m.Value
}

func (s *site) state(table string, x State) {
	s.t.Helper()
	m, err := x.Mark("d", table)
	if err != nil {
		s.t.Fatal(err)
	}
	s.marks[m.Key] = m.Value
}

// run does the first n jobs of a plan, and finishes it if these are all.
func (s *site) run(p Plan, n int) {
	s.t.Helper()
	for _, j := range p.Jobs[:n] {
		s.state(j.Table.Name, j.State.With(lastChunk, noon))
	}
	if n == len(p.Jobs) {
		s.scope(p.Finished)
	}
}

var (
	firstChunk = &Outcome{Kept: 1, Chunk: source.Chunk{Last: []byte("k5"), Max: []byte("k9")}}
	lastChunk  = &Outcome{Kept: 1, Chunk: source.Chunk{Last: []byte("k9"), Max: []byte("k9"), End: true}}
)

// expect compares the jobs, "table cause after".
func expect(t *testing.T, p Plan, want ...string) {
	t.Helper()
	var got []string
	for _, j := range p.Jobs {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", j.Table.Name, j.State.Cause, j.State.After)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("jobs %q, want %q", got, want)
	}
}

func TestInitialReadsEveryTableOnce(t *testing.T) {
	s := newSite(t, ModeInitial, "a,b,c", "a", "b", "c")
	p := s.plan()
	expect(t, p, "a initial", "b initial", "c initial")
	s.run(p, 1)
	s.state("c", p.Jobs[2].State.With(firstChunk, noon))
	p = s.plan() // started again
	expect(t, p, "c initial k5", "b initial")
	s.run(p, 2)
	expect(t, s.plan())
}

func TestTablesCreatedWhileRunningAreNotRead(t *testing.T) {
	s := newSite(t, ModeInitial, "a,b,c", "a")
	s.run(s.plan(), 1)
	s.tables = []string{"a", "b"}
	expect(t, s.plan())
	s.filter = "a,b,c,d"
	s.tables = []string{"a", "b", "d"}
	expect(t, s.plan(), "d included")
	s.tables = []string{"a", "b", "c", "d"} // before d is read
	p := s.plan()
	expect(t, p, "d included")
	s.run(p, 1)
	expect(t, s.plan())
}

func TestTablesThatWereLeftOutForAWhileAreReadAgain(t *testing.T) {
	for _, mode := range []Mode{ModeInitial, ModeNever} {
		s := newSite(t, ModeInitial, "a,b,c", "a", "b")
		s.run(s.plan(), 2)
		s.tables = []string{"a", "b", "c"} // c is created while running
		s.mode, s.filter = mode, "a"
		p := s.plan()
		if !slices.Equal(p.Forget, []string{"snapshot/d.b"}) {
			t.Errorf("%s: forget %q", mode, p.Forget)
		}
		expect(t, p)
		s.run(p, 0)
		s.mode, s.filter = ModeInitial, "a,b,c"
		expect(t, s.plan(), "b included", "c included")
	}
}

func TestGapReadsEverythingAgain(t *testing.T) {
	s := newSite(t, ModeWhenNeeded, "a,b,c", "a", "b")
	s.run(s.plan(), 2)
	m := s.read()
	s.scope(m.Scope.Lost(m.NextRun(), Loss{At: noon}))
	s.tables = []string{"a", "b", "c"} // c was created while running: it has a gap too
	p := s.plan()
	expect(t, p, "a gap", "b gap", "c gap")
	if p.Jobs[0].Begun {
		t.Error("a has begun before its truncate event is stored")
	}
	s.run(p, 1)
	p = s.plan()
	expect(t, p, "b gap", "c gap")
	s.run(p, 2)
	expect(t, s.plan())
}

// TestGapIsToldOfEveryTable: of one that is excluded and one that is gone too,
// each once.
func TestGapIsToldOfEveryTable(t *testing.T) {
	s := newSite(t, ModeWhenNeeded, "a,b,c", "a", "b", "c")
	s.excluded = "b"
	s.run(s.plan(), 2)
	m := s.read()
	s.scope(m.Scope.Lost(m.NextRun(), Loss{At: noon, Code: "purged", From: "here", To: "there"}))
	s.tables = []string{"a", "b"}
	p := s.plan()
	expect(t, p, "a gap")
	if len(p.Emptied) != 2 || p.Emptied[0].Table.Name != "b" || p.Emptied[1].Table.Name != "c" || p.Emptied[1].State.Run != 0 || len(p.Missing) > 0 {
		t.Fatalf("%+v", p)
	}
	s.state("b", p.Emptied[0].State)
	delete(s.marks, MarkKey("d", "c"))
	if p = s.plan(); len(p.Emptied) > 0 {
		t.Errorf("told again: %+v", p.Emptied)
	}
	s.run(p, 1)
	if x := s.read().Scope; x.Bridging() || x.Loss == nil || x.Loss.From != "here" {
		t.Errorf("%+v", x)
	}
	expect(t, s.plan())
	s.excluded = ""
	expect(t, s.plan(), "b included")
}

func TestNeverReadsOnlyWhatWasRequested(t *testing.T) {
	s := newSite(t, ModeInitial, "a,b", "a", "b")
	p := s.plan()
	s.state("a", p.Jobs[0].State.With(firstChunk, noon))
	s.mode = ModeNever
	expect(t, s.plan())
	if err := s.request("b", ""); err != nil {
		t.Fatal(err)
	}
	expect(t, s.plan(), "b requested")
	s.mode = ModeInitial
	expect(t, s.plan(), "a initial k5", "b requested")
}

func TestPartOfATableIsRequestedWhenNothingElseIsDue(t *testing.T) {
	s := newSite(t, ModeInitial, "a", "a")
	if s.request("a", "id > 7") == nil {
		t.Error("rows of a table that is to be read whole were requested: the others would be lost")
	}
	p := s.plan()
	s.state("a", p.Jobs[0].State.With(firstChunk, noon))
	if s.request("a", "id > 7") == nil {
		t.Error("rows of a table that is being read whole were requested")
	}
	s.run(p, 1)
	if err := s.request("a", "id > 7"); err != nil {
		t.Fatal(err)
	}
	p = s.plan()
	expect(t, p, "a requested")
	if j := p.Jobs[0]; j.State.Run != 2 || j.State.Where != "id > 7" {
		t.Errorf("%+v", j.State)
	}
	if err := s.request("a", "id > 7"); err != nil { // the same again
		t.Error(err)
	}
	m := s.read()
	s.scope(m.Scope.Lost(m.NextRun(), Loss{At: noon}))
	if s.request("a", "id > 8") == nil {
		t.Error("rows of a table with a gap were requested")
	}
}

func TestPartOfATableIsNotTheWhole(t *testing.T) {
	s := newSite(t, ModeNever, "a,b", "a")
	for range 2 { // the second time there is a state
		if err := s.request("a", "id > 7"); err != nil {
			t.Fatal(err)
		}
		p := s.plan()
		expect(t, p, "a requested")
		s.run(p, 1)
		expect(t, s.plan())
	}
	s.mode = ModeInitial
	p := s.plan()
	expect(t, p, "a initial")
	s.run(p, 1)
	expect(t, s.plan())
	s.tables = []string{"a", "b"} // created while running: it is whole
	if err := s.request("b", "id > 7"); err != nil {
		t.Fatal(err)
	}
	p = s.plan()
	expect(t, p, "b requested")
	s.run(p, 1)
	expect(t, s.plan())
}

func TestExcludedTablesAreReadOnRequestOnly(t *testing.T) {
	s := newSite(t, ModeInitial, "a,b", "a", "b")
	s.excluded = "b"
	p := s.plan()
	expect(t, p, "a initial")
	s.run(p, 1)
	if err := s.request("b", "id > 7"); err != nil {
		t.Fatal(err)
	}
	p = s.plan()
	expect(t, p, "b requested")
	s.run(p, 1)
	expect(t, s.plan())
	s.excluded = "a" // which was read, and goes on in the stream
	p = s.plan()
	expect(t, p, "b included")
	s.run(p, 1)
	s.excluded = ""
	expect(t, s.plan())
	s.filter, s.excluded = "b", "a" // left out of the stream too
	s.plan()
	s.filter, s.excluded = "a,b", ""
	expect(t, s.plan(), "a included")
}

func TestAnotherKeyStartsTheTableOver(t *testing.T) {
	s := newSite(t, ModeInitial, "a,b", "a", "b")
	p := s.plan()
	s.state("a", p.Jobs[0].State.With(firstChunk, noon))
	s.key = []string{"x", "y"}
	p = s.plan()
	expect(t, p, "a initial", "b initial")
	if j := p.Jobs[0]; !j.Begun || !j.Clear || j.State.Rows != 0 || !slices.Equal(j.State.Key, s.key) {
		t.Errorf("goes on with %+v", j)
	}
	if j := p.Jobs[1]; j.Begun || j.Clear {
		t.Errorf("a table that nothing has left of: %+v", j)
	}
}

// TestOver: what has left under other columns goes first, unless some rows only
// are read; a table without a key is read with the rows that it has as a rule.
func TestOver(t *testing.T) {
	p := Planning{Where: func(Name) string { return "x = 1" }}
	ab, ba := []string{"a", "b"}, []string{"b", "a"}
	for _, x := range []struct {
		from   State
		key    []string
		clears bool
		where  string
	}{
		{State{Cause: Initial, Key: ab}, ab, false, ""},
		{State{Cause: Initial, Key: ab}, ba, true, ""},
		{State{Cause: Initial, Key: ab}, nil, true, ""},
		{State{Cause: Initial}, ab, true, ""},
		{State{Cause: Initial, Where: "y"}, ab, true, "y"},
		{State{Cause: Initial, Key: ab, Where: "y"}, ba, false, "y"},
		{State{Cause: Requested, Key: ab, Where: "z", Rest: true}, ba, false, "z"},
		{State{Cause: Requested, Key: ab, Where: "z", Rest: true}, nil, false, "x = 1"},
	} {
		x.from.Run, x.from.Rows, x.from.Chunks, x.from.After = 7, 5, 2, Bound("k")
		got, clears := p.Over(Name{"d", "t"}, x.from, x.key)
		if clears != x.clears || got.Where != x.where || got.Rest != (x.from.Rest && x.key != nil) {
			t.Errorf("%+v by %v: %+v, truncate event %v", x.from, x.key, got, clears)
		}
		if got.Run != 7 || got.Chunks != 2 || got.Rows != 0 || got.After != nil || !slices.Equal(got.Key, x.key) {
			t.Errorf("%+v by %v: %+v", x.from, x.key, got)
		}
	}
}

func TestMissingTablesAreNamed(t *testing.T) {
	s := newSite(t, ModeInitial, "a,b,c", "a", "b")
	p := s.plan()
	s.state("a", p.Jobs[0].State.With(firstChunk, noon))
	s.state("b", p.Jobs[1].State.With(lastChunk, noon))
	s.tables = nil
	s.state("c", p.Jobs[1].State.Cancel(noon))
	if p = s.plan(); !slices.Equal(p.Missing, []Name{{"d", "a"}}) || len(p.Jobs)+len(p.Forget) > 0 {
		t.Errorf("%+v", p)
	}
}

func TestConditionsComeFromTheConfigurationOrTheState(t *testing.T) {
	table := source.TableInfo{Database: "d", Name: "a", Key: byID}
	p := Planning{Mode: ModeOnly, Tables: []source.TableInfo{table}, Now: noon,
		Match: func(string, Name) bool { return true }, Where: func(Name) string { return "x = 1" }}
	j := p.Plan().Jobs[0]
	if j.State.Where != "x = 1" || !j.State.Started.Equal(noon) || j.State.Run != 1 {
		t.Errorf("%+v", j.State)
	}
	p.Marks.States = map[Name]State{{"d", "a"}: j.State}
	p.Where = func(Name) string { return "x = 2" }
	if j = p.Plan().Jobs[0]; j.State.Where != "x = 1" {
		t.Errorf("condition %q in the middle of a table", j.State.Where)
	}
}

func TestManyFiltersCoverNothing(t *testing.T) {
	s := Scope{Filters: []string{"f"}}
	for i := range maxFilters {
		s = s.narrowed(fmt.Sprint(i, time.Duration(i)))
	}
	if len(s.Filters) != 0 {
		t.Errorf("%d filters", len(s.Filters))
	}
}

// TestARestIsReadWhateverHappened: with another key, and with a filter that
// covers the table by now.
func TestARestIsReadWhateverHappened(t *testing.T) {
	s := newSite(t, ModeNever, "a", "a")
	if err := s.request("a", "id > 7"); err != nil {
		t.Fatal(err)
	}
	p := s.plan()
	s.state("a", p.Jobs[0].State.With(firstChunk, noon))
	s.key = []string{"x"}
	p = s.plan()
	s.run(p, 1)
	s.scope(Scope{Filters: []string{"a"}})
	s.mode = ModeInitial
	expect(t, s.plan(), "a included")
}
