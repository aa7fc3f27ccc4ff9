package snapshot

import (
	"cmp"
	"fmt"
	"strings"
)

// Name names a table.
type Name struct{ Database, Table string }

// Marks are the marks of a position that speak of snapshots, decoded.
type Marks struct {
	Scope  Scope
	States map[Name]State
	Due    []Due
}

// ReadMarks decodes the marks of a position. Marks of other packages are passed
// over.
func ReadMarks(marks map[string][]byte) (Marks, error) {
	all := Marks{States: map[Name]State{}}
	var err error
	if all.Scope, err = DecodeScope(marks[ScopeKey]); err != nil {
		return Marks{}, err
	}
	if all.Due, err = DecodeDue(marks[DueKey]); err != nil {
		return Marks{}, err
	}
	for key, value := range marks {
		if !strings.HasPrefix(key, keyPrefix) {
			continue
		}
		database, table, ok := ParseMarkKey(key)
		if !ok {
			return Marks{}, stateError("read", fmt.Errorf("%q is no key of a table", key))
		}
		s, err := DecodeState(value)
		if err != nil {
			return Marks{}, err
		}
		all.States[Name{database, table}] = s
	}
	return all, nil
}

// NextRun is a number for a new run, higher than all there were.
func (m *Marks) NextRun() uint64 {
	run := m.Scope.Gap
	for _, s := range m.States {
		run = max(run, s.Run)
	}
	return run + 1
}

// state returns the state of a table unless a gap made it void.
func (m *Marks) state(n Name) (State, bool) {
	s, ok := m.States[n]
	return s, ok && s.Run >= m.Scope.Gap
}

// same compares in any case: servers may store names in another one than
// statements do.
func (n Name) same(o Name) bool {
	return strings.EqualFold(n.Database, o.Database) && strings.EqualFold(n.Table, o.Table)
}

func (n Name) compare(o Name) int {
	return cmp.Or(strings.Compare(n.Database, o.Database), strings.Compare(n.Table, o.Table))
}
