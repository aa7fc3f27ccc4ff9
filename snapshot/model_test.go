package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
)

// naive is the merger in the plainest words: it keeps the keys of all rows that
// ever went by and looks through them when a window is decided.
type naive struct {
	history []string // "table/key" of every image that was handed on
	passed  uint64   // transactions
	windows []*naiveWindow
	lost    []*naiveWindow  // given up, not told
	looked  map[string]bool // tables whose definition is known
}

type naiveWindow struct {
	w     *Window
	table string
	from  int // in history
	rows  []int64
	high  uint64
	read  bool
	why   Reason
}

// redefined gives up the windows of the named tables, the last one first; none
// named means any.
func (n *naive) redefined(names []event.TableName) {
	concerns := func(table string) bool {
		return len(names) == 0 || slices.ContainsFunc(names, func(n event.TableName) bool { return strings.EqualFold(n.Name, table) })
	}
	for table := range n.looked {
		n.looked[table] = n.looked[table] && !concerns(table)
	}
	for i := len(n.windows) - 1; i >= 0; i-- {
		if concerns(n.windows[i].table) {
			n.giveUp(n.windows[i], ByDDL)
		}
	}
}

func (n *naive) giveUp(x *naiveWindow, why Reason) {
	var left []*naiveWindow
	found := false
	for _, o := range n.windows {
		if found = found || o == x; found && o.table == x.table {
			o.why = why
			n.lost, why = append(n.lost, o), ByEarlier
		} else {
			left = append(left, o)
		}
	}
	n.windows = left
}

// decided is the next merged window by the rules.
func (n *naive) decided() *naiveWindow {
	first := map[string]bool{}
	for _, x := range n.windows {
		if !first[x.table] && x.read && x.high <= n.passed {
			return x
		}
		first[x.table] = true
	}
	return nil
}

func (n *naive) untouched(x *naiveWindow) (ids []int64) {
	for _, id := range x.rows {
		if !slices.Contains(n.history[x.from:], fmt.Sprint(x.table, "/", id)) {
			ids = append(ids, id)
		}
	}
	return ids
}

// machine drives the merger and the naive one side by side.
type machine struct {
	m      *Merger
	n      naive
	tables map[string][]*event.Table // versions of each
	inside []*event.Piece            // what is left of the open transaction
}

func newMachine() *machine {
	x := &machine{m: NewMerger(startAt(0), plenty), tables: map[string][]*event.Table{}}
	x.n.looked = map[string]bool{}
	for _, name := range []string{"a", "b"} {
		for _, columns := range [][]event.Column{
			{eventtest.Col("id", event.TypeInt), eventtest.Col("note", event.TypeText)},
			{eventtest.Col("note", event.TypeText), eventtest.Col("id", event.TypeInt)},
		} {
			x.tables[name] = append(x.tables[name], eventtest.Table("shop", name, byID, columns...))
		}
	}
	return x
}

func (x *machine) image(table *event.Table, id int64) []event.Value {
	v := row(id, "x")
	if table.Key[0] == 1 {
		v[0], v[1] = v[1], v[0]
	}
	return v
}

var (
	tableNames = rapid.SampledFrom([]string{"a", "a", "a", "b"})
	anyID      = rapid.Int64Range(0, 7)
)

func (x *machine) Open(t *rapid.T) {
	name := tableNames.Draw(t, "table")
	var mine []*naiveWindow
	for _, w := range x.n.windows {
		if w.table == name {
			mine = append(mine, w)
		}
	}
	var prev *Window
	if k := rapid.IntRange(0, len(mine)).Draw(t, "prev"); k > 0 {
		prev = mine[k-1].w
		mine = mine[k:]
	}
	w := x.m.Open("shop", name, byID, prev)
	if len(x.inside) > 0 {
		if w != nil {
			t.Fatal("a window opened inside a transaction")
		}
		return
	}
	if len(mine) > 0 {
		x.n.giveUp(mine[0], ByEarlier)
	}
	if w.Fresh == x.n.looked[name] {
		t.Fatalf("fresh: %v, though the definition is known: %v", w.Fresh, x.n.looked[name])
	}
	if w.Seen.Seq != x.n.passed {
		t.Fatalf("seen is %d, want %d", w.Seen.Seq, x.n.passed)
	}
	x.n.windows = append(x.n.windows, &naiveWindow{w: w, table: name, from: len(x.n.history)})
}

func (x *machine) pick(t *rapid.T) *naiveWindow {
	if len(x.n.windows) == 0 {
		t.Skip("no window")
	}
	return x.n.windows[rapid.IntRange(0, len(x.n.windows)-1).Draw(t, "window")]
}

func (x *machine) Read(t *rapid.T) {
	w := x.pick(t)
	if w.read {
		t.Skip("read already")
	}
	w.rows = rapid.SliceOfNDistinct(anyID, 0, 6, rapid.ID).Draw(t, "rows")
	x.n.looked[w.table] = x.n.looked[w.table] || w.w.Fresh
	w.high, w.read = x.n.passed+rapid.Uint64Range(0, 3).Draw(t, "high"), true
	table := rapid.SampledFrom(x.tables[w.table]).Draw(t, "version")
	c := chunkOf(table, w.high)
	for left := w.rows; len(left) > 0; {
		k := rapid.IntRange(1, len(left)).Draw(t, "body")
		var rows []eventtest.Row
		for _, id := range left[:k] {
			rows = append(rows, eventtest.Read(table, x.image(table, id)...))
		}
		c.Rows = append(c.Rows, eventtest.Events(0, rows...)...)
		left = left[k:]
	}
	x.m.Read(w.w, c)
}

func (x *machine) Drop(t *rapid.T) {
	w := x.pick(t)
	x.m.Drop(w.w)
	x.n.giveUp(w, ByEarlier)
	x.n.lost = slices.DeleteFunc(x.n.lost, func(o *naiveWindow) bool { return o == w })
}

func (x *machine) Pass(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "pieces") {
		x.pass(t)
	}
}

func (x *machine) pass(t *rapid.T) {
	if len(x.inside) == 0 {
		x.begin(t)
	}
	p := x.inside[0]
	x.inside = x.inside[1:]
	x.m.Pass(p)
	var r event.RowReader
	for c := range p.Rows(&r) {
		for _, image := range [][]event.Value{c.Before, c.After} {
			if image != nil {
				x.n.history = append(x.n.history, fmt.Sprint(c.Table.Name, "/", image[c.Table.Key[0]].Num))
			}
		}
	}
	if p.Tx.DDL != nil {
		x.n.redefined(p.Tx.DDL.Names)
	}
	if p.Last {
		x.n.passed++
	}
}

func (x *machine) begin(t *rapid.T) {
	tx := eventtest.Tx(x.n.passed + 1)
	var rows []eventtest.Row
	for range rapid.IntRange(0, 5).Draw(t, "rows") {
		table := rapid.SampledFrom(x.tables[tableNames.Draw(t, "table")]).Draw(t, "version")
		was, is := x.image(table, anyID.Draw(t, "was")), x.image(table, anyID.Draw(t, "is"))
		rows = append(rows, rapid.SampledFrom([]eventtest.Row{
			eventtest.Insert(table, is...), eventtest.Delete(table, was...), eventtest.Update(table, was, is),
		}).Draw(t, "row"))
	}
	if len(rows) == 0 && rapid.IntRange(0, 5).Draw(t, "ddl") == 0 {
		tx.DDL = &event.DDL{}
		for range rapid.IntRange(0, 2).Draw(t, "named") {
			name := rapid.SampledFrom([]string{"a", "A", "b", "c"}).Draw(t, "name")
			tx.DDL.Names = append(tx.DDL.Names, event.TableName{Database: "shop", Name: name})
		}
	}
	x.inside = eventtest.Pieces(tx, rapid.IntRange(1, 5).Draw(t, "per piece"), rows...)
}

func (x *machine) Next(t *rapid.T) {
	o, ok := x.m.Next()
	if len(x.inside) > 0 {
		if ok {
			t.Fatal("decided inside a transaction")
		}
		return
	}
	if ok && !o.Merged() {
		i := slices.IndexFunc(x.n.lost, func(w *naiveWindow) bool { return w.w == o.Window })
		if i < 0 || x.n.lost[i].why != o.Reason || o.Table != x.n.lost[i].table {
			t.Fatalf("%s: window of %s given up, not by the rules", o.Reason, o.Table)
		}
		x.n.lost = slices.Delete(x.n.lost, i, i+1)
		return
	}
	want := x.n.decided()
	if len(x.n.lost) > 0 || ok != (want != nil) {
		t.Fatalf("%d were given up, one is decided: %v; told one: %v", len(x.n.lost), want != nil, ok)
	}
	if !ok {
		return
	}
	if want.w != o.Window {
		t.Fatal("another window is decided")
	}
	x.merged(t, want, o)
}

func (x *machine) merged(t *rapid.T, want *naiveWindow, o Outcome) {
	var ids []int64
	for i := range o.Rows {
		raw := &o.Rows[i]
		if n, err := raw.Table.Layout.Count(raw.Type, raw.Body); err != nil || n != raw.Rows {
			t.Fatalf("a body of %d rows says it has %d, %v", n, raw.Rows, err)
		}
	}
	p := event.Piece{Events: o.Rows}
	var r event.RowReader
	for c, err := range p.Rows(&r) {
		if err != nil || c.Ordinal != uint64(len(ids)) {
			t.Fatalf("row %d: ordinal %d, %v", len(ids), c.Ordinal, err)
		}
		ids = append(ids, c.After[c.Table.Key[0]].Num)
	}
	if left := x.n.untouched(want); !slices.Equal(ids, left) {
		t.Fatalf("%v left, want %v", ids, left)
	}
	if o.Kept != len(ids) || o.Dropped != len(want.rows)-len(ids) {
		t.Fatalf("%d kept, %d dropped", o.Kept, o.Dropped)
	}
	x.n.windows = slices.DeleteFunc(x.n.windows, func(w *naiveWindow) bool { return w == want })
}

// Invariants.
func (x *machine) Check(t *rapid.T) {
	if p := x.m.Position(); p.Seq != x.n.passed {
		t.Fatalf("position is %d, want %d", p.Seq, x.n.passed)
	}
	size := 0
	for _, w := range x.m.windows {
		size += w.touched.size()
	}
	if size != x.m.touched {
		t.Fatalf("%d bytes of touched keys, %d counted", size, x.m.touched)
	}
	if x.m.Idle() != (len(x.n.windows)+len(x.n.lost) == 0) {
		t.Fatal("idle, or not")
	}
}

func TestMergerAgainstANaiveOne(t *testing.T) {
	run := func(t *testing.T) {
		for range 5 { // of a hundred checks each
			rapid.Check(t, func(t *rapid.T) { t.Repeat(rapid.StateMachineActions(newMachine())) })
		}
	}
	t.Run("", run)
	t.Run("colliding", func(t *testing.T) {
		colliding(t, 2)
		run(t)
	})
}
