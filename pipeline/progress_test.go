package pipeline

import (
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// TestSpeedIsOfThisProcess: what an earlier process read in an earlier hour, and
// pauses of long ago, say nothing about the rest.
func TestSpeedIsOfThisProcess(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	s, rows := newSpeed(start, 1_000_000), uint64(1_000_000)
	if got := s.of(start.Add(time.Millisecond), rows+50); got != 0 {
		t.Errorf("after a millisecond: %v rows/s", got)
	}
	at := start
	read := func(seconds, perSecond int) float64 {
		for range seconds {
			at, rows = at.Add(time.Second), rows+uint64(perSecond)
			s.note(at, rows)
		}
		return s.of(at, rows)
	}
	if got := read(10, 200); got != 200 {
		t.Errorf("%v rows/s, want 200", got)
	}
	if got := read(300, 50); got != 50 {
		t.Errorf("slower since: %v rows/s, want 50", got)
	}
	at = at.Add(time.Hour) // paused
	if got := s.of(at, rows); got > 1 {
		t.Errorf("paused: %v rows/s", got)
	}
	if got := read(61, 400); got < 390 || got > 400 {
		t.Errorf("a minute after the pause: %v rows/s, want 400", got)
	}
}

func TestTimeLeft(t *testing.T) {
	for _, c := range []struct {
		p    TableProgress
		rate float64
		want float64 // -1: unknown
	}{
		{TableProgress{Rows: 250, Estimate: 1000}, 50, 15},
		{TableProgress{Rows: 990, Estimate: 990}, 10, 1}, // larger than guessed
		{TableProgress{Rows: 250, Estimate: 1000}, 0, -1},
		{TableProgress{Rows: 0, Estimate: 1000}, 50, -1},
		{TableProgress{Rows: 0, Estimate: 0}, 50, -1},
	} {
		c.p.guess(c.rate)
		got := -1.0
		if c.p.LeftSeconds != nil {
			got = *c.p.LeftSeconds
		}
		if got < c.want-0.01 || got > c.want+0.01 {
			t.Errorf("%+v at %v rows/s: %v s, want %v", c.p, c.rate, got, c.want)
		}
	}
}

func tableOf(rows, estimate uint64) *tableRead {
	return &tableRead{
		info:  source.TableInfo{Database: "shop", Name: "orders", Rows: estimate},
		state: snapshot.State{Rows: rows, Started: time.Now().Add(-time.Hour)},
	}
}

// TestProgressOfResumedTable: a state that an earlier process left, its turn,
// its chunks, its end, and a reading that begins anew.
func TestProgressOfResumedTable(t *testing.T) {
	var p progress
	r := tableOf(500, 1000)
	p.restore(map[snapshot.Name]snapshot.State{
		{Database: "shop", Table: "orders"}: r.state,
		{Database: "shop", Table: "users"}:  {Done: true, Rows: 7},
	})
	if got, more := p.list(time.Now()); !more || len(got) != 2 || got[0].Ended() || !got[1].Done || got[1].Rows != 7 {
		t.Errorf("from the checkpoint: %+v", got)
	}
	delete(p.tables, "shop.users")
	p.planned()
	p.note(r)
	if got, _ := p.list(time.Now()); len(got) != 1 || got[0].Reading || got[0].Rows != 500 || got[0].LeftSeconds != nil {
		t.Errorf("waiting: %+v", got)
	}
	p.begin(r)
	r.state.Rows = 600
	p.note(r)
	got := p.of(r, time.Now().Add(10*time.Second)) // 100 rows in 10 s, 400 to go
	if !got.Reading || got.LeftSeconds == nil || *got.LeftSeconds < 39 || *got.LeftSeconds > 41 {
		t.Errorf("reading: %+v", got)
	}
	r.state.Done = true
	p.note(r)
	if got := p.of(r, time.Now()); got.Reading || !got.Ended() || got.Fraction() != 1 {
		t.Errorf("done: %+v", got)
	}
	p.leave(r)
	again := tableOf(0, 1000)
	p.note(again)
	if got, more := p.list(time.Now()); more || len(got) != 1 || got[0].Done || got[0].Rows != 0 {
		t.Errorf("asked for again: %+v", got)
	}
}
