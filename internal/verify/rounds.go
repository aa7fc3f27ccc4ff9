package verify

import (
	"context"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// strikesToTell is how many rounds in a row must find a difference.
const strikesToTell = 2

// rounds judges the suspects until each is equal, differs, or stays busy, and
// names those that differ.
func (t *Table) rounds(ctx context.Context) (Result, error) {
	busyFor := 0
	for round := 1; len(t.suspects) > 0 && busyFor < t.cfg.Rounds; round++ {
		t.d.Progress("comparing again", uint64(round), 0)
		if err := t.round(ctx); err != nil {
			return t.result, err
		}
		for key, s := range t.suspects {
			t.settle(key, s)
		}
		if round >= strikesToTell {
			busyFor++
		}
	}
	t.result.Busy, t.result.Unchecked = len(t.suspects), t.dropped
	err := t.name(ctx)
	return t.result, err
}

// settle takes note of what a round says of a key.
func (t *Table) settle(key string, s *suspect) {
	switch s.judge() {
	case equal:
		delete(t.suspects, key)
	case busy:
		s.strikes = 0
	case differs:
		if s.strikes++; s.strikes >= strikesToTell {
			delete(t.suspects, key)
			t.confirmed = append(t.confirmed, s)
		}
	}
}

// round looks at each suspect once. The order of its steps is what the package's
// comment argues from.
func (t *Table) round(ctx context.Context) error {
	begin, err := t.d.Topic.Extents(ctx)
	if err != nil {
		return err
	}
	seen, err := t.logEnd(ctx)
	if err != nil {
		return err
	}
	if err := t.readSuspects(ctx, seen); err != nil {
		return err
	}
	if _, err := t.d.Reach(ctx, t.high); err != nil {
		return err
	}
	return t.readOn(ctx, begin)
}

// logEnd returns the stored position once it has passed where the log ends now.
func (t *Table) logEnd(ctx context.Context) (event.Position, error) {
	c, err := t.d.Rows.Read(ctx, source.ChunkRequest{
		Database: t.d.Info.Database, Table: t.d.Info.Name, Seen: t.d.Start, Fresh: true, Rows: 1, Bytes: 1,
	})
	if err != nil {
		return event.Position{}, err
	}
	t.table, t.high = c.Table, c.High
	return t.d.Reach(ctx, c.High)
}

// A batch of keys is read with one condition, of at most that many keys and
// about as many bytes.
const (
	batchKeys  = 500
	batchBytes = 24 << 10
)

// readSuspects reads the rows of the suspects.
func (t *Table) readSuspects(ctx context.Context, seen event.Position) error {
	for _, s := range t.suspects {
		s.begin()
	}
	keep := imageBytes
	for _, s := range t.confirmed {
		keep -= len(s.image)
	}
	batches, err := t.batches(sorted(t.suspects))
	if err != nil {
		return err
	}
	for _, keys := range batches {
		where, err := t.d.Keys.Condition(t.table, keys)
		if err != nil {
			return err
		}
		err = t.readRows(ctx, source.ChunkRequest{Seen: seen, Where: where, ByKeys: true}, func(key, image []byte) error {
			s := t.suspects[string(key)]
			if s == nil {
				return nil // equal to one of the keys by its collation
			}
			if s.strikes > 0 && keep >= len(image) {
				s.image = slices.Clone(image)
				keep -= len(image)
			}
			s.row, err = rowDigest(image)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// imageBytes bounds the rows that are kept to name columns.
const imageBytes = 16 << 20

func sorted(m map[string]*suspect) []*suspect {
	list := make([]*suspect, 0, len(m))
	for _, s := range m {
		list = append(list, s)
	}
	return byKey(list)
}

func byKey(list []*suspect) []*suspect {
	slices.SortFunc(list, func(a, b *suspect) int { return strings.Compare(a.key, b.key) })
	return list
}

// batches divides keys so that each batch makes one condition. A key that no row
// can have is in none.
func (t *Table) batches(list []*suspect) ([][][]event.Value, error) {
	var all [][][]event.Value
	room := 0
	for _, s := range list {
		key, err := t.d.Keys.Parse(t.table, []byte(s.key))
		switch {
		case err == nil:
		case s.fromRow:
			return nil, resilience.Errorf(resilience.Fatal, "verify_key", "verify table", "the key %s cannot be read back: %w", s.key, err).
				WithPlace("table %s", t.result.Table).WithHint("its definition may have changed meanwhile: try again; else report it with the table's definition")
		default:
			continue
		}
		size := 4*len(s.key) + 16
		if n := len(all); n == 0 || room < size || len(all[n-1]) == batchKeys {
			all, room = append(all, nil), batchBytes
		}
		all[len(all)-1] = append(all[len(all)-1], key)
		room -= size
	}
	return all, nil
}

// readOn reads what was added to the topic; what lies behind begin may be newer
// than the rows.
func (t *Table) readOn(ctx context.Context, begin []Extent) error {
	ends, err := t.d.Topic.Extents(ctx)
	if err != nil {
		return err
	}
	for part, x := range ends {
		from, window := x.First, x.First
		if part < len(t.ends) {
			from = t.ends[part].End
		}
		if part < len(begin) {
			window = begin[part].End
		}
		err := t.d.Topic.Read(ctx, int32(part), from, x.End, func(r *Record) error {
			t.applyRecord(r, r.Offset >= window)
			return nil
		})
		if err != nil {
			return err
		}
	}
	t.ends = ends
	return nil
}

func (t *Table) applyRecord(r *Record, inWindow bool) {
	c := changeOf(r)
	if c.truncate {
		for _, s := range t.suspects {
			s.truncate(placeOf(r), inWindow)
		}
		return
	}
	if s := t.suspects[string(r.Key)]; s != nil && r.Key != nil {
		s.apply(c.digest, placeOf(r), inWindow)
	}
}
