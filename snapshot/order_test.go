package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/source"
)

// This explorer is about the chunks of one table: a reader that goes on with the
// next chunk before the last one has left, learns late that a window was given
// up, and fails at any time; beside it commits and DDL. At the end the
// table must be read, and what left must fold to it. It tries every order of the
// steps that differs in what the merger sees.

// orderLies are rules about chunks that are taken away.
type orderLies struct {
	hideDDL    bool // the merger does not see DDL
	misnameDDL bool // the statement names another table than it changes
	forgetPrev bool // a window is opened without naming the one before
	apart      bool // the chunks know nothing of each other: every other one has a merger of its own
	keepPlace  bool // the reader starts over from where it was when it learned, not from what has left
}

// Commits that are DDL: one that empties the table, one that leaves its rows,
// one of another table.
var truncate, alter, elsewhere = []edit(nil), []edit{}, []edit{{}}

// statement is the commit as DDL, nil where it is none.
func (l *orderLies) statement(c []edit) *event.DDL {
	name := "Orders"
	if len(c) > 0 {
		if c[0] != elsewhere[0] {
			return nil
		}
		name = "order"
	}
	if l.misnameDDL {
		name = "users"
	}
	return &event.DDL{Names: []event.TableName{{Database: "shop", Name: "x"}, {Database: "shop", Name: name}}}
}

// orderRun is one order of steps as it is played.
type orderRun struct {
	story
	lies orderLies
	m    *Merger
	rest []*Merger // the other one if they are apart
	log  []byte    // what the merger saw

	flushed, visible, passed int // commits

	left    int  // key up to which chunks have left
	done    bool // the last chunk has
	cursor  int  // key up to which chunks were read
	ended   bool // the last one was
	current *Window
	view    contents // that the current read saw
	viewed  bool
	prev    *Window
	flying  int  // windows without outcome
	told    bool // the reader has mail that a window was given up
	failed  bool // it has failed, which it does once

	out   contents // folded
	seen  contents // newest version that left
	asRow [keys + 1]bool
	at    [keys + 1]int // when it last left as a change
	turn  int           // of the reader: it starts another when it starts over
	reads map[*Window]*read
	wrong string
}

// read is what the reader knows of a window.
type read struct {
	turn  int
	opens int // commits handed on
	key   int // of the last row
	end   bool
}

func newOrderRun(s story, l orderLies) *orderRun {
	r := &orderRun{story: s, lies: l, m: NewMerger(startAt(0), plenty), reads: map[*Window]*read{}}
	if l.apart {
		r.rest = []*Merger{NewMerger(startAt(0), plenty)}
	}
	for k := range r.out {
		r.out[k], r.seen[k] = -1, -1
	}
	return r
}

// steps are those that may come next.
func (r *orderRun) steps() (all []byte) {
	add := func(step byte, may bool) {
		if may {
			all = append(all, step)
		}
	}
	add('f', r.flushed < len(r.commits) && (len(r.commits[r.flushed]) > 0 || r.visible == r.flushed))
	add('v', r.visible < r.flushed)
	add('p', r.passed < r.flushed)
	add('o', r.current == nil && !r.ended && r.flying < 2)
	add('s', r.current != nil && !r.viewed && r.visible >= int(r.current.Seen.Seq))
	add('r', r.current != nil && r.viewed)
	add('x', r.current != nil && !r.failed)
	add('l', r.told)
	return all
}

func (r *orderRun) do(step byte) {
	switch step {
	case 'f':
		if r.flushed++; len(r.commits[r.flushed-1]) == 0 {
			r.visible++ // nobody reads the table meanwhile
		}
	case 'v':
		r.visible++
	case 'p':
		r.pass()
	case 'o':
		r.open()
	case 's':
		r.view, r.viewed = r.after(r.visible), true
	case 'r':
		r.give()
	case 'x':
		r.failed = true
		r.m.Drop(r.current)
		r.log = append(r.log, 'x')
		r.flying--
		r.over()
	case 'l':
		r.over()
	}
	r.drain()
}

// after is the table after so many commits.
func (r *orderRun) after(commits int) contents {
	now := r.first()
	for i, c := range r.commits[:commits] {
		if c == nil {
			now = contents{-1, -1, -1}
		}
		now.apply(c, i+1)
	}
	return now
}

// over makes the reader start over from what has left.
func (r *orderRun) over() {
	if r.current != nil {
		if r.current.open() {
			r.flying--
		}
		r.m.Drop(r.current)
		r.log = append(r.log, 'd')
	}
	r.current, r.viewed, r.prev, r.told, r.ended = nil, false, nil, false, r.done
	r.cursor = r.left
	r.turn++
}

func (r *orderRun) open() {
	prev := r.prev
	if r.lies.forgetPrev && len(r.m.windows) == 0 {
		prev = nil
	} else if prev == nil && !r.lies.keepPlace {
		r.cursor, r.ended = r.left, r.done
	}
	r.log = append(r.log, 'o', '0'+byte(r.cursor))
	if r.ended {
		return
	}
	if r.lies.apart {
		r.m, r.rest[0] = r.rest[0], r.m
		prev = nil
	}
	r.current = r.m.Open("shop", "orders", byID, prev)
	r.viewed = false
	r.flying++
	r.reads[r.current] = &read{turn: r.turn, opens: r.passed}
}

// give reads the one row behind the cursor and gives it to the merger.
func (r *orderRun) give() {
	key := r.cursor + 1
	for key <= keys && r.view[key] < 0 {
		key++
	}
	var rows []eventtest.Row
	last, end := key, key >= keys || r.view[keys] < 0
	if key <= keys {
		rows = append(rows, eventtest.Read(exploreTable, values(key, r.view[key])...))
	} else {
		last = r.cursor
	}
	place := eventtest.Tx(uint64(r.flushed)).End
	w := r.current
	r.reads[w].key, r.reads[w].end = last, end
	r.log = append(r.log, 'r', '0'+byte(last), '0'+byte(r.view[1]+1), '0'+byte(r.view[2]+1), '0'+byte(r.flushed))
	r.m.Read(w, source.Chunk{Table: exploreTable, Key: exploreTable.Key, Rows: eventtest.Events(0, rows...),
		High: event.Coord{File: place.File, Offset: place.Offset}})
	r.cursor, r.ended, r.prev, r.current, r.viewed = last, end, w, nil, false
}

func (r *orderRun) pass() {
	r.log = append(r.log, 'p')
	r.passed++
	tx := eventtest.Tx(uint64(r.passed))
	c := r.commits[r.passed-1]
	tx.DDL = r.lies.statement(c)
	now := r.after(r.passed - 1)
	var rows []eventtest.Row
	for _, e := range c {
		if tx.DDL != nil {
			break
		}
		rows = append(rows, e.row(&now, r.passed, lies{}))
		now.apply([]edit{e}, r.passed)
		r.change(e)
	}
	if c == nil {
		r.change(edit{1, 0})
		r.change(edit{2, 0})
	}
	if r.lies.hideDDL {
		tx.DDL = nil
	}
	for _, m := range append(r.rest, r.m) {
		m.Pass(eventtest.Piece(tx, rows...))
	}
}

func (r *orderRun) change(e edit) {
	for _, k := range [2]int{e.from, e.to} {
		if r.passed < r.seen[k] || r.passed == r.seen[k] && r.asRow[k] {
			r.wrong = fmt.Sprintf("stale: key %d goes back", k)
		}
		if k > 0 {
			r.seen[k], r.at[k], r.asRow[k] = r.passed, r.passed, false
		}
	}
	r.out.apply([]edit{e}, r.passed)
}

// drain takes what is decided.
func (r *orderRun) drain() {
	for _, m := range append(r.rest, r.m) {
		for o, ok := m.Next(); ok; o, ok = m.Next() {
			r.take(&o)
		}
	}
}

func (r *orderRun) take(o *Outcome) {
	r.flying--
	if !o.Merged() {
		r.told = r.told || r.reads[o.Window].turn == r.turn
		return
	}
	for _, raw := range o.Rows {
		v := exploreRow(&raw)
		r.row(o.Window, int(v[0].Num), int(v[1].Bytes[0]-'0'))
	}
	r.left, r.done = r.reads[o.Window].key, r.reads[o.Window].end
}

func exploreRow(raw *event.RawRows) []event.Value {
	var rr event.RowReader
	if _, err := decode(raw, 0, &rr); err != nil {
		panic(err)
	}
	return rr.Change.After
}

func (r *orderRun) row(w *Window, key, version int) {
	switch {
	case version < r.seen[key]:
		r.wrong = fmt.Sprintf("stale: key %d goes back from version %d to %d", key, r.seen[key], version)
	case version == r.seen[key] && (r.asRow[key] || r.at[key] > r.reads[w].opens):
		r.wrong = fmt.Sprintf("twice: version %d of key %d", version, key)
	}
	r.out[key], r.seen[key], r.asRow[key] = version, version, true
}

// end is called when no step is left.
func (r *orderRun) end() string {
	switch {
	case r.wrong != "":
		return r.wrong
	case !r.done:
		return "stuck: the table is not read"
	case r.out != r.after(len(r.commits)):
		return fmt.Sprintf("lost: folds to %v, the table is %v", r.out, r.after(len(r.commits)))
	}
	return ""
}

// place tells apart what may still happen.
func (r *orderRun) place() string {
	return fmt.Sprint(string(r.log), r.flushed, r.visible, r.current != nil, r.viewed, r.view, r.told, r.failed)
}

// exploreOrders plays every order of steps of a story until one goes wrong in
// the given way.
func exploreOrders(s story, l orderLies, way string) (wrong string) {
	been := map[string]bool{}
	var visit func(steps []byte) bool
	visit = func(steps []byte) bool {
		r := newOrderRun(s, l)
		for _, step := range steps {
			r.do(step)
		}
		place, next := r.place(), r.steps()
		if been[place] {
			return false
		}
		been[place] = true
		if wrong = r.wrong; wrong == "" && len(next) == 0 {
			wrong = r.end()
		}
		if wrong != "" {
			wrong = fmt.Sprintf("%s after %s of rows %v, commits %v", wrong, steps, s.rows[1:], s.commits)
			return strings.Contains(wrong, way)
		}
		return slices.ContainsFunc(next, func(step byte) bool { return visit(append(slices.Clip(steps), step)) })
	}
	if !visit(nil) {
		return ""
	}
	return wrong
}

var both = [keys + 1]bool{false, true, true}

var orderStories = []story{
	{both, [][]edit{truncate}},
	{both, [][]edit{{{1, 1}}}},
	{both, [][]edit{{{2, 2}}}},
	{both, [][]edit{alter}},
	{both, [][]edit{alter, {{1, 0}}}},
	{both, [][]edit{truncate, {{0, 1}}}},
	{both, [][]edit{{{1, 1}}, truncate}},
	{both, [][]edit{elsewhere}},
	{both, [][]edit{elsewhere, {{1, 0}}}},
	{both, [][]edit{elsewhere, truncate}},
	{[keys + 1]bool{false, true, false}, [][]edit{{{1, 2}}}},
}

func TestChunksLeaveInOrderAndWhole(t *testing.T) {
	for _, s := range orderStories {
		if wrong := exploreOrders(s, orderLies{}, ""); wrong != "" {
			t.Error(wrong)
		}
	}
}

func TestEveryRuleOfChunksIsNeeded(t *testing.T) {
	for _, c := range []struct {
		rule string
		lies orderLies
		way  string
	}{
		{"DDL gives windows up", orderLies{hideDDL: true}, "stale"},
		{"DDL names the tables that it changes", orderLies{misnameDDL: true}, "stale"},
		{"chunks leave in order, and none whose forerunner did not", orderLies{apart: true}, "lost"},
		{"a window names the one before", orderLies{forgetPrev: true}, "lost"},
		{"the reader starts over from what has left", orderLies{keepPlace: true}, "twice"},
	} {
		found := ""
		for _, s := range orderStories {
			if found = exploreOrders(s, c.lies, c.way); found != "" {
				break
			}
		}
		if found == "" {
			t.Errorf("without the rule that %s no row was %s", c.rule, c.way)
		}
		t.Logf("without the rule that %s: %s", c.rule, found)
	}
}
