package mysql_test

import (
	"bytes"
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

// pair is a server and its replica, in whose tables of the database d it reads.
type pair struct {
	primary, replica *testenv.MySQL
	cfg              mysql.Config
}

// onPairs runs a test on a pair of each flavor, with a table of one row.
func onPairs(t *testing.T, test func(t *testing.T, p *pair)) {
	for _, f := range testenv.Flavors {
		t.Run(f.String(), func(t *testing.T) {
			env := testenv.ForTest(t)
			p := &pair{primary: env.MySQL(testenv.MySQLOptions{Flavor: f}), replica: env.MySQL(testenv.MySQLOptions{Flavor: f, ServerID: 2})}
			p.primary.MustExec(t, "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, v LONGTEXT); INSERT INTO d.t VALUES (1, 'one')")
			if err := p.replica.Replicate(within(t), p.primary); err != nil {
				t.Fatal(err)
			}
			p.cfg = configFor(p.primary.Addr(), "d")
			p.cfg.SnapshotFrom = []string{p.replica.Addr()}
			p.cfg.QueryTimeout = 2 * time.Second
			test(t, p)
		})
	}
}

// on is the statement in the words of the flavor.
func (p *pair) on(mysql, mariadb string) string {
	if p.primary.Flavor() == testenv.MariaDB118 {
		return mariadb
	}
	return mysql
}

// TestReadsFromAReplica: the rows are the same bytes as those of the primary,
// whatever the replica's own settings, and High is a place in the primary's log.
func TestReadsFromAReplica(t *testing.T) {
	onPairs(t, func(t *testing.T, p *pair) {
		p.replica.MustExec(t, "SET GLOBAL read_only = ON, GLOBAL time_zone = '+05:30', GLOBAL sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES'")
		p.primary.MustExec(t, `CREATE TABLE d.kinds (id INT PRIMARY KEY, at TIMESTAMP(3), c CHAR(9), e ENUM('a','ä') COLLATE utf8mb4_bin, n DECIMAL(9,3), g INT AS (id + 1));
			INSERT INTO d.kinds (id, at, c, e, n) VALUES (1, '2026-01-02 03:04:05.678', 'c', 'ä', 1.5), (2, NULL, '', 'a', -0.25)`, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
		from := newChunks(t, p.cfg)
		own := p.cfg
		own.SnapshotFrom = nil
		req := source.ChunkRequest{Database: "d", Table: "kinds"}
		got, want := from.read(req), newChunks(t, own).read(req)
		if got.Count != 2 || len(got.Rows) != len(want.Rows) || !bytes.Equal(got.Rows[0].Body, want.Rows[0].Body) {
			t.Errorf("read %+v, from the primary %+v", got.Rows, want.Rows)
		}
		if !reaches(got.High, from.seen) || got.High.File.Name != want.High.File.Name {
			t.Errorf("high mark %+v %d, of a read from the primary %+v %d", got.High.File, got.High.Offset, want.High.File, want.High.Offset)
		}
		finds(t, from.source, resilience.Good, "snapshot_from")
	})
}

// TestReadsThatAReplicaIsBehindOf: what the stream has handed on is waited for,
// and told by name when it does not come.
func TestReadsThatAReplicaIsBehindOf(t *testing.T) {
	onPairs(t, func(t *testing.T, p *pair) {
		c := newChunks(t, p.cfg)
		req := source.ChunkRequest{Database: "d", Table: "t"}
		c.read(req)
		before := c.seen
		stream := newReader(t, p.cfg)
		p.replica.MustExec(t, p.on("STOP REPLICA SQL_THREAD", "STOP SLAVE SQL_THREAD"))
		p.primary.MustExec(t, "INSERT INTO d.t VALUES (2, 'two')")
		after := stream.expect("tc2")[0].at
		c.seen = after
		c.failsToRead(req, resilience.Transient, "snapshot_replica_behind")
		c.seen = before
		if ids := firstColumn(t, c.read(req)); !slices.Equal(ids, []int64{1}) {
			t.Errorf("read %v while the second row does not show", ids)
		}
		p.primary.MustExec(t, "ALTER TABLE d.t ADD n INT; CREATE TABLE d.u (id INT PRIMARY KEY)")
		c.failsToRead(source.ChunkRequest{Database: "d", Table: "u"}, resilience.Transient, "snapshot_replica_behind")
		fresh := req
		fresh.Fresh = true
		c.failsToRead(fresh, resilience.Transient, "snapshot_replica_behind")

		reading := make(chan []int64, 1)
		go func() {
			req.Seen, req.Rows, req.Bytes = after, 100, 1<<20
			chunk, err := c.reader.Read(within(t), req)
			if err != nil {
				t.Error(err)
			}
			reading <- firstColumn(t, chunk)
		}()
		p.replica.MustExec(t, p.on("START REPLICA SQL_THREAD", "START SLAVE SQL_THREAD"))
		if ids := <-reading; !slices.Equal(ids, []int64{1, 2}) {
			t.Errorf("read %v", ids)
		}
	})
}

// TestReplicaThatStopped tells why.
func TestReplicaThatStopped(t *testing.T) {
	onPairs(t, func(t *testing.T, p *pair) {
		c := newChunks(t, p.cfg)
		c.read(source.ChunkRequest{Database: "d", Table: "t"})
		stream := newReader(t, p.cfg)
		p.replica.MustExec(t, "SET sql_log_bin = 0; DELETE FROM d.t")
		p.primary.MustExec(t, "UPDATE d.t SET v = 'eins'")
		c.seen = stream.expect("tu1")[0].at
		err := c.failsToRead(source.ChunkRequest{Database: "d", Table: "t"}, resilience.Transient, "snapshot_replica_behind")
		if !strings.Contains(err.Error(), "it says") {
			t.Errorf("it does not say what the replica says: %v", err)
		}
	})
}

// TestReplicasThatAreRefused goes through replicas that do not stand for their
// primary.
func TestReplicasThatAreRefused(t *testing.T) {
	onPairs(t, func(t *testing.T, p *pair) {
		refused := func(code string) {
			t.Helper()
			c := newChunks(t, p.cfg)
			c.failsToRead(source.ChunkRequest{Database: "d", Table: "t"}, resilience.Fatal, code)
			if code != "snapshot_replica_differs" {
				finds(t, c.source, resilience.Problem, code)
			}
		}
		newChunks(t, p.cfg).read(source.ChunkRequest{Database: "d", Table: "t"})
		p.replica.MustExec(t, "SET sql_log_bin = 0; ALTER TABLE d.t MODIFY v LONGTEXT CHARACTER SET ascii")
		refused("snapshot_replica_differs")
		p.replica.MustExec(t, "SET sql_log_bin = 0; ALTER TABLE d.t MODIFY v LONGTEXT CHARACTER SET utf8mb4, DROP PRIMARY KEY")
		refused("snapshot_replica_differs")
		p.replica.MustExec(t, "SET sql_log_bin = 0; ALTER TABLE d.t ADD PRIMARY KEY (id)")

		p.replica.MustExec(t, p.on("STOP REPLICA SQL_THREAD; CHANGE REPLICATION FILTER REPLICATE_IGNORE_TABLE = (d.t); START REPLICA SQL_THREAD",
			"STOP SLAVE; SET GLOBAL replicate_ignore_table = 'd.t'; START SLAVE"))
		refused("snapshot_replica_filtered")
		p.replica.MustExec(t, p.on("STOP REPLICA SQL_THREAD; CHANGE REPLICATION FILTER REPLICATE_IGNORE_TABLE = (); START REPLICA SQL_THREAD",
			"STOP SLAVE; SET GLOBAL replicate_ignore_table = ''; START SLAVE"))
		p.replica.MustExec(t, "CREATE DATABASE errant")
		refused("snapshot_replica_foreign")
		p.cfg.SnapshotFrom = []string{testenv.SharedMySQL(t, p.primary.Flavor()).Addr()}
		if p.primary.Flavor() == testenv.MySQL97 { // the shared MariaDB has the server_id of the primary
			refused("snapshot_replica_foreign")
		}
		p.cfg.SnapshotFrom = []string{p.primary.Addr()}
		finds(t, newChunks(t, p.cfg).source, resilience.Good, "snapshot_from")
		newChunks(t, p.cfg).read(source.ChunkRequest{Database: "d", Table: "t"})
	})
}

// TestReplicaAheadOfItsPrimary: a commit that waits at the primary for another
// acknowledgement shows at a replica: its rows are read, and its place is before
// the high mark.
func TestReplicaAheadOfItsPrimary(t *testing.T) {
	onPairs(t, func(t *testing.T, p *pair) {
		c := newChunks(t, p.cfg)
		req := source.ChunkRequest{Database: "d", Table: "t", Rows: 10, Bytes: 1 << 20}
		c.read(req)
		stream := newReader(t, p.cfg)
		release := holdCommits(t, p.primary)
		committed := make(chan error, 1)
		go func() { committed <- p.primary.Exec(context.Background(), "INSERT INTO d.t VALUES (2, 'two')") }()
		after := stream.expect("tc2")[0].at
		req.Seen = after
		chunk, err := c.reader.Read(within(t), req)
		if p.primary.Flavor() == testenv.MySQL97 {
			// gtid_executed does not show it yet, so nothing says that it is not the replica's own.
			if resilience.CodeOf(err) != "snapshot_replica_ahead" || resilience.ClassOf(err) != resilience.Transient {
				t.Errorf("%d rows, %v", chunk.Count, err)
			}
		} else if err != nil || chunk.Count != 2 || !reaches(chunk.High, after) {
			t.Errorf("%d rows to %+v, %v", chunk.Count, chunk.High, err)
		}
		release()
		if err := <-committed; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		c.seen = after
		if ids := firstColumn(t, c.read(req)); !slices.Equal(ids, []int64{1, 2}) {
			t.Errorf("read %v after the commit", ids)
		}
	})
}
