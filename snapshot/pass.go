package snapshot

import (
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/event"
)

// Pass takes note of a piece that is handed on next: of the keys that it touches
// in tables with open windows and, at the end of a transaction, of the place.
// Every piece of the stream goes by here, in order. It keeps nothing of the piece
// and costs next to nothing while no window is open.
//
// A row that cannot be decoded is not its business: windows of its table are
// given up, and whoever encodes the row meets the error too.
func (m *Merger) Pass(p *event.Piece) {
	if len(m.windows) > 0 {
		m.watch(p)
	}
	m.inside = !p.Last
	if !p.Last {
		return
	}
	if p.Tx.DDL != nil {
		m.redefined(p.Tx.DDL)
	}
	m.pos.Advance(p.Tx.End)
	m.end.Offset, m.end.Seq = p.Tx.End.Offset, p.Tx.End.Seq
	if p.Tx.End.File != nil {
		m.end.File = p.Tx.End.File
	}
}

func (m *Merger) watch(p *event.Piece) {
	switch {
	case !p.First && !m.inside:
		m.giveUpAll(ByRows) // the beginning was delivered by another line
	case p.Tx.End.File != nil && differ(p.Tx.End.File.StampServer, m.pos.File.StampServer):
		m.giveUpAll(ByLog)
	}
	for i := 0; i < len(p.Events) && len(m.windows) > 0; i++ {
		raw := &p.Events[i]
		if t := m.watched(raw.Table); t != nil {
			m.touch(t, raw)
		}
	}
}

// redefined takes note of a statement that may have changed definitions or
// rows: windows of the tables that it names are given up, all where it is not
// known to name every one.
func (m *Merger) redefined(d *event.DDL) {
	if len(d.Names) == 0 {
		m.ddls++
		m.giveUpAll(ByDDL)
		return
	}
	for name, t := range m.tables {
		if slices.ContainsFunc(d.Names, func(n event.TableName) bool { return name.isNamed(n) }) {
			t.ddls++
			m.giveUpTable(t, ByDDL)
		}
	}
}

// isNamed compares in any case: servers may store names in another one than statements do.
func (n Name) isNamed(o event.TableName) bool {
	return strings.EqualFold(n.Database, o.Database) && strings.EqualFold(n.Table, o.Name)
}

// watched returns the version's table if that has open windows.
func (m *Merger) watched(v *event.Table) *table {
	if v != m.seen {
		m.seen, m.seenTable = v, m.tables[Name{v.Database, v.Name}]
	}
	if t := m.seenTable; t != nil && len(t.windows) > 0 {
		return t
	}
	return nil
}

// touch takes down the keys of the rows before and after the change. Both count:
// a read may have seen the row under either.
func (m *Merger) touch(t *table, raw *event.RawRows) {
	if len(t.key) == 0 {
		m.giveUp(t.windows[0], ByTouch, nil)
		return
	}
	plan, ok := t.planFor(raw.Table)
	if !ok {
		m.giveUp(t.windows[0], ByKey, nil)
		return
	}
	for off, row := 0, uint32(0); row < raw.Rows && len(t.windows) > 0; row++ {
		next, err := decode(raw, off, &m.stream)
		if err != nil || !m.image(t, plan, m.stream.Change.Before) || !m.image(t, plan, m.stream.Change.After) {
			if len(t.windows) > 0 {
				m.giveUp(t.windows[0], ByRows, nil)
			}
			return
		}
		off = next
	}
}

// image takes down the key of one image. It fails where that has none.
func (m *Merger) image(t *table, plan keyPlan, image []event.Value) (ok bool) {
	if image == nil {
		return true
	}
	if m.key, ok = plan.append(m.key[:0], image); !ok {
		return false
	}
	hash := hashKey(m.key) // once for all windows
	for i := 0; i < len(t.windows); i++ {
		m.mark(t.windows[i], m.key, hash)
	}
	return true
}

// mark notes in one window that the key was touched. The window, and those
// behind it, may be given up over that.
func (m *Merger) mark(w *Window, key []byte, hash uint64) {
	if w.phase == waiting {
		if err := w.rows.drop(w.table, &m.rows, key, hash); err != nil {
			m.giveUp(w, ByRows, err)
		}
		return
	}
	for w.phase == reading {
		size := w.touched.size()
		_, fits := w.touched.add(key, m.budget-m.touched)
		m.touched += w.touched.size() - size
		if fits {
			return
		}
		m.giveUp(m.largest(w), ByBudget, nil)
	}
}

// largest is the window with the most touched keys in bytes, w among equals.
func (m *Merger) largest(w *Window) *Window {
	for _, o := range m.windows {
		if o.touched.size() > w.touched.size() {
			w = o
		}
	}
	return w
}
