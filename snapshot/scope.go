package snapshot

import (
	"errors"
	"fmt"

	"github.com/cdcd-io/cdcd/event"
)

// Scope is what is known of the snapshots of a pipeline as a whole. It is stored
// as the mark ScopeKey.
type Scope struct {
	// Gap is the number of the first run after the stream lost changes: states
	// of earlier runs do not count. 0: it never did.
	Gap uint64
	// Covered tells which tables a finished planning had in view, as text of the
	// source's filter; "" before the first one is finished. A table that the
	// filter covers and that has no state was created while the pipeline ran:
	// all its rows are in the stream.
	Covered string
	// Mode is that of the planning which set Covered.
	Mode Mode
}

// Mode is when tables are read that were not asked for.
type Mode string

// The modes.
const (
	ModeInitial    Mode = "initial"     // every captured table, once
	ModeNever      Mode = "never"       // none
	ModeOnly       Mode = "only"        // as initial; the pipeline ends with the last table
	ModeWhenNeeded Mode = "when_needed" // as initial, and all again after a gap
)

type storedScope struct {
	V       int    `json:"v"`
	Gap     uint64 `json:"gap,omitempty"`
	Covered string `json:"covered,omitempty"`
	Mode    Mode   `json:"mode,omitempty"`
}

// Mark returns the mark that stores the scope.
func (s Scope) Mark() (*event.Mark, error) {
	if err := s.check(); err != nil {
		return nil, stateError("store", err)
	}
	value, err := encode(&storedScope{V: formatVersion, Gap: s.Gap, Covered: s.Covered, Mode: s.Mode})
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
	s := Scope{Gap: x.Gap, Covered: x.Covered, Mode: x.Mode}
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
	if (s.Covered == "") != (s.Mode == "") {
		return errors.New("a mode without a filter, or a filter without a mode")
	}
	switch s.Mode {
	case "", ModeInitial, ModeNever, ModeOnly, ModeWhenNeeded:
		return nil
	}
	return fmt.Errorf("mode %q is not known", s.Mode)
}
