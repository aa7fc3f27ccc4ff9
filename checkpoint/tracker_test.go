package checkpoint

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/cdcd-io/cdcd/event"
)

// model is the naive tracker: it keeps every batch and recounts from the start.
type model struct {
	batches []modelBatch
	shown   string
}

type modelBatch struct {
	ends       []event.Coord
	state      []byte
	open, done bool
}

func (m *model) safe(start event.Position) (event.Position, []byte) {
	pos, state := start.Clone(), []byte(nil)
	stop := 0
	for i, b := range m.batches {
		if !b.done {
			break
		}
		if !b.open {
			stop = i + 1
		}
	}
	for _, b := range m.batches[:stop] {
		for _, c := range b.ends {
			pos.Advance(c)
		}
		if b.state != nil {
			state = b.state
		}
	}
	return pos, state
}

func show(p event.Position, state []byte) string {
	return fmt.Sprintf("%s:%d seq %d gtids %s state %q", p.File.Name, p.Offset, p.Seq, p.GTIDs, state)
}

func TestTrackerAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := event.Position{Flavor: event.MySQL, GTIDs: event.NewGTIDSet(event.MySQL)}
		tracker, m := NewTracker(start.Clone(), nil), &model{shown: show(start, nil)}
		var waiting []Ticket
		var seq uint64
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				b := modelBatch{open: rapid.IntRange(0, 3).Draw(t, "open") == 0}
				for range rapid.IntRange(0, 4).Draw(t, "ends") {
					seq++
					b.ends = append(b.ends, coord(seq))
				}
				scratch := append([]event.Coord(nil), b.ends...)
				waiting = append(waiting, tracker.Add(scratch, b.open))
				clear(scratch) // the caller's slice is its own again
				m.batches = append(m.batches, b)
			},
			"done": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip() // rapid draws another action
				}
				i := rapid.IntRange(0, min(len(waiting)-1, 5)).Draw(t, "ticket")
				k := waiting[i]
				waiting = append(waiting[:i], waiting[i+1:]...)
				b := &m.batches[k]
				b.done = true
				if rapid.Bool().Draw(t, "state") {
					b.state = fmt.Appendf(nil, "state %d", k)
				}
				tracker.Done(k, b.state)
			},
			"safe": func(t *rapid.T) {
				pos, state, moved := tracker.Safe()
				got, want := show(pos, state), show(m.safe(start))
				if got != want {
					t.Fatalf("safe is %s, want %s", got, want)
				}
				if moved != (want != m.shown) {
					t.Fatalf("moved is %v from %s to %s", moved, m.shown, want)
				}
				m.shown = want
			},
			"": func(t *rapid.T) {
				if p := tracker.Pending(); p < len(waiting) || p > len(m.batches) {
					t.Fatalf("%d pending, %d are not done", p, len(waiting))
				}
			},
		})
	})
}

var logFile = &event.LogFile{Name: "binlog.000001", StampTime: 1, StampServer: 1}

func coord(seq uint64) event.Coord {
	return event.Coord{File: logFile, Offset: seq * 100, Seq: seq, GTID: event.GTID{SID: [16]byte{1}, N: seq}}
}

func TestTrackerAllocatesNothingPerBatch(t *testing.T) {
	tracker := NewTracker(event.Position{Flavor: event.MySQL}, nil)
	ends := make([]event.Coord, 100)
	var seq uint64
	step := func() {
		var tickets [8]Ticket
		for i := range tickets {
			for j := range ends {
				seq++
				ends[j] = coord(seq)
			}
			tickets[i] = tracker.Add(ends, false)
		}
		for i := range tickets {
			tracker.Done(tickets[len(tickets)-1-i], nil)
		}
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations for 8 batches", n)
	}
	if slots := len(tracker.batches.slots) + len(tracker.ends.slots); slots > 16+1024 {
		t.Errorf("%d slots for 8 batches of 100 ends in flight", slots)
	}
}

func TestTrackerRefusesWhatWasNotAdded(t *testing.T) {
	tracker := NewTracker(event.Position{}, nil)
	k := tracker.Add(nil, true)
	tracker.Done(k, nil)
	for _, bad := range []Ticket{k, k + 1, k - 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("ticket %d was taken", bad)
				}
			}()
			tracker.Done(bad, nil)
		}()
	}
}
