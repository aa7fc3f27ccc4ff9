package snapshot

import (
	"slices"
	"testing"

	"github.com/cdcd-io/cdcd/resilience"
)

func TestDueIsStored(t *testing.T) {
	a, b := Name{"shop", "a.b"}, Name{"shop", "ü"}
	list := WithDue(WithDue(WithDue(nil, Due{Name: a}), Due{b, true}), Due{a, true})
	if want := []Due{{a, true}, {b, true}}; !slices.Equal(list, want) {
		t.Fatalf("%v, want %v", list, want)
	}
	m, err := DueMark(list)
	if err != nil || m.Key != DueKey {
		t.Fatalf("%+v: %v", m, err)
	}
	marks, err := ReadMarks(map[string][]byte{m.Key: m.Value})
	if err != nil || !slices.Equal(marks.Due, list) {
		t.Errorf("read back %v: %v", marks.Due, err)
	}
	if m, err = DueMark(nil); err != nil || m.Value != nil {
		t.Errorf("an empty list is no mark: %+v, %v", m, err)
	}
	for _, text := range []string{"", "{}", `{"v":2,"tables":[]}`, `{"v":1,"tables":[{"table":"a"}]}`, `{"v":1,"tables":[],"x":1}`} {
		if _, err := DecodeDue([]byte(text)); resilience.CodeOf(err) != CodeState {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestDueTablesBeginAnew: whatever the mode, however the statement spells them;
// one that is gone is emptied if its rows are, one that is excluded is left alone.
func TestDueTablesBeginAnew(t *testing.T) {
	for _, mode := range []Mode{ModeNever, ModeInitial} {
		s := newSite(t, mode, "a,b,c,d", "a", "b")
		s.excluded = "b"
		s.run(s.plan(), map[Mode]int{ModeNever: 0, ModeInitial: 1}[mode])
		m, err := DueMark([]Due{{Name{"D", "A"}, true}, {Name{"d", "b"}, true}, {Name{"d", "c"}, true}, {Name: Name{"d", "d"}}})
		if err != nil {
			t.Fatal(err)
		}
		s.marks[m.Key] = m.Value
		p := s.plan()
		expect(t, p, "a altered")
		if j := p.Jobs[0]; j.Begun || !j.Now || len(p.Emptied) != 1 || p.Emptied[0].Table.Name != "c" {
			t.Errorf("%s: %+v", mode, p)
		}
	}
}

func TestUnread(t *testing.T) {
	s := newSite(t, ModeInitial, "a,b", "a", "b")
	unread := func(table string) bool { return s.planning().Unread(Name{"d", table}) }
	p := s.plan()
	if !unread("a") || !unread("new") {
		t.Error("nothing is read yet")
	}
	s.state("a", p.Jobs[0].State.With(firstChunk, noon))
	if !unread("a") {
		t.Error("a is read in part")
	}
	s.run(p, 2)
	if unread("a") || unread("b") {
		t.Error("all is read")
	}
	s.mode = ModeNever
	if unread("a") || unread("b") {
		t.Error("nobody wants anything read")
	}
}
