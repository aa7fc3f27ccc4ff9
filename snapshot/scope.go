package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/event"
)

// Scope is what is known of the snapshots of a pipeline as a whole. It is stored
// as the mark ScopeKey.
type Scope struct {
	// Gap is the number of the first run after the stream lost changes: states
	// of earlier runs do not count. 0: it never did.
	Gap uint64
	// Loss tells of the last such loss, nil where there was none.
	Loss *Loss
	// Filters are the texts of the source's filters that held since the last
	// finished planning, that one's first; none before one is finished. A table
	// that all of them let through and that has no state was created while the
	// pipeline ran: all its rows are in the stream.
	Filters []string
}

// Loss is what is known of changes that were lost.
type Loss struct {
	At   time.Time `json:"at"`   // when that was found, in UTC, whole milliseconds
	Code string    `json:"code"` // of the error by which it was
	// From and To are the places in the log between which changes are missing, as
	// text for people.
	From string `json:"from"`
	To   string `json:"to"`
}

// maxFilters bounds Filters. Who changes the filter more often without a planning
// in between has all tables without a state read.
const maxFilters = 16

// Lost returns the scope after the stream lost changes: all tables are to be read
// again, by runs from the number run on.
func (s Scope) Lost(run uint64, what Loss) Scope {
	what.At = stamp(what.At)
	return Scope{Gap: run, Loss: &what}
}

// Bridging reports that the stream lost changes and no planning has finished since.
func (s Scope) Bridging() bool { return s.Gap > 0 && len(s.Filters) == 0 }

// narrowed returns the scope under one more filter.
func (s Scope) narrowed(filter string) Scope {
	if len(s.Filters) == 0 || slices.Contains(s.Filters, filter) {
		return s
	}
	if len(s.Filters) == maxFilters {
		return Scope{Gap: s.Gap, Loss: s.Loss}
	}
	s.Filters = append(slices.Clone(s.Filters), filter)
	return s
}

// Equal reports whether both are stored alike.
func (s Scope) Equal(o Scope) bool {
	same := s.Loss == o.Loss || s.Loss != nil && o.Loss != nil && *s.Loss == *o.Loss
	return same && s.Gap == o.Gap && slices.Equal(s.Filters, o.Filters)
}

type storedScope struct {
	V       int      `json:"v"`
	Gap     uint64   `json:"gap,omitempty"`
	Loss    *Loss    `json:"loss,omitempty"`
	Filters []string `json:"filters,omitempty"`
}

// Mark returns the mark that stores the scope. It fails on what cannot be stored.
func (s Scope) Mark() (*event.Mark, error) {
	if err := s.check(); err != nil {
		return nil, stateError("store", err)
	}
	value, err := encode(&storedScope{V: formatVersion, Gap: s.Gap, Loss: s.Loss, Filters: s.Filters})
	if err != nil {
		return nil, err
	}
	return &event.Mark{Key: ScopeKey, Value: value}, nil
}

// DecodeScope reads the value of a mark that Scope.Mark made; nil is the scope of
// a pipeline that never planned.
func DecodeScope(value []byte) (Scope, error) {
	if value == nil {
		return Scope{}, nil
	}
	var x storedScope
	if err := decodeStrictly(value, &x); err != nil {
		return Scope{}, stateError("read", err)
	}
	s := Scope{Gap: x.Gap, Loss: x.Loss, Filters: x.Filters}
	err := s.check()
	if x.V != formatVersion {
		err = fmt.Errorf("version %d is not known", x.V)
	}
	if err != nil {
		return Scope{}, stateError("read", err)
	}
	return s, nil
}

func (s Scope) check() error {
	if len(s.Filters) > maxFilters {
		return fmt.Errorf("%d filters", len(s.Filters))
	}
	if s.Loss != nil && (s.Gap == 0 || s.Loss.At.IsZero()) {
		return errors.New("it tells of a loss that there was not")
	}
	for _, f := range s.Filters {
		if !utf8.ValidString(f) {
			return errors.New("a filter is not UTF-8 text")
		}
	}
	return nil
}
