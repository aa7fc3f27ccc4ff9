package snapshot

import (
	"slices"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// Window is the time in which one chunk is read: from when the stream's place
// was taken down until the stream has passed all that the read could see. It
// belongs to its Merger; the exported fields may be read by anyone.
type Window struct {
	// Seen is what had been handed on when the window opened: the read must see
	// all of it.
	Seen event.Position
	// Fresh says that the definition of the table must be looked up for this
	// read: it may have changed since the last one that was delivered.
	Fresh bool

	table *table
	phase phase
	// touched are the keys the stream changed while the chunk was being read.
	touched keySet
	rows    chunkRows // once they are read
}

type phase uint8

const (
	reading phase = iota // the chunk is not there yet
	waiting              // for the stream to pass the chunk's High
	merged               // its rows leave
	lost                 // given up or dropped
)

func (w *Window) open() bool { return w.phase <= waiting }

// table is what the merger keeps of a table that is being read.
type table struct {
	name    Name
	windows []*Window // open ones, in order of Open
	key     []string
	// plan is for the rows of version, the last one seen; ok false means that
	// the key cannot be had from them.
	version *event.Table
	plan    keyPlan
	ok      bool
	// ddls counts the DDL statements handed on that name the table. looked says
	// that a reader has looked the definition up, known how many of these and of
	// the Merger's had been handed on by then.
	ddls   uint64
	looked bool
	known  uint64
}

// rekey sets the columns of the key. It fails where open windows have others.
func (t *table) rekey(key []string) bool {
	if slices.Equal(t.key, key) {
		return true
	}
	if len(t.windows) > 0 {
		return false
	}
	t.key, t.version = slices.Clone(key), nil
	return true
}

// planFor returns how the key is taken from rows of the version.
func (t *table) planFor(v *event.Table) (keyPlan, bool) {
	if t.version != v {
		t.version = v
		t.plan, t.ok = planKey(v, t.key)
	}
	return t.plan, t.ok
}

// admit checks that the chunk is one for the window: cut by the key that was
// asked for, and with a High that can lie in the log that the stream reads. That
// log's end cannot lie before what the stream has read of it.
func (w *Window) admit(c *source.Chunk) (Reason, error) {
	names := make([]string, len(c.Key))
	for i, k := range c.Key {
		names[i] = c.Table.Columns[k].Name
		if c.Table.Columns[k].Excluded {
			return ByKey, w.table.fault(CodeKeyExcluded, "column %s is part of the key and is not captured", names[i]).
				WithHint("capture the column, or leave the table out with snapshot.exclude")
		}
	}
	if !slices.Equal(names, w.table.key) {
		return ByKey, nil
	}
	if c.High.File == nil {
		return ByLog, w.table.fault(CodeNoHigh, "the read does not say where the log ended")
	}
	if p := &w.Seen; p.File.Name != "" && !comparePlaces(*c.High.File, p.File, c.High.Offset, p.Offset).passed() {
		return ByLog, nil
	}
	return NotGivenUp, nil
}

// place says how the position lies to the chunk's High.
func (w *Window) place(p *event.Position) order {
	if p.File.Name == "" {
		return before // as long as no file is known
	}
	high := &w.rows.chunk.High
	return comparePlaces(p.File, *high.File, p.Offset, high.Offset)
}

// Codes of the errors for which reading again is of no use.
const (
	CodeKeyExcluded   = "snapshot_key_excluded"
	CodeNoHigh        = "snapshot_no_high"
	CodeKeyRepeated   = "snapshot_key_repeated"
	CodeRowUnreadable = "snapshot_row_unreadable"
)

func (t *table) fault(code, format string, args ...any) *resilience.Error {
	return resilience.Errorf(resilience.Fatal, code, "merge a chunk", format, args...).
		WithPlace("table %s.%s", t.name.Database, t.name.Table)
}
