package verify

import (
	"context"
	"errors"
)

// Kind is how a key differs.
type Kind string

// The kinds of differences.
const (
	Missing   Kind = "missing"   // the table has the row, the topic has not
	Extra     Kind = "extra"     // the topic has it, the table has not
	Different Kind = "different" // both have it, with other values
)

// Result is what was found out about one table.
type Result struct {
	Table   string `json:"table"`
	Topic   string `json:"topic"`
	Rows    uint64 `json:"rows"`    // compared
	Records uint64 `json:"records"` // folded
	// Keyless are records without a key, which belong to no row.
	Keyless uint64 `json:"keyless,omitempty"`
	// Removed are records at the beginning of partitions that the topic lost, of
	// which it cannot be told whether all rows were read into it behind them.
	Removed int64 `json:"removed,omitempty"`
	// How many keys differ, by kind.
	Missing   int `json:"missing"`
	Extra     int `json:"extra"`
	Different int `json:"different"`
	// Busy are keys that were touched whenever they were looked at; each time the
	// row was one that the topic had.
	Busy int `json:"busy,omitempty"`
	// Unchecked are keys that may differ and for which there was no room.
	Unchecked int `json:"unchecked,omitempty"`
	// Differences are the first ones, by key.
	Differences []Difference `json:"differences,omitempty"`
}

// Count is the number of keys that differ.
func (r *Result) Count() int { return r.Missing + r.Extra + r.Different }

// Difference is one key that differs.
type Difference struct {
	Kind    Kind     `json:"kind"`
	Key     string   `json:"key"` // as the topic has it
	Columns []Column `json:"columns,omitempty"`
	// Partition and Offset are those of the record that counts; absent where
	// there is none.
	Partition *int32 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
}

// Column is one column of a difference, its values as JSON; nil where that side
// does not have the column. A record that is no change event has no names.
type Column struct {
	Name  string  `json:"name"`
	Table *string `json:"table,omitempty"`
	Topic *string `json:"topic,omitempty"`
}

func (s *suspect) kind() Kind {
	switch {
	case s.state == absent:
		return Missing
	case s.row == absent:
		return Extra
	}
	return Different
}

// name counts what was confirmed and names the first ones.
func (t *Table) name(ctx context.Context) error {
	r := &t.result
	r.Missing, r.Extra, r.Different, r.Differences = 0, 0, 0, nil
	for _, s := range byKey(t.confirmed) {
		switch s.kind() {
		case Missing:
			r.Missing++
		case Extra:
			r.Extra++
		case Different:
			r.Different++
		}
		if len(r.Differences) >= t.cfg.Named {
			continue
		}
		d, err := t.describe(ctx, s)
		if err != nil {
			return err
		}
		r.Differences = append(r.Differences, d)
	}
	return nil
}

// describe tells the columns by the record itself.
func (t *Table) describe(ctx context.Context, s *suspect) (Difference, error) {
	d := Difference{Kind: s.kind(), Key: s.key}
	if s.state == absent {
		return d, nil
	}
	d.Partition, d.Offset = new(s.part), new(s.offset)
	if d.Kind != Different || s.image == nil {
		return d, nil
	}
	err := t.d.Topic.Read(ctx, s.part, s.offset, s.offset+1, func(r *Record) error {
		d.Columns = columnsOf(s.image, changeOf(r).after)
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return d, err
}

// Repairs are conditions that together are met by every row which is missing in
// the topic or different there, each fit for one request.
func (t *Table) Repairs() ([]string, error) {
	var list []*suspect
	for _, s := range t.confirmed {
		if s.kind() != Extra {
			list = append(list, s)
		}
	}
	batches, err := t.batches(byKey(list))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, keys := range batches {
		where, err := t.d.Keys.Condition(t.table, keys)
		if err != nil {
			return nil, err
		}
		all = append(all, where)
	}
	return all, nil
}
