package kafka

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// lastTxn is a model of the last transaction: what its coordinator decided and
// what became of it in each partition.
type lastTxn struct {
	sealed    bool // its position was written
	committed bool // by the coordinator
	told      bool // somebody was told that it is durable
	state     map[place]marker
	down      place // a partition that does not answer
	noted     *note
}

var (
	topicLog  = place{"ck", 0}
	dataParts = []place{{"a", 0}, {"a", 1}, {"b", 0}}
	modelLine = session{7, 3}
	earlier   = ledger{{"a", 0}: {0, 10}, {"a", 1}: {0, 4}}
	latest    = ledger{{"a", 0}: {10, 5}, {"a", 1}: {4, 1}, {"b", 0}: {0, 9}}
)

func positionAt(seq uint64) checkpoint.Checkpoint {
	return checkpoint.Checkpoint{Pipeline: "p", Generation: 1, Position: event.Position{Seq: seq}}
}

// facts is what a survey of the partitions finds.
func (x *lastTxn) facts() *facts {
	f := &facts{us: session{7, 4}, stored: positionAt(10), ledgers: map[session]ledger{modelLine: earlier}, note: x.noted}
	if x.told {
		f.told = positionAt(11)
	}
	switch {
	case !x.sealed: // nothing of it is in the checkpoint topic
	case x.state[topicLog] == commitMarker:
		f.stored, f.ledgers[modelLine] = positionAt(11), latest
	default:
		f.sealed = &lostEnd{at: 50, writer: modelLine, position: positionAt(11), ledger: latest}
		if x.state[topicLog] == noMarker {
			f.log = &hang{place: topicLog, writer: modelLine, first: 50, last: 52}
		}
	}
	for _, at := range dataParts {
		if x.state[at] == noMarker && at != x.down {
			f.hangs = append(f.hangs, hang{place: at, writer: modelLine, first: 100, last: 110, seqs: []int32{latest[at].from}})
		}
	}
	return f
}

// look adds what the partitions show in which nothing hangs.
func (x *lastTxn) look(f *facts) {
	f.looked = true
	for _, at := range f.unseen() {
		switch {
		case at == x.down:
			f.blind = &at
		case x.state[at] == commitMarker:
			f.shown = true
		}
	}
}

func (x *lastTxn) decide() (settlement, error) {
	f := x.facts()
	s, look, err := decide(f)
	if look {
		x.look(f)
		s, look, err = decide(f)
	}
	if look {
		panic("it looks twice")
	}
	return s, err
}

// visible tells that a reader may have seen a part of it, or was told of it.
func (x *lastTxn) visible() bool {
	return x.told || slices.Contains(slices.Collect(maps.Values(x.state)), commitMarker)
}

// whole tells that it has one outcome everywhere. A partition that was down is
// looked at before anything is written to it, so it may still be open.
func (x *lastTxn) whole() bool {
	seen := map[marker]bool{}
	for at, m := range x.state {
		if x.sealed || at != topicLog {
			seen[m] = true
		}
	}
	return len(seen) == 1
}

func (x *lastTxn) String() string {
	return fmt.Sprintf("sealed %v, committed %v, told %v, down %q, states %v", x.sealed, x.committed, x.told, x.down, x.state)
}

// everyLastTxn calls f with all that can have become of a last transaction.
func everyLastTxn(f func(*lastTxn)) {
	parts := append([]place{topicLog}, dataParts...)
	for bits := range 1 << len(parts) {
		for _, kind := range []lastTxn{{}, {sealed: true}, {sealed: true, committed: true}, {sealed: true, committed: true, told: true}} {
			for _, down := range append([]place{{}}, dataParts...) {
				x := kind
				x.down, x.state = down, map[place]marker{}
				for i, at := range parts {
					x.state[at] = noMarker
					if bits>>i&1 == 1 {
						x.state[at] = abortMarker
						if x.committed {
							x.state[at] = commitMarker
						}
					}
				}
				f(&x)
			}
		}
	}
}

func TestWhatHangsEndsAsItWasSeen(t *testing.T) {
	everyLastTxn(func(x *lastTxn) {
		before := x.visible()
		s, err := x.decide()
		if err != nil {
			if x.down == (place{}) || resilience.ClassOf(err) != resilience.Transient {
				t.Errorf("%v: %v", x, err)
			}
			return // it waits for the partition
		}
		for _, h := range s.commit {
			x.state[h.place] = commitMarker
		}
		for _, h := range s.abort {
			x.state[h.place] = abortMarker
		}
		x.down = place{} // it comes back, and is looked at
		s, err = x.decide()
		if err != nil {
			t.Errorf("second look at %v: %v", x, err)
		}
		for _, h := range s.commit {
			x.state[h.place] = commitMarker
		}
		for _, h := range s.abort {
			x.state[h.place] = abortMarker
		}
		if !x.whole() || before && slices.Contains(slices.Collect(maps.Values(x.state)), abortMarker) {
			t.Errorf("was visible: %v, and ends as %v", before, x)
		}
	})
}

// TestSettlingMayStopAnywhere: whatever part of a settlement was carried out
// before somebody died, the next one goes the same way.
func TestSettlingMayStopAnywhere(t *testing.T) {
	everyLastTxn(func(x *lastTxn) {
		first, err := x.decide()
		all := append(slices.Clone(first.commit), first.abort...)
		if err != nil || len(all) == 0 || x.down != (place{}) {
			return
		}
		for bits := range 1 << len(all) {
			y := *x
			y.state = maps.Clone(x.state)
			if len(first.commit) > 0 {
				y.noted = newNote(x.facts(), first)
				y.told = false // whoever was told may be gone too
			}
			for i, h := range all {
				if bits>>i&1 == 1 {
					y.state[h.place] = abortMarker
					if len(first.commit) > 0 {
						y.state[h.place] = commitMarker
					}
				}
			}
			again, err := y.decide()
			if err != nil || len(again.commit) > 0 && len(first.commit) == 0 || len(again.abort) > 0 && len(first.abort) == 0 {
				t.Errorf("%v: first %+v, then %+v, %v", &y, first, again, err)
			}
		}
	})
}

func TestWhatIsNotOursToEnd(t *testing.T) {
	tests := []struct {
		name string
		hang hang
		code string
	}{
		{"of an earlier producer id", hang{place: place{"a", 0}, writer: session{6, 900}, first: 5, seqs: []int32{1}}, "hanging_transaction"},
		{"of two transactions", hang{place: place{"a", 0}, writer: modelLine, first: 5, seqs: []int32{12, 3}}, "hanging_transaction"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := &lastTxn{sealed: true, state: map[place]marker{topicLog: abortMarker}}
			for _, at := range dataParts {
				x.state[at] = abortMarker
			}
			f := x.facts()
			f.hangs = []hang{tt.hang}
			f.looked = true
			_, _, err := decide(f)
			wantError(t, err, resilience.Fatal, tt.code)
		})
	}
}

// TestClaimThatHangs: the end of an older, aborted transaction is not that of
// what hangs in the checkpoint topic, which has none.
func TestClaimThatHangs(t *testing.T) {
	x := &lastTxn{sealed: true, told: true, state: map[place]marker{topicLog: abortMarker}}
	for _, at := range dataParts {
		x.state[at] = abortMarker
	}
	f := x.facts()
	f.log = &hang{place: topicLog, writer: session{7, 4}, first: 60, last: 60}
	if s, look, err := decide(f); look || err != nil || len(s.abort) != 1 {
		t.Errorf("%+v, %v, %v", s, look, err)
	}
}

func TestSpansWrap(t *testing.T) {
	s := span{1<<31 - 2, 4}
	for seq, want := range map[int32]bool{1<<31 - 3: false, 1<<31 - 2: true, 1<<31 - 1: true, 0: true, 1: true, 2: false} {
		if s.holds(seq) != want {
			t.Errorf("%d: %v", seq, !want)
		}
	}
}

func TestLedgerReadsBack(t *testing.T) {
	parts := []*partition{
		{topic: &topic{name: "shop.orders"}, id: 12, span: span{1<<31 - 1, 7}},
		{topic: &topic{name: "a_b-c"}, id: 0, span: span{0, 1}},
	}
	got, err := parseLedger(encodeLedger(parts))
	want := ledger{{"shop.orders", 12}: {1<<31 - 1, 7}, {"a_b-c", 0}: {0, 1}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if s, ok := parseLineKey(lineKey(modelLine)); !ok || s != modelLine {
		t.Errorf("%v, %v", s, ok)
	}
}

func FuzzParseLedger(f *testing.F) {
	f.Add([]byte(`{"a/1":[2,3]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := parseLedger(value)
		if err != nil {
			return
		}
		var parts []*partition
		for at, s := range got {
			if !validTopic(at.topic) {
				return
			}
			parts = append(parts, &partition{topic: &topic{name: at.topic}, id: at.part, span: s})
		}
		if again, err := parseLedger(encodeLedger(parts)); err != nil || !maps.Equal(got, again) {
			t.Errorf("%v reads back as %v, %v", got, again, err)
		}
	})
}
