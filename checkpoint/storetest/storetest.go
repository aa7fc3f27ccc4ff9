// Package storetest asks of every checkpoint.Store what the line relies on.
package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// Installation is the one that the stores under test work for.
const Installation = "storetest"

// Run runs the suite. place makes an empty place for checkpoints and returns
// what opens a store on it as a new process would, after the end of the last.
func Run(t *testing.T, place func(t *testing.T) (open func() checkpoint.Store)) {
	for name, test := range map[string]func(*testing.T, func() checkpoint.Store){
		"NoneAtFirst":           noneAtFirst,
		"LoadReturnsWhatIsLast": loadReturnsWhatIsLast,
		"SurvivesReopen":        survivesReopen,
		"PipelinesAreApart":     pipelinesAreApart,
		"OnlyForward":           onlyForward,
		"KeepsItsOwnCopy":       keepsItsOwnCopy,
		"RefusesForeign":        refusesForeign,
		"EndedContext":          endedContext,
		"ConcurrentSaves":       concurrentSaves,
	} {
		t.Run(name, func(t *testing.T) { test(t, place(t)) })
	}
}

// At is a checkpoint of the pipeline "p" behind transaction seq.
func At(generation, term, seq uint64) checkpoint.Checkpoint {
	pos := event.Position{
		Flavor: event.MySQL, Server: "s", Offset: seq * 100, Seq: seq,
		File: event.LogFile{Name: "binlog.000001", StampTime: 1, StampServer: 2}, GTIDs: event.NewGTIDSet(event.MySQL),
	}
	if seq > 0 {
		pos.GTIDs.Add(event.GTID{SID: [16]byte{1}, N: seq})
	}
	return checkpoint.Checkpoint{
		Installation: Installation, Pipeline: "p", Generation: generation, Term: term,
		Position: pos, Sink: []byte("state"), Saved: time.Unix(1767225600, 0).UTC(),
	}
}

func noneAtFirst(t *testing.T, open func() checkpoint.Store) {
	s := open()
	for range 2 {
		if c, err := s.Load(t.Context(), "p"); !errors.Is(err, checkpoint.ErrNone) || !c.IsZero() {
			t.Errorf("got %+v, %v", c, err)
		}
	}
}

func loadReturnsWhatIsLast(t *testing.T, open func() checkpoint.Store) {
	s := open()
	for seq := range uint64(4) {
		save(t, s, At(1, 1, seq))
		want(t, s, At(1, 1, seq))
	}
}

func survivesReopen(t *testing.T, open func() checkpoint.Store) {
	for seq := range uint64(4) {
		s := open()
		if seq > 0 {
			want(t, s, At(1, 1, seq-1))
		}
		save(t, s, At(1, 1, seq))
	}
	want(t, open(), At(1, 1, 3))
}

func pipelinesAreApart(t *testing.T, open func() checkpoint.Store) {
	a, b := At(1, 1, 7), At(3, 3, 3)
	b.Pipeline = "q"
	s := open()
	save(t, s, a)
	save(t, s, b)
	s = open()
	want(t, s, a)
	want(t, s, b)
}

func onlyForward(t *testing.T, open func() checkpoint.Store) {
	stored := At(2, 5, 10)
	save(t, open(), stored)
	for _, again := range []bool{false, true} {
		s := open()
		if again {
			want(t, s, stored)
		}
		refuses(t, s, At(2, 5, 9), "checkpoint_backwards", resilience.Fatal)
		refuses(t, s, At(2, 4, 11), "checkpoint_fenced", resilience.Fenced)
		refuses(t, s, At(1, 5, 11), "checkpoint_fenced", resilience.Fenced)
		want(t, s, stored)
	}
	s := open()
	save(t, s, At(2, 6, 10))
	save(t, s, At(3, 6, 0))
	want(t, s, At(3, 6, 0))
}

func keepsItsOwnCopy(t *testing.T, open func() checkpoint.Store) {
	s, c := open(), At(1, 1, 1)
	save(t, s, c)
	c.Position.GTIDs.Add(event.GTID{SID: [16]byte{9}, N: 9})
	want(t, s, At(1, 1, 1))
	got, err := s.Load(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	got.Position.GTIDs.Add(event.GTID{SID: [16]byte{9}, N: 9})
	want(t, s, At(1, 1, 1))
}

func refusesForeign(t *testing.T, open func() checkpoint.Store) {
	c := At(1, 1, 1)
	c.Installation = "other"
	refuses(t, open(), c, "checkpoint_foreign", resilience.Fatal)
}

func endedContext(t *testing.T, open func() checkpoint.Store) {
	s := open()
	save(t, s, At(1, 1, 1))
	gone := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if err := s.Save(ctx, At(1, 1, 2)); !errors.Is(err, gone) {
		t.Errorf("save: %v", err)
	}
	if _, err := s.Load(ctx, "p"); !errors.Is(err, gone) {
		t.Errorf("load: %v", err)
	}
	want(t, s, At(1, 1, 1))
}

// concurrentSaves races writers: whoever comes late is refused, and what stays
// is the furthest.
func concurrentSaves(t *testing.T, open func() checkpoint.Store) {
	s := open()
	var all sync.WaitGroup
	for w := range uint64(4) {
		all.Go(func() {
			for i := range uint64(5) {
				err := s.Save(t.Context(), At(1, 1, i*4+w))
				if err != nil && resilience.CodeOf(err) != "checkpoint_backwards" {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	want(t, s, At(1, 1, 19))
	want(t, open(), At(1, 1, 19))
}

func save(t *testing.T, s checkpoint.Store, c checkpoint.Checkpoint) {
	t.Helper()
	if err := s.Save(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, s checkpoint.Store, c checkpoint.Checkpoint) {
	t.Helper()
	got, err := s.Load(t.Context(), c.Pipeline)
	if err != nil || encoded(t, got) != encoded(t, c) {
		t.Errorf("loaded %+v, %v, want %+v", got, err, c)
	}
}

func encoded(t *testing.T, c checkpoint.Checkpoint) string {
	t.Helper()
	b, err := checkpoint.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func refuses(t *testing.T, s checkpoint.Store, c checkpoint.Checkpoint, code string, class resilience.Class) {
	t.Helper()
	err := s.Save(t.Context(), c)
	if resilience.CodeOf(err) != code || resilience.ClassOf(err) != class {
		t.Errorf("save of generation %d, term %d, seq %d: %v, want %s", c.Generation, c.Term, c.Position.Seq, err, code)
	}
	if fenced := errors.Is(err, checkpoint.ErrFenced); fenced != (class == resilience.Fenced) {
		t.Errorf("%v wraps ErrFenced: %v", err, fenced)
	}
}
