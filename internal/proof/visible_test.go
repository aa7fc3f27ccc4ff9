package proof

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// Commits are in the log, and with the stream, before a SELECT sees them. These
// tests make that gap wide. All of them fail when a read of a table does not wait
// for what the stream has handed on.

// holdCommits makes commits stay in the log, unseen, as if a replica owed its
// acknowledgement, until the returned function is called.
func (r *Rig) holdCommits(t *testing.T) (release func()) {
	t.Helper()
	hold := "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'; SET GLOBAL rpl_semi_sync_source_timeout = 600000, GLOBAL rpl_semi_sync_source_enabled = ON"
	end := "SET GLOBAL rpl_semi_sync_source_enabled = OFF"
	if r.DB.Flavor() == testenv.MariaDB118 {
		hold = "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC, GLOBAL rpl_semi_sync_master_timeout = 600000, GLOBAL rpl_semi_sync_master_enabled = ON"
		end = "SET GLOBAL rpl_semi_sync_master_enabled = OFF"
	}
	r.DB.MustExec(t, hold)
	return func() { r.DB.MustExec(t, end) }
}

// TestSnapshotOfACommitThatIsHeld: the stream delivers an update that no SELECT
// shows, for lack of an acknowledgement, and then the table is read: its old row
// must not leave.
func TestSnapshotOfACommitThatIsHeld(t *testing.T) {
	noGTIDs := noGTIDs()
	for name, o := range map[string]RigOptions{
		"mysql": {}, "mariadb": {Flavor: testenv.MariaDB118}, "mysql without GTIDs": noGTIDs,
	} {
		t.Run(name, func(t *testing.T) {
			o.Schema = "CREATE TABLE held (id INT PRIMARY KEY, v VARCHAR(20), ver INT); INSERT INTO held VALUES (1,'old',1), (2,'old',1)"
			o.Pipeline = ", snapshot: {mode: initial}"
			r, ctx := newRig(t, o)
			r.mayMark(t)
			r.mustStart(t)
			r.mustFinish(ctx, t)
			if err := r.AwaitCaughtUp(ctx); err != nil {
				t.Fatal(err)
			}
			before, err := r.Pipeline(ctx)
			if err != nil {
				t.Fatal(err)
			}
			release := r.holdCommits(t)
			committed := make(chan error, 1)
			go func() { committed <- r.DB.Exec(ctx, "UPDATE shop.held SET v='new', ver=2 WHERE id=1") }()
			if err := r.await(ctx, "the update to be delivered", func(p PipelineStatus) bool { return p.Seq > before.Seq }); err != nil {
				t.Fatal(err)
			}
			r.snapshot(ctx, t, `{"verb":"start"}`)
			r.readsNothing(ctx, t)
			release()
			if err := <-committed; err != nil {
				t.Fatal(err)
			}
			r.mustFinish(ctx, t)
			if changes := r.wantHeld(ctx, t); len(changes) != 6 { // two rows, an update, two rows again, the last one
				t.Errorf("%d changes", len(changes))
			}
		})
	}
}

// readsNothing wants the tables to be read, but no row to leave, for so long that
// a read without a wait would be through many times over.
func (r *Rig) readsNothing(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	reading := false
	for ctx.Err() == nil {
		p, err := r.Pipeline(ctx)
		for _, s := range p.Snapshot {
			reading = reading || err == nil && s.Reading
			if err == nil && (s.Done || s.Rows > 0) {
				t.Fatal("rows left that the stream had changed before they showed")
			}
		}
	}
	if !reading {
		t.Fatal("no table was being read")
	}
}

// wantHeld compares what was delivered with the table held.
func (r *Rig) wantHeld(ctx context.Context, t *testing.T) (changes []Change) {
	t.Helper()
	r.DB.MustExec(t, "INSERT INTO shop.held VALUES (1000,'last',1)")
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	recs, err := r.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if changes, err = ParseChanges(recs); err != nil {
		t.Fatal(err)
	}
	conn, err := r.DB.Conn(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	found, err := compareTable(conn, "shop", "held", []column{{"id", "id"}, {"v", "JSON_QUOTE(v)"}, {"ver", "ver"}}, Fold(changes)[r.Topic("held")])
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, CheckVersions(changes, "ver")...)
	for i, v := range found {
		if i == 20 {
			t.Errorf("… and %d more", len(found)-i)
			break
		}
		t.Error(v)
	}
	return changes
}

// late makes commits show a fifth of a second after the stream has them: without
// sync_binlog the log is sent before it waits for others to be synced with.
func late(o RigOptions, orderCommits string) RigOptions {
	variables := map[string]string{"binlog_group_commit_sync_delay": "200000", "binlog_order_commits": orderCommits}
	maps.Copy(variables, o.MySQL)
	variables["sync_binlog"] = "0"
	o.MySQL = variables
	return o
}

const heldRows, heldWriters = 300, 30

// TestSnapshotOfCommitsThatShowLate reads tables of servers whose groups of
// commits show long after they were logged, in that order or in any, while every
// row is changed again and again.
func TestSnapshotOfCommitsThatShowLate(t *testing.T) {
	for name, o := range map[string]RigOptions{
		"in any order": late(RigOptions{}, "OFF"), "in order, without GTIDs": late(noGTIDs(), "ON"),
	} {
		t.Run(name, func(t *testing.T) {
			o.Schema = "CREATE TABLE held (id INT PRIMARY KEY, v VARCHAR(20), ver INT); " +
				fmt.Sprintf("SET cte_max_recursion_depth = 10000; INSERT INTO held WITH RECURSIVE n AS (SELECT 0 i UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i, 'old', 1 FROM n", heldRows-1)
			o.Pipeline = ", snapshot: {mode: initial, chunk_rows: 20}"
			r, ctx := newRig(t, o)
			r.mayMark(t)
			writing, stop := context.WithCancel(ctx)
			defer stop()
			wrote := make(chan error, heldWriters)
			for w := range heldWriters {
				go func() { wrote <- r.changingEach(writing, w) }()
			}
			r.mustStart(t)
			r.mustFinish(ctx, t)
			for range 2 {
				r.snapshot(ctx, t, `{"verb":"start"}`)
				r.mustFinish(ctx, t)
			}
			stop()
			for range heldWriters {
				if err := <-wrote; err != nil {
					t.Fatal(err)
				}
			}
			changes := r.wantHeld(ctx, t)
			read := 0
			for _, c := range changes {
				if c.Op == "r" {
					read++
				}
			}
			t.Logf("%d changes, %d of them rows that were read", len(changes), read)
			if read < heldRows || len(changes)-read < heldRows {
				t.Error("too little was seen to show anything")
			}
		})
	}
}

// changingEach changes one row after the other, of those that are a writer's,
// until ctx ends.
func (r *Rig) changingEach(ctx context.Context, writer int) error {
	conn, err := r.DB.Conn(ctx, "shop")
	if err != nil {
		return err
	}
	defer conn.Close()
	for id := writer; ctx.Err() == nil; id = (id + heldWriters) % heldRows {
		if err := execute(conn, fmt.Sprintf("UPDATE held SET v='new', ver=ver+1 WHERE id=%d", id)); err != nil {
			return err
		}
	}
	return nil
}
