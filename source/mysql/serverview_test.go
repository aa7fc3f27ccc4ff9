package mysql_test

import (
	"context"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// TestWatermarkTellsWhatShows holds a commit between its log and its engine. What
// a statement of another kind has logged shows at once.
func TestWatermarkTellsWhatShows(t *testing.T) {
	onPrivate(t, nil, func(t *testing.T, m *testenv.MySQL) {
		stream := newReader(t, configFor(m.Addr(), "d"))
		view := mysql.NewWatermark(configFor(m.Addr(), "d"), "i", "p")
		defer view.Close()
		before := stream.pos.Clone()
		m.MustExec(t, "INSERT INTO d.t VALUES (1, 'one')", "TRUNCATE d.t")
		for _, text := range []string{"tc1", "ddl 1:t"} {
			at := stream.expect(text)[0].at
			s, err := view.Ask(within(t))
			if err != nil || !s.Position(&before) || !s.Position(&at) {
				t.Errorf("%s does not show, %v", text, err)
			}
		}
		release := holdCommits(t, m)
		committed := make(chan error, 1)
		go func() { committed <- m.Exec(context.Background(), "INSERT INTO d.t VALUES (2, 'two')") }()
		at := stream.expect("tc2")[0].at
		if s, err := view.Ask(within(t)); err != nil || s.Position(&at) || !s.Position(&before) {
			t.Errorf("a commit shows that is held, %v", err)
		}
		release()
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
		if s, err := view.Ask(within(t)); err != nil || !s.Position(&at) {
			t.Errorf("the commit does not show, %v", err)
		}
		_ = view.Close()
		if _, err := view.Ask(within(t)); err != nil {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestWatermarkWithoutGTIDs tells by the watermark table, or not at all.
func TestWatermarkWithoutGTIDs(t *testing.T) {
	m, cfg := withoutGTIDs(t, nil)
	m.MustExec(t, grantWatermark)
	stream := newReader(t, cfg)
	m.MustExec(t, "INSERT INTO d.t VALUES (2, 'two')")
	at := stream.expect("tc2")[0].at
	view := mysql.NewWatermark(cfg, "i", "p")
	defer view.Close()
	if s, err := view.Ask(within(t)); err != nil || !s.Position(&at) {
		t.Errorf("the commit does not show, %v", err)
	}
	release := holdCommits(t, m)
	committed := make(chan error, 1)
	go func() { committed <- m.Exec(context.Background(), "INSERT INTO d.t VALUES (3, 'three')") }()
	for text := ""; text != "tc3"; { // behind the DDL of the watermark table
		x, err := stream.next(within(t))
		if text, at = x.text, x.at; err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(within(t), 1500*time.Millisecond)
		if s, err := view.Ask(ctx); resilience.ClassOf(err) != resilience.Transient {
			t.Errorf("while a commit is held: %v, %v", s, err)
		}
		cancel()
	}
	release()
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if s, err := view.Ask(within(t)); err != nil || !s.Position(&at) {
		t.Errorf("the commit does not show that was held, %v", err)
	}
	cfg.Watermark = ""
	none := mysql.NewWatermark(cfg, "i", "p")
	defer none.Close()
	if _, err := none.Ask(within(t)); resilience.CodeOf(err) != "snapshot_needs_gtid" || resilience.ClassOf(err) != resilience.Fatal {
		t.Errorf("%v", err)
	}
}
