package verify

import (
	"context"
	"os"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/source"
)

// Record is a committed record of a topic. Its bytes are valid during the visit.
type Record struct {
	Partition      int32
	Offset, Millis int64
	Key, Value     []byte // nil for null
	KeyOnly        bool   // the row was too large: it has the columns of its key
}

// Extent is what there is of one partition: offsets from First to End, without
// End. The last ones may be undecided yet.
type Extent struct{ First, End int64 }

// Topic is the topic of one table.
type Topic interface {
	// Extents returns what there is of each partition; none: there is no topic.
	Extents(ctx context.Context) ([]Extent, error)
	// Read visits the committed records of a partition from an offset to another
	// one, without the latter, in order. It waits for what is undecided.
	Read(ctx context.Context, part int32, from, to int64, visit func(*Record) error) error
}

// Keys reads keys of records and writes them as conditions.
type Keys interface {
	// Parse reads a key; an error means that no row of the table can have it.
	Parse(t *event.Table, key []byte) ([]event.Value, error)
	// Condition is an SQL condition that rows with these keys meet.
	Condition(t *event.Table, keys [][]event.Value) (string, error)
}

// Config says how a table is verified.
type Config struct {
	Dir   string // where to spill; "" is the system's folder for such files
	Rate  int    // rows and records a second at most; 0 for no bound
	Bytes int    // of keys in memory at most, about; half of it for those that may differ
	Named int    // differences named with their columns; the others are counted
	// Rounds is how often a key that is touched each time is looked at.
	Rounds int
	// ChunkRows and ChunkBytes bound a read of rows.
	ChunkRows, ChunkBytes int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Rate: 50_000, Bytes: 128 << 20, Named: 100, Rounds: 8, ChunkRows: 10_000, ChunkBytes: 4 << 20}
}

// Span is a time from its beginning to its end.
type Span struct{ Began, Ended time.Time }

// Deps are what a verification works with. They stay the caller's.
type Deps struct {
	Info    source.TableInfo
	Rows    source.ChunkReader
	Encoder format.Encoder // the pipeline's own
	Topic   Topic
	Keys    Keys
	// Where is the condition under which rows were read that were there before
	// the pipeline; "" for all.
	Where string
	// Read is when all rows were last read into the topic, zero for never: a topic
	// that has all records since then is whole.
	Read Span
	// Start is a stored position.
	Start event.Position
	// Reach returns the stored position once that has passed high.
	Reach func(ctx context.Context, high event.Coord) (event.Position, error)
	// Progress is told how far a step is: of total, 0 where that is not known.
	Progress func(step string, done, total uint64)
}

// Table is the verification of one table. It serves one goroutine.
type Table struct {
	cfg   Config
	d     Deps
	dir   string
	pace  pace
	table *event.Table // as last read
	high  event.Coord  // behind the last read

	rows, records *spill
	emptied       truncations
	ends          []Extent // up to where the topic was read
	suspects      map[string]*suspect
	room          int // bytes for further suspects
	dropped       int // suspects there was no room for
	result        Result
	confirmed     []*suspect
}

// New prepares the verification of a table. Close removes what it spills.
func New(cfg Config, d Deps) (*Table, error) {
	dir, err := os.MkdirTemp(cfg.Dir, "cdcd-verify-")
	if err != nil {
		return nil, spillError(err)
	}
	t := &Table{cfg: cfg, d: d, dir: dir, pace: pace{rate: cfg.Rate}, emptied: truncations{}, suspects: map[string]*suspect{}}
	t.result = Result{Table: d.Info.Database + "." + d.Info.Name}
	t.rows, t.records = newSpill(dir, "rows"), newSpill(dir, "records")
	return t, nil
}

// Close removes what was spilled.
func (t *Table) Close() {
	t.rows.close()
	t.records.close()
	_ = os.RemoveAll(t.dir)
}

// Run verifies the table.
func (t *Table) Run(ctx context.Context) (Result, error) {
	if len(t.d.Info.Key) == 0 {
		return t.result, noKey(t.result.Table)
	}
	if err := t.whole(ctx); err != nil {
		return t.result, err
	}
	if err := t.readTable(ctx); err != nil {
		return t.result, err
	}
	if len(t.table.Key) == 0 {
		return t.result, noKey(t.result.Table)
	}
	if _, err := t.d.Reach(ctx, t.high); err != nil {
		return t.result, err
	}
	if err := t.readTopic(ctx); err != nil {
		return t.result, err
	}
	if len(t.ends) == 0 && t.rows.count > 0 {
		return t.result, noTopic(t.result.Table)
	}
	if err := t.compare(); err != nil {
		return t.result, err
	}
	return t.rounds(ctx)
}

// Again looks once more at the keys that differed.
func (t *Table) Again(ctx context.Context) (Result, error) {
	t.suspects = map[string]*suspect{}
	for _, s := range t.confirmed {
		s.strikes = 0
		t.suspects[s.key] = s
	}
	t.confirmed = nil
	return t.rounds(ctx)
}

// foldedBytes is about what a key takes while its range is folded.
const foldedBytes = 100

// compare finds the suspects.
func (t *Table) compare() error {
	t.room = t.cfg.Bytes / 2
	c := comparison{rows: t.rows, records: t.records, emptied: t.emptied, most: max(t.cfg.Bytes/2/foldedBytes, 1), found: t.suspect}
	for i := range ranges {
		t.d.Progress("comparing", uint64(i), ranges)
		if err := c.bucket(bucket{of: i}); err != nil {
			return err
		}
	}
	t.result.Rows, t.result.Records = t.rows.count, t.records.count
	t.rows.close()
	t.records.close()
	return nil
}

// suspect takes note of a key that may differ, as long as there is room.
func (t *Table) suspect(s *suspect) {
	if t.room -= suspectBytes + len(s.key); t.room < 0 {
		t.dropped++
		return
	}
	t.suspects[s.key] = s
}
