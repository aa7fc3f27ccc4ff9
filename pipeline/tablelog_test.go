package pipeline

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/snapshot"
)

// logged is a logger without times and what it wrote.
func logged(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level, ReplaceAttr: drop})), &b
}

func TestTableLog(t *testing.T) {
	log, out := logged(slog.LevelInfo)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var l tableLog
	l.begins(log, TableProgress{Table: "shop.orders", Estimate: 1000}, now)
	if l.due(now.Add(29 * time.Second)) {
		t.Error("told too soon")
	}
	now = now.Add(30 * time.Second)
	if !l.due(now) {
		t.Error("not told after half a minute")
	}
	p := TableProgress{Table: "shop.orders", Rows: 300, Bytes: 4096, Estimate: 1000}
	p.guess(10)
	l.goesOn(p, now)
	l.ends(&snapshot.State{Rows: 1000, Bytes: 9000, Chunks: 4, Dropped: 2}, now.Add(30*time.Second))
	want := `level=INFO msg="snapshot of the table begins" table=shop.orders estimate=1000
level=INFO msg="snapshot of the table" table=shop.orders rows=300 bytes=4096 percent=30 rows_per_second=10 left=1m10s
level=INFO msg="snapshot of the table ends" table=shop.orders rows=1000 bytes=9000 chunks=4 changed_meanwhile=2 took=1m0s
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

// TestGivenUpAgainAndAgain: chunks behind one that was given up do not count,
// and one that left ends the row.
func TestGivenUpAgainAndAgain(t *testing.T) {
	log, out := logged(slog.LevelWarn)
	var l tableLog
	l.begins(log, TableProgress{Table: "shop.orders"}, time.Now())
	times := func(n int, why snapshot.Reason) int {
		for range n {
			l.givenUp(why)
		}
		return strings.Count(out.String(), "\n")
	}
	if n := times(9, snapshot.ByDDL); n != 0 {
		t.Errorf("told %d times: %s", n, out)
	}
	if n := times(20, snapshot.ByEarlier); n != 0 {
		t.Errorf("told %d times: %s", n, out)
	}
	l.left()
	if n := times(99, snapshot.ByBudget); n != 1 || !strings.Contains(out.String(), "why=budget") || !strings.Contains(out.String(), "touched_bytes") {
		t.Errorf("told %d times: %s", n, out)
	}
	if n := times(1, snapshot.ByBudget); n != 2 {
		t.Errorf("told %d times: %s", n, out)
	}
}

// TestEveryReasonHasARemedy but the one that is only told of windows behind.
func TestEveryReasonHasARemedy(t *testing.T) {
	for r := snapshot.NotGivenUp + 1; r <= snapshot.ByLog; r++ {
		if r != snapshot.ByEarlier && remedies[r] == "" {
			t.Errorf("%s has none", r)
		}
	}
}
