package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/resilience"
)

// CodeState is the code of the error of a mark that cannot be read.
const CodeState = "snapshot_state_invalid"

// formatVersion is that of all marks; others are refused.
const formatVersion = 1

// storedState is a State as JSON. Unknown fields are errors.
type storedState struct {
	V         int        `json:"v"`
	Run       uint64     `json:"run"`
	Cause     Cause      `json:"cause"`
	Key       []string   `json:"key,omitempty"`
	Where     string     `json:"where,omitempty"`
	Rest      bool       `json:"rest,omitempty"`
	After     *string    `json:"after,omitempty"`
	Until     *string    `json:"until,omitempty"`
	Rows      uint64     `json:"rows"`
	Dropped   uint64     `json:"dropped"`
	Bytes     uint64     `json:"bytes"`
	Chunks    uint64     `json:"chunks"`
	Started   time.Time  `json:"started"`
	Finished  *time.Time `json:"finished,omitempty"`
	Done      bool       `json:"done,omitempty"`
	Cancelled bool       `json:"cancelled,omitempty"`
}

// Encode renders the state as JSON in one line.
func (s *State) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, stateError("store", err)
	}
	x := storedState{
		V: formatVersion, Run: s.Run, Cause: s.Cause, Key: s.Key, Where: s.Where, Rest: s.Rest, After: s.After.text(), Until: s.Until.text(),
		Rows: s.Rows, Dropped: s.Dropped, Bytes: s.Bytes, Chunks: s.Chunks,
		Started: stamp(s.Started), Done: s.Done, Cancelled: s.Cancelled,
	}
	if !s.Finished.IsZero() {
		t := stamp(s.Finished)
		x.Finished = &t
	}
	return encode(&x)
}

// DecodeState reads what Encode wrote.
func DecodeState(value []byte) (State, error) {
	var x storedState
	if err := decodeStrictly(value, &x); err != nil {
		return State{}, stateError("read", err)
	}
	s := State{
		Run: x.Run, Cause: x.Cause, Key: x.Key, Where: x.Where, Rest: x.Rest, After: boundOf(x.After), Until: boundOf(x.Until),
		Rows: x.Rows, Dropped: x.Dropped, Bytes: x.Bytes, Chunks: x.Chunks,
		Started: x.Started.UTC(), Done: x.Done, Cancelled: x.Cancelled,
	}
	if x.Finished != nil {
		s.Finished = x.Finished.UTC()
	}
	err := s.check()
	if x.V != formatVersion {
		err = fmt.Errorf("version %d is not known", x.V)
	}
	if err != nil {
		return State{}, stateError("read", err)
	}
	return s, nil
}

// check tells what a state cannot be.
func (s *State) check() error {
	switch {
	case s.Run == 0:
		return errors.New("run is missing")
	case s.Cause != Initial && s.Cause != Included && s.Cause != Gap && s.Cause != Requested && s.Cause != Altered:
		return fmt.Errorf("cause %q is not known", s.Cause)
	case s.Dropped > s.Rows:
		return errors.New("more rows were dropped than read")
	case s.Started.IsZero():
		return errors.New("started is missing")
	case s.Done && s.Cancelled:
		return errors.New("it is both done and cancelled")
	case s.Ended() == s.Finished.IsZero():
		return errors.New("finished and the end do not go together")
	case s.Rest && (s.Where == "" || s.Cause != Requested) && !(s.Cancelled && s.Cause == Gap):
		return errors.New("it leaves a rest and reads the whole table")
	case s.Chunks == 0 && s.After != nil:
		return errors.New("it has come somewhere without a chunk")
	case !utf8.Valid(s.After) || !utf8.Valid(s.Until) || !utf8.ValidString(s.Where):
		return errors.New("a bound or the condition is not UTF-8 text")
	}
	for _, k := range s.Key {
		if !utf8.ValidString(k) {
			return errors.New("a column name is not UTF-8 text")
		}
	}
	return nil
}

func (b Bound) text() *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

func boundOf(text *string) Bound {
	if text == nil {
		return nil
	}
	return append(Bound{}, *text...)
}

func encode(x any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(x); err != nil {
		return nil, stateError("store", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// decodeStrictly takes one JSON object, with nothing unknown in it and nothing
// behind it.
func decodeStrictly(value []byte, x any) error {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(x); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("text follows the object")
	}
	return nil
}

func stateError(verb string, err error) error {
	return resilience.Errorf(resilience.Fatal, CodeState, verb+" the state of a snapshot", "%w", err).
		WithHint("it was written by a newer release: use that one; or the checkpoint was edited: undo that, or request the snapshot of the table again")
}
