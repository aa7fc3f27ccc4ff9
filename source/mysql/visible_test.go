package mysql_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/source"
)

// holdCommits makes commits stay in the log, unseen, as if a replica owed its
// acknowledgement, until the returned function is called.
func holdCommits(t testing.TB, m *testenv.MySQL) (release func()) {
	t.Helper()
	hold := "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'; SET GLOBAL rpl_semi_sync_source_timeout = 600000, GLOBAL rpl_semi_sync_source_enabled = ON"
	end := "SET GLOBAL rpl_semi_sync_source_enabled = OFF"
	if m.Flavor() == testenv.MariaDB118 {
		hold = "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC, GLOBAL rpl_semi_sync_master_timeout = 600000, GLOBAL rpl_semi_sync_master_enabled = ON"
		end = "SET GLOBAL rpl_semi_sync_master_enabled = OFF"
	}
	m.MustExec(t, hold)
	return func() { m.MustExec(t, end) }
}

// TestReadWaitsForWhatTheStreamHasSeen holds a commit between its log and its
// engine: the stream has it, no SELECT shows it.
func TestReadWaitsForWhatTheStreamHasSeen(t *testing.T) {
	onPrivate(t, nil, func(t *testing.T, m *testenv.MySQL) {
		m.MustExec(t, "INSERT INTO d.t VALUES (1, 'one')")
		c := newChunks(t, configFor(m.Addr(), "d"))
		stream := newReader(t, configFor(m.Addr(), "d"))
		before := stream.pos.Clone()
		release := holdCommits(t, m)
		committed := make(chan error, 1)
		go func() { committed <- m.Exec(context.Background(), "INSERT INTO d.t VALUES (2, 'two')") }()
		after := stream.expect("tc2")[0].at
		req := source.ChunkRequest{Database: "d", Table: "t", Seen: after, Rows: 10, Bytes: 1 << 20}

		ctx, cancel := context.WithTimeout(within(t), 2500*time.Millisecond)
		defer cancel()
		if chunk, err := c.reader.Read(ctx, req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a chunk of %d rows was read (%v) before the second showed", chunk.Count, err)
		}
		c.seen = before
		chunk := c.read(req)
		if ids := firstColumn(t, chunk); !slices.Equal(ids, []int64{1}) {
			t.Errorf("read %v while the second row does not show", ids)
		}
		if !reaches(chunk.High, after) {
			t.Errorf("high mark %s:%d is before the end of what may show any time, %s:%d",
				chunk.High.File.Name, chunk.High.Offset, after.File.Name, after.Offset)
		}

		release()
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
		c.seen = after
		if ids := firstColumn(t, c.read(req)); !slices.Equal(ids, []int64{1, 2}) {
			t.Errorf("read %v after the commit", ids)
		}
	})
}

func reaches(c event.Coord, p event.Position) bool {
	return c.File.Name > p.File.Name || c.File.Name == p.File.Name && c.Offset >= p.Offset
}

// TestReadsOfAQuietLog: what is no transaction moves the stream, but not what
// the server says a snapshot shows.
func TestReadsOfAQuietLog(t *testing.T) {
	onPrivate(t, nil, func(t *testing.T, m *testenv.MySQL) {
		stream := newReader(t, configFor(m.Addr(), "d"))
		m.MustExec(t, "INSERT INTO d.t VALUES (1, 'one')", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
		stream.expect("tc1")
		c := newChunks(t, configFor(m.Addr(), "d"))
		end := c.seen
		ctx := within(t)
		for stream.pos.File.Name != end.File.Name || stream.pos.Offset < end.Offset && m.Flavor() == testenv.MariaDB118 {
			if _, err := stream.transaction(ctx); err != nil {
				t.Fatal(err)
			}
		}
		c.seen = stream.pos.Clone()
		if ids := firstColumn(t, c.read(source.ChunkRequest{Database: "d", Table: "t"})); !slices.Equal(ids, []int64{1}) {
			t.Errorf("read %v", ids)
		}
	})
}
