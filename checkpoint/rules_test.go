package checkpoint

import (
	"errors"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

func at(generation, term, seq uint64) Checkpoint {
	return Checkpoint{Installation: "i", Pipeline: "p", Generation: generation, Term: term, Position: event.Position{Seq: seq}}
}

// in is at with rows of the next transaction done.
func in(generation, term, seq, rows uint64) Checkpoint {
	c := at(generation, term, seq)
	c.Position.Partial = event.Partial{Rows: rows, Tx: "t"}
	return c
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b Checkpoint
		want int
	}{
		{at(1, 1, 5), at(1, 2, 5), 0},
		{at(1, 1, 6), at(1, 2, 5), 1},
		{at(1, 9, 6), at(2, 1, 0), -1},
		{in(1, 1, 5, 1), at(1, 2, 5), 1},
		{in(1, 1, 5, 8), in(1, 2, 5, 9), -1},
		{in(1, 1, 5, 8), at(1, 2, 6), -1},
	} {
		if got := Compare(c.a, c.b); got != c.want || After(c.a, c.b) != (c.want > 0) || Compare(c.b, c.a) != -c.want {
			t.Errorf("%+v to %+v: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestSucceeds(t *testing.T) {
	foreign := at(1, 7, 10)
	foreign.Installation = "other"
	for _, c := range []struct {
		name string
		next Checkpoint
		code string
	}{
		{"further", at(1, 7, 11), ""},
		{"the same", at(1, 7, 10), ""},
		{"next term", at(1, 8, 10), ""},
		{"rewound", at(2, 7, 0), ""},
		{"back", at(1, 8, 9), "checkpoint_backwards"},
		{"old term", at(1, 6, 11), "checkpoint_fenced"},
		{"old term, rewound", at(2, 6, 11), "checkpoint_fenced"},
		{"old generation", at(0, 8, 11), "checkpoint_fenced"},
		{"foreign", foreign, "checkpoint_foreign"},
	} {
		err := Succeeds(at(1, 7, 10), c.next)
		if resilience.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
		fenced := c.code == "checkpoint_fenced"
		if errors.Is(err, ErrFenced) != fenced || (resilience.ClassOf(err) == resilience.Fenced) != fenced {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := Succeeds(in(1, 7, 9, 3), c.next); resilience.CodeOf(err) != c.code {
			t.Errorf("%s after a part: %v, want %q", c.name, err, c.code)
		}
		if err := Succeeds(Checkpoint{}, c.next); err != nil {
			t.Errorf("%s after nothing: %v", c.name, err)
		}
	}
}

func TestAPartIsNotTakenBack(t *testing.T) {
	err := Succeeds(in(1, 7, 10, 500), in(1, 8, 10, 499))
	if resilience.CodeOf(err) != "checkpoint_backwards" || !strings.Contains(err.Error(), "500 rows of the next") {
		t.Errorf("%v", err)
	}
	if err := Succeeds(in(1, 7, 10, 500), in(1, 7, 10, 501)); err != nil {
		t.Errorf("a further part: %v", err)
	}
}
