package snapshot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/source"
)

// The explorer tries all that can happen around one chunk: stories of up to
// three commits on two keys (one of them in two pieces), each commit flushed to the log, visible to a
// SELECT, shown by the set of executed GTIDs and handed on by the stream at any
// time that a server allows, and the reader's steps at any time between. What
// the real Merger lets through must be no older than what left before, must not
// leave twice, and must fold to the table. With any rule of the window removed,
// a story must be found that breaks this.
//
// Commits become visible in any order, even those of one row: more than a server
// does that holds locks until then. The argument does not need them.

const keys = 2 // numbered from 1

// edit is one changed row: from is its key before, to after; 0 is none.
type edit struct{ from, to int }

// story is a table and what happens to it.
type story struct {
	rows    [keys + 1]bool // that exist at first
	commits [][]edit
}

// contents holds the version of each row: number of the commit that wrote it
// from 1, 0 for what was there at first, -1 for no row.
type contents [keys + 1]int

func (s *story) first() contents {
	var c contents
	for k := range c {
		if c[k] = -1; s.rows[k] {
			c[k] = 0
		}
	}
	return c
}

func (c *contents) apply(commit []edit, version int) {
	for _, e := range commit {
		if e.from > 0 {
			c[e.from] = -1
		}
		if e.to > 0 {
			c[e.to] = version
		}
	}
}

// stories are all with so many commits.
func stories(commits int) (all []story) {
	for mask := range 1 << keys {
		if mask == 2 {
			continue // as 1, with the keys exchanged
		}
		s := story{}
		for k := 1; k <= keys; k++ {
			s.rows[k] = mask>>(k-1)&1 != 0
		}
		all = append(all, s)
	}
	for range commits {
		var longer []story
		for _, s := range all {
			now := s.first()
			for i, c := range s.commits {
				now.apply(c, i+1)
			}
			for _, c := range commitsOn(now) {
				if len(c) > 1 && s.edits() > len(s.commits) {
					continue // at most one commit of two edits is enough
				}
				longer = append(longer, story{s.rows, append(s.commits[:len(s.commits):len(s.commits)], c)})
			}
		}
		all = longer
	}
	return all
}

func (s *story) edits() (n int) {
	for _, c := range s.commits {
		n += len(c)
	}
	return n
}

func commitsOn(now contents) (all [][]edit) {
	for k := 1; k <= keys; k++ {
		other := keys + 1 - k
		if now[k] < 0 {
			all = append(all, []edit{{0, k}}, []edit{{0, k}, {k, 0}})
			continue
		}
		all = append(all, []edit{{k, k}}, []edit{{k, 0}}, []edit{{k, 0}, {0, k}})
		if now[other] < 0 {
			all = append(all, []edit{{k, other}})
		} else if k == 1 {
			all = append(all, []edit{{1, 1}, {2, 2}}, []edit{{1, 0}, {2, 1}})
		}
	}
	return all
}

// shape is what of a story decides the order of things: of how many pieces each
// commit is.
type shape struct {
	count  int
	pieces [3]int
}

func (s *story) shape() shape {
	sh := shape{count: len(s.commits)}
	for i, c := range s.commits {
		sh.pieces[i] = len(c)
	}
	return sh
}

// trace is what the merger and the reader see of one order of things.
type trace struct {
	open   int // pieces handed on when the window opens
	read   int // and when the chunk is given to the merger
	record int // and from when on keys are recorded; open, but for a lie
	seen   int // commits that the window says the read must see
	view   int // commits the read saw, a bit each
	high   int // commits before the mark
}

// world is where everything stands; it is a map key.
type world struct {
	flushed, visible, executed int // a number of commits, and two sets of them
	passed                     int // pieces
	phase                      int // of the reader: idle, opened, selected, marked
	t                          trace
}

// lies are rules of the window that are taken away.
type lies struct {
	noWait       bool // the read does not wait until all of Seen is shown
	noHigh       bool // the rows leave without waiting for anything
	highBefore   bool // the end of the log is taken before the read
	highExecuted bool // the mark is what the server shows as executed
	lateRecord   bool // keys are recorded from after the read on
	openInside   bool // a window opens inside a transaction
	deafReading  bool // changes during the read are not recorded
	deafWaiting  bool // changes after the read are not recorded
	noBefore     bool // images before the change do not count
	noAfter      bool // images after the change do not count
	earlySight   bool // a commit is visible before it is logged
}

// traces returns everything that can be seen of stories of the shape.
func (sh shape) traces(l lies) map[trace]bool {
	all := map[trace]bool{}
	done := map[world]bool{}
	var visit func(world)
	visit = func(w world) {
		if done[w] {
			return
		}
		done[w] = true
		if w.phase == 4 {
			all[w.t] = true
			return
		}
		for i := range sh.count {
			bit := 1 << i
			if i == w.flushed {
				visit(with(w, func(w *world) { w.flushed++ }))
			}
			if w.visible&bit == 0 && (i < w.flushed || l.earlySight) {
				visit(with(w, func(w *world) { w.visible |= bit }))
			}
			if w.visible&^w.executed&bit != 0 && i < w.flushed {
				visit(with(w, func(w *world) { w.executed |= bit }))
			}
		}
		if w.passed < sh.end(w.flushed) {
			visit(with(w, func(w *world) { w.passed++ }))
		}
		sh.reader(w, l, visit)
	}
	visit(world{})
	return all
}

func with(w world, f func(*world)) world { f(&w); return w }

// end is the number of pieces of the first commits.
func (sh shape) end(commits int) (n int) {
	for _, p := range sh.pieces[:commits] {
		n += p
	}
	return n
}

// finished is the number of commits that are handed on whole, and whether a
// part of another is.
func (sh shape) finished(passed int) (commits int, inside bool) {
	for commits < sh.count && sh.end(commits+1) <= passed {
		commits++
	}
	return commits, sh.end(commits) < passed
}

// reader takes the reader's next step if it can: it opens a window, reads, takes
// the mark, and gives the chunk to the merger.
func (sh shape) reader(w world, l lies, visit func(world)) {
	n, inside := sh.finished(w.passed)
	switch w.phase {
	case 0:
		if inside && !l.openInside {
			return
		}
		w.t.open, w.t.record, w.t.seen, w.t.high = w.passed, w.passed, n, w.flushed
	case 1:
		if sees := 1<<w.t.seen - 1; w.executed&sees != sees && !l.noWait {
			return
		}
		w.t.view = w.visible
	case 2:
		if inside && l.lateRecord {
			return
		}
		w.mark(l)
	case 3:
		w.t.read = w.passed
	}
	w.phase++
	visit(w)
}

func (w *world) mark(l lies) {
	switch {
	case l.noHigh:
		w.t.high = w.t.seen
	case l.highExecuted:
		for w.t.high = 0; w.executed>>w.t.high&1 != 0; w.t.high++ {
		}
	case !l.highBefore:
		w.t.high = w.flushed
	}
	if l.lateRecord {
		w.t.record = w.passed
	}
}

// stage is a story made ready to be played to mergers.
type stage struct {
	story
	shape
	pieces []*event.Piece
	ends   []contents         // after each number of commits
	chunks [8][]event.RawRows // that a read of each set of commits sees
}

var exploreTable = eventtest.Orders()

func values(key, version int) []event.Value { return row(int64(key), fmt.Sprint(version)) }

func (s *story) stage(l lies) *stage {
	g := &stage{story: *s, shape: s.shape(), ends: []contents{s.first()}}
	for i, c := range s.commits {
		tx, rows, now := eventtest.Tx(uint64(i+1)), []eventtest.Row(nil), g.ends[i]
		for _, e := range c {
			rows = append(rows, e.row(&now, i+1, l))
			now.apply([]edit{e}, i+1)
		}
		g.ends = append(g.ends, now)
		g.pieces = append(g.pieces, eventtest.Pieces(tx, 1, rows...)...)
	}
	if l.openInside { // every piece looks like a transaction; only the last one moves the position
		for i, p := range g.pieces {
			if !p.Last {
				tx := *p.Tx
				tx.End = eventtest.Tx(p.Tx.End.Seq - 1).End
				g.pieces[i] = &event.Piece{Tx: &tx, Events: p.Events, First: true, Last: true}
			}
			g.pieces[i].First, g.pieces[i].Last = true, true
		}
	}
	return g
}

// row is the edit as the merger sees it.
func (e edit) row(now *contents, version int, l lies) eventtest.Row {
	hidden := row(99, "")
	was, is := hidden, hidden
	if e.from > 0 && !l.noBefore {
		was = values(e.from, now[e.from])
	}
	if e.to > 0 && !l.noAfter {
		is = values(e.to, version)
	}
	switch {
	case e.from == 0:
		return eventtest.Insert(exploreTable, is...)
	case e.to == 0:
		return eventtest.Delete(exploreTable, was...)
	}
	return eventtest.Update(exploreTable, was, is)
}

// out checks and folds what leaves.
type out struct {
	fold   contents
	newest contents       // version that last left for a key, of a deletion too
	window bool           // whether the window is open
	inside [keys + 1]bool // it left as a change while the window was open
	asRead [keys + 1]bool // it left as a row of the chunk
	wrong  string
}

func newOut() *out {
	o := &out{}
	for k := range o.fold {
		o.fold[k], o.newest[k] = -1, -1
	}
	return o
}

func (o *out) change(e edit, version int) {
	for _, k := range [2]int{e.from, e.to} {
		if k == 0 {
			continue
		}
		if version < o.newest[k] {
			o.wrong = fmt.Sprintf("stale: key %d goes back from version %d to %d", k, o.newest[k], version)
		} else if o.asRead[k] && version == o.newest[k] {
			o.wrong = fmt.Sprintf("twice: version %d of key %d left with the chunk already", version, k)
		}
		o.newest[k], o.inside[k], o.asRead[k] = version, o.window, false
	}
	o.fold.apply([]edit{e}, version)
}

func (o *out) read(key, version int) {
	switch {
	case version < o.newest[key]:
		o.wrong = fmt.Sprintf("stale: key %d goes back from version %d to %d", key, o.newest[key], version)
	case o.inside[key] && version == o.newest[key]:
		o.wrong = fmt.Sprintf("twice: version %d of key %d left as a change already", version, key)
	}
	o.fold[key], o.newest[key], o.asRead[key] = version, version, true
}

// play plays one trace to a merger that is asked for decided windows only late
// pieces after the chunk came, and returns what is wrong with what left.
func (g *stage) play(t trace, l lies, late int) string {
	m, o := NewMerger(startAt(0), plenty), newOut()
	var w *Window
	for passed := 0; ; passed++ {
		if passed == t.record {
			w = m.Open("shop", "orders", byID, nil)
		}
		if o.window = passed >= t.open; passed == t.read {
			m.Read(w, g.chunk(t))
		}
		if passed >= t.read+late || passed == len(g.pieces) {
			g.emit(m, o)
		}
		if passed == len(g.pieces) {
			break
		}
		g.pass(m, o, passed, l.deafReading && w != nil && passed < t.read || l.deafWaiting && passed >= t.read)
	}
	switch {
	case o.wrong != "":
	case !m.Idle():
		o.wrong = "the window is still open"
	case o.fold != g.ends[len(g.commits)]:
		o.wrong = fmt.Sprintf("lost: folds to %v, the table is %v", o.fold, g.ends[len(g.commits)])
	}
	return o.wrong
}

func (g *stage) chunk(t trace) source.Chunk {
	if g.chunks[t.view] == nil {
		g.chunks[t.view] = g.view(t.view)
	}
	c := source.Chunk{Table: exploreTable, Key: exploreTable.Key, Rows: slices.Clone(g.chunks[t.view])}
	end := eventtest.Tx(uint64(t.high)).End
	c.High = event.Coord{File: end.File, Offset: end.Offset}
	return c
}

// view is what a read sees that sees the commits.
func (g *stage) view(commits int) []event.RawRows {
	now := g.first()
	for i, commit := range g.commits {
		if commits>>i&1 != 0 {
			now.apply(commit, i+1)
		}
	}
	rows := []eventtest.Row{}
	for k := 1; k <= keys; k++ {
		if now[k] >= 0 {
			rows = append(rows, eventtest.Read(exploreTable, values(k, now[k])...))
		}
	}
	return append([]event.RawRows{}, eventtest.Events(0, rows...)...)
}

// pass hands on the next piece.
func (g *stage) pass(m *Merger, o *out, passed int, deaf bool) {
	p := g.pieces[passed]
	if deaf {
		p = &event.Piece{Tx: p.Tx, First: p.First, Last: p.Last}
	}
	m.Pass(p)
	n, _ := g.finished(passed)
	o.change(g.commits[n][passed-g.end(n)], n+1)
}

func (g *stage) emit(m *Merger, o *out) {
	for {
		x, ok := m.Next()
		if !ok {
			return
		}
		if !x.Merged() {
			o.wrong = "given up: " + x.Reason.String()
			return
		}
		all := event.Piece{Events: x.Rows}
		var r event.RowReader
		for c := range all.Rows(&r) {
			o.read(int(c.After[0].Num), int(c.After[1].Bytes[0]-'0'))
		}
		o.window = false
	}
}

// explore plays all stories of up to so many commits and returns the first
// that goes wrong in the given way, "" when none does.
func explore(l lies, commits int, way string) (wrong string, plays int) {
	shapes := map[shape][]trace{}
	for n := 1; n <= commits; n++ {
		for _, s := range stories(n) {
			g := s.stage(l)
			if shapes[g.shape] == nil {
				shapes[g.shape] = slices.Collect(maps.Keys(g.traces(l)))
			}
			for _, t := range shapes[g.shape] {
				for late := range 2 {
					plays++
					if wrong := g.play(t, l, late); wrong != "" && strings.HasPrefix(wrong, way) {
						return fmt.Sprintf("%s\nrows %v, commits %v, %+v, late %d", wrong, s.rows[1:], s.commits, t, late), plays
					}
				}
			}
		}
	}
	return "", plays
}

func TestNoOrderOfThingsYieldsAStaleOrLostRow(t *testing.T) {
	wrong, plays := explore(lies{}, 3, "")
	if wrong != "" {
		t.Fatal(wrong)
	}
	if plays < 50_000 {
		t.Errorf("only %d plays: the explorer does not explore", plays)
	}
}

func TestEveryRuleOfTheWindowIsNeeded(t *testing.T) {
	for _, c := range []struct {
		rule string
		lies lies
		way  string
	}{
		{"the read sees all of Seen", lies{noWait: true}, "stale"},
		{"rows wait for High", lies{noHigh: true}, "stale"},
		{"High is taken after the read", lies{highBefore: true}, "stale"},
		{"High is the end of the log", lies{highExecuted: true}, "stale"},
		{"what is visible is in the log", lies{earlySight: true}, "stale"},
		{"keys are recorded from Seen on", lies{lateRecord: true}, "stale"},
		{"windows open between transactions", lies{openInside: true}, "stale"},
		{"keys are recorded while the chunk is read", lies{deafReading: true}, "stale"},
		{"keys are recorded until High is passed", lies{deafWaiting: true}, "stale"},
		{"the image before counts", lies{noBefore: true}, "stale"},
		{"the image after counts", lies{noAfter: true}, "twice"},
	} {
		wrong, plays := explore(c.lies, 3, c.way)
		if wrong == "" {
			t.Errorf("without the rule that %s no row was %s in %d plays", c.rule, c.way, plays)
		}
		t.Logf("without the rule that %s: %s", c.rule, wrong)
	}
}
