package snapshot

import (
	"slices"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/source"
)

// Merger decides which rows of the chunks leave, and when. It is a plain step
// function; one goroutine owns it, the one that hands the pieces of the stream on.
type Merger struct {
	pos    event.Position // after all transactions that were handed on
	end    event.Coord    // the same place
	inside bool           // a transaction is handed on in part
	ddls   uint64         // handed on so far that may have changed any table

	tables  map[Name]*table
	windows []*Window // open ones, in order of Open
	given   []Outcome // given up and not told yet

	budget, touched int // bytes of the touched keys of all windows: the most, and what there is

	seen      *event.Table // the version whose rows came last
	seenTable *table       // its table, nil if no window was ever open for it

	stream, rows event.RowReader // for rows of the stream and of chunks
	key          []byte
}

// NewMerger returns a merger for a stream that goes on at the position, which it
// clones. The keys that are touched while chunks are read take at most so many
// bytes, in all windows together; over that, the window that holds most is
// given up.
func NewMerger(at event.Position, touchedBudget int) *Merger {
	m := &Merger{pos: at.Clone(), budget: touchedBudget, tables: map[Name]*table{}}
	file := m.pos.File
	m.end = event.Coord{File: &file, Offset: m.pos.Offset, Seq: m.pos.Seq}
	return m
}

// Position returns a copy of the position after all transactions that were
// handed on. Its marks are those it started with.
func (m *Merger) Position() event.Position { return m.pos.Clone() }

// End is the same place as the end of a transaction, without GTID and mark:
// that of a transaction made of a chunk's rows, once its mark is set.
func (m *Merger) End() event.Coord { return m.end }

// Idle reports that no window is open and none is left to be told by Next.
func (m *Merger) Idle() bool { return len(m.windows)+len(m.given) == 0 }

// Open opens a window for the next chunk of a table whose chunks are cut by the
// columns named by key; without any, the table is read as a whole. After that the
// chunk may be read.
//
// prev is the window of the chunk before, if the reader goes on behind that
// without knowing its outcome: when it is given up, so is the new one. A nil prev
// means that the reader goes on behind what has left for good. Open windows of
// the table behind prev are given up: one reader at a time reads a table.
//
// It returns nil while a transaction is handed on in part: ask again at its end.
func (m *Merger) Open(database, name string, key []string, prev *Window) *Window {
	if m.inside {
		return nil
	}
	t := m.table(Name{database, name})
	m.giveUpBehind(t, prev)
	w := &Window{Seen: m.pos.Clone(), Fresh: !t.looked || t.known != m.ddls+t.ddls, table: t}
	rekeyed := !t.rekey(key)
	t.windows, m.windows = append(t.windows, w), append(m.windows, w)
	switch {
	case prev != nil && prev.phase == lost:
		m.giveUp(w, ByEarlier, nil)
	case rekeyed:
		m.giveUp(w, ByKey, nil)
	}
	return w
}

func (m *Merger) table(name Name) *table {
	t := m.tables[name]
	if t == nil {
		t = &table{name: name}
		m.tables[name] = t
		m.seen = nil
	}
	return t
}

// Read takes the chunk that was read in the window, and its memory. A window
// that was given up meanwhile takes nothing.
func (m *Merger) Read(w *Window, c source.Chunk) {
	if w.phase != reading {
		return
	}
	t := w.table
	if w.Fresh {
		t.looked, t.known = true, m.ddls+t.ddls // the same as when w opened, or it were given up
	}
	if reason, err := w.admit(&c); reason != NotGivenUp {
		m.giveUp(w, reason, err)
		return
	}
	w.phase, w.rows = waiting, chunkRows{chunk: c}
	for i := range w.touched.len() {
		key := w.touched.at(i)
		if err := w.rows.drop(t, &m.rows, key, hashKey(key)); err != nil {
			m.giveUp(w, ByRows, err)
			return
		}
	}
	m.forget(w)
}

// Drop takes back a window whose read failed or was cancelled. It has no
// outcome; windows behind it are given up.
func (m *Merger) Drop(w *Window) {
	if !w.open() {
		return
	}
	m.giveUpBehind(w.table, w)
	m.close(w, lost)
}

// Next returns what became of the next window that is decided. It tells nothing
// while a transaction is handed on in part. The rows of a merged window are to
// leave before the next piece is passed; those of one table leave in the order of
// Open.
func (m *Merger) Next() (Outcome, bool) {
	if m.inside {
		return Outcome{}, false
	}
	if o, ok := m.lostOne(); ok {
		return o, true
	}
	for _, w := range m.windows {
		if w.phase != waiting || w.table.windows[0] != w {
			continue
		}
		switch w.place(&m.pos) {
		case before:
		case unrelated:
			m.giveUp(w, ByLog, nil)
			return m.lostOne()
		default:
			return m.merge(w), true
		}
	}
	return Outcome{}, false
}

func (m *Merger) lostOne() (o Outcome, ok bool) {
	if len(m.given) == 0 {
		return o, false
	}
	o = m.given[0]
	m.given = slices.Delete(m.given, 0, 1)
	return o, true
}

func (m *Merger) merge(w *Window) Outcome {
	o := Outcome{Window: w, Database: w.table.name.Database, Table: w.table.name.Table}
	w.rows.fill(&o)
	m.close(w, merged)
	return o
}

// giveUpBehind gives up the open windows of the table behind w, all for nil.
func (m *Merger) giveUpBehind(t *table, w *Window) {
	if i := slices.Index(t.windows, w) + 1; i < len(t.windows) {
		m.giveUp(t.windows[i], ByEarlier, nil)
	}
}

// giveUp closes a window, and those behind it of the same table, to be told by Next.
func (m *Merger) giveUp(w *Window, reason Reason, err error) {
	t := w.table
	behind := slices.Clone(t.windows[slices.Index(t.windows, w):])
	for _, b := range behind {
		m.close(b, lost)
		m.given = append(m.given, Outcome{
			Window: b, Database: t.name.Database, Table: t.name.Table, Reason: reason, Err: err,
		})
		reason, err = ByEarlier, nil
	}
}

func (m *Merger) giveUpAll(reason Reason) {
	for len(m.windows) > 0 {
		m.giveUpTable(m.windows[0].table, reason)
	}
}

func (m *Merger) giveUpTable(t *table, reason Reason) {
	for len(t.windows) > 0 {
		m.giveUp(t.windows[len(t.windows)-1], reason, nil)
	}
}

// close ends a window and lets go of its memory.
func (m *Merger) close(w *Window, as phase) {
	isW := func(o *Window) bool { return o == w }
	t := w.table
	t.windows = slices.DeleteFunc(t.windows, isW)
	m.windows = slices.DeleteFunc(m.windows, isW)
	m.forget(w)
	w.phase, w.rows = as, chunkRows{}
	if len(t.windows) == 0 {
		t.version, t.plan = nil, nil
	}
}

// forget lets go of the window's touched keys.
func (m *Merger) forget(w *Window) {
	m.touched -= w.touched.size()
	w.touched = keySet{}
}
