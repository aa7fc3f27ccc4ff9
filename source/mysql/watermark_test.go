package mysql_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

const grantWatermark = "GRANT CREATE, SELECT, INSERT, UPDATE ON cdcd.* TO cdcd"

// withoutGTIDs starts a MySQL that has none, with a table of one row.
func withoutGTIDs(t *testing.T, config map[string]string) (*testenv.MySQL, mysql.Config) {
	o := testenv.MySQLOptions{Config: map[string]string{"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}}
	for name, value := range config {
		o.Config[name] = value
	}
	m := testenv.ForTest(t).MySQL(o)
	m.MustExec(t, "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, v LONGTEXT); INSERT INTO d.t VALUES (1, 'one')")
	c := configFor(m.Addr(), "d")
	c.Watermark = "cdcd.watermark"
	return m, c
}

// TestWatermarkWaitsForWhatTheLogHas holds a commit between its log and its
// engine: no chunk is read until it shows, and readers that give up meanwhile do
// not fill the server with connections that wait.
func TestWatermarkWaitsForWhatTheLogHas(t *testing.T) {
	m, cfg := withoutGTIDs(t, nil)
	m.MustExec(t, grantWatermark)
	c := newChunks(t, cfg)
	req := source.ChunkRequest{Database: "d", Table: "t", Rows: 10, Bytes: 1 << 20}
	c.read(req)
	stream := newReader(t, cfg)
	release := holdCommits(t, m)
	committed := make(chan error, 1)
	go func() { committed <- m.Exec(context.Background(), "INSERT INTO d.t VALUES (2, 'two')") }()
	c.seen = stream.expect("tc2")[0].at
	for range 4 {
		ctx, cancel := context.WithTimeout(within(t), 1500*time.Millisecond)
		req.Seen = c.seen
		chunk, err := c.reader.Read(ctx, req)
		if code := resilience.CodeOf(err); !errors.Is(err, context.DeadlineExceeded) && code != "lock_wait" {
			t.Errorf("a chunk of %d rows was read (%v) before the second showed", chunk.Count, err)
		}
		cancel()
	}
	const waiting = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'cdcd' AND COMMAND = 'Query'"
	if held := m.MustQuery(t, waiting); len(held) > 1 {
		t.Errorf("%d connections wait", len(held))
	}
	release()
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if ids := firstColumn(t, c.read(req)); !slices.Equal(ids, []int64{1, 2}) {
		t.Errorf("read %v after the commit", ids)
	}
}

// TestWatermarkIsNotCaptured writes to the watermark table beside a stream that
// captures everything: once, as long as the stream has not moved.
func TestWatermarkIsNotCaptured(t *testing.T) {
	m, cfg := withoutGTIDs(t, nil)
	m.MustExec(t, grantWatermark)
	cfg.Tables.Include = nil
	stream := newReader(t, cfg)
	c := newChunks(t, cfg)
	for range 3 {
		c.read(source.ChunkRequest{Database: "d", Table: "t"})
	}
	m.MustExec(t, "INSERT INTO d.t VALUES (2, 'two')")
	for text := ""; text != "tc2"; {
		x, err := stream.next(within(t))
		if text = x.text; err != nil || text != "tc2" && text != "ddl" {
			t.Fatalf("%q: %v", text, err)
		}
	}
	if n, err := m.Scalar(within(t), "SELECT mark FROM cdcd.watermark"); err != nil || n != "1" {
		t.Errorf("%s: %v", n, err)
	}
	tables, err := c.source.Tables(within(t))
	if err != nil || len(tables) != 1 || tables[0].Name != "t" {
		t.Errorf("%+v: %v", tables, err)
	}
	if c.source.Matches(c.source.Filter(), "cdcd", "watermark") {
		t.Error("the stored filter lets the watermark through")
	}
	finds(t, c.source, resilience.Good, "snapshot_watermark")
}

// TestWatermarkFailsByName goes through what a person has to mend.
func TestWatermarkFailsByName(t *testing.T) {
	m, cfg := withoutGTIDs(t, map[string]string{"binlog_ignore_db": "unlogged"})
	req := source.ChunkRequest{Database: "d", Table: "t"}
	fails := func(watermark, code, hint string) {
		t.Helper()
		cfg.Watermark = watermark
		c := newChunks(t, cfg)
		err := c.failsToRead(req, resilience.Fatal, code)
		if !strings.Contains(resilience.HintOf(err), hint) {
			t.Errorf("%s: hint %q, want %s", code, resilience.HintOf(err), hint)
		}
		finds(t, c.source, resilience.Problem, code)
	}
	fails("", "snapshot_needs_gtid", "watermark")
	fails("cdcd.watermark", "snapshot_watermark", "GRANT SELECT, INSERT, UPDATE ON `cdcd`.`watermark` TO 'cdcd'@'%'")
	fails("unlogged.watermark", "snapshot_watermark", "binlog_ignore_db")
	m.MustExec(t, grantWatermark)
	cfg.Watermark = "cdcd.watermark"
	finds(t, newChunks(t, cfg).source, resilience.Warning, "snapshot_watermark")
	newChunks(t, cfg).read(req)
	m.MustExec(t, "CREATE TABLE cdcd.other (id INT PRIMARY KEY)")
	fails("cdcd.other", "snapshot_watermark", "choose a name")
	m.MustExec(t, "SET GLOBAL binlog_order_commits = OFF")
	fails("cdcd.watermark", "snapshot_commit_order", "SET PERSIST binlog_order_commits = ON;")
	m.MustExec(t, "SET GLOBAL binlog_order_commits = ON, GLOBAL super_read_only = ON")
	fails("cdcd.watermark", "snapshot_watermark", "takes no writes")
}

// TestGTIDsThatAreTurnedOff: a reader notices as soon as the stream has moved, and
// needs the watermark from then on.
func TestGTIDsThatAreTurnedOff(t *testing.T) {
	m := testenv.ForTest(t).MySQL(testenv.MySQLOptions{})
	m.MustExec(t, "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)")
	c := newChunks(t, configFor(m.Addr(), "d"))
	req := source.ChunkRequest{Database: "d", Table: "t"}
	c.read(req)
	m.MustExec(t, "SET GLOBAL gtid_mode = ON_PERMISSIVE; INSERT INTO d.t VALUES (1)")
	c.seen.Offset++
	c.failsToRead(req, resilience.Transient, "snapshot_gtid_mode")
	c.failsToRead(req, resilience.Fatal, "snapshot_needs_gtid")
}
