package checkpoint

import (
	"cmp"
	"fmt"

	"github.com/cdcd-io/cdcd/resilience"
)

// Compare orders two checkpoints of one pipeline: by generation, and within one
// by the number of source transactions done, and of rows of the one that is
// under way. Offsets and GTID sets have no order of their own.
func Compare(a, b Checkpoint) int {
	p, q := &a.Position, &b.Position
	return cmp.Or(cmp.Compare(a.Generation, b.Generation), cmp.Compare(p.Seq, q.Seq), cmp.Compare(p.Partial.Rows, q.Partial.Rows))
}

// After reports whether a is further than b.
func After(a, b Checkpoint) bool { return Compare(a, b) > 0 }

// Verify refuses a checkpoint that is not of this pipeline of this installation
// (checkpoint_foreign).
func Verify(c Checkpoint, installation, pipeline string) error {
	if c.Installation == installation && c.Pipeline == pipeline {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "checkpoint_foreign", "verify checkpoint",
		"it is of pipeline %q of installation %q, wanted is %q of %q", c.Pipeline, c.Installation, pipeline, installation).
		WithHint("two installations or pipelines share the place of their checkpoints: give each its own directory and name, or set the name back")
}

// Succeeds says whether next may take the place of stored. It is the rule of
// every Store: a lower generation or term is refused as Fenced and wraps
// ErrFenced, another pipeline's as checkpoint_foreign, and a step back within a
// generation as checkpoint_backwards. The zero stored takes anything.
func Succeeds(stored, next Checkpoint) error {
	if stored.IsZero() {
		return nil
	}
	if err := Verify(stored, next.Installation, next.Pipeline); err != nil {
		return err
	}
	if next.Generation < stored.Generation || next.Term < stored.Term {
		return resilience.Errorf(resilience.Fenced, "checkpoint_fenced", "save checkpoint",
			"%w: stored is generation %d, term %d; this is generation %d, term %d",
			ErrFenced, stored.Generation, stored.Term, next.Generation, next.Term).
			WithHint("another process runs this pipeline or rewound it; stop one of the two")
	}
	if After(stored, next) {
		return resilience.Errorf(resilience.Fatal, "checkpoint_backwards", "save checkpoint",
			"%s is stored, this is %s", progress(stored), progress(next)).
			WithHint("the destination holds less than what was confirmed before; find out why before you %s", resilience.StartOver)
	}
	return nil
}

// progress tells how far a checkpoint is.
func progress(c Checkpoint) string {
	s := fmt.Sprintf("transaction %d", c.Position.Seq)
	if n := c.Position.Partial.Rows; n > 0 {
		s += fmt.Sprintf(" and %d rows of the next", n)
	}
	return s
}
