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

// failsToRead wants a read to fail with a class and a code.
func (c *chunks) failsToRead(req source.ChunkRequest, class resilience.Class, code string) error {
	c.t.Helper()
	req.Seen, req.Rows, req.Bytes = c.seen, 100, 1<<20
	_, err := c.reader.Read(within(c.t), req)
	if err == nil || resilience.ClassOf(err) != class || resilience.CodeOf(err) != code {
		c.t.Fatalf("%s %s: %v; want %s %s", resilience.ClassOf(err), resilience.CodeOf(err), err, class, code)
	}
	return err
}

// TestReadsThatFailByName goes through what a person has to mend.
func TestReadsThatFailByName(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+`;
			CREATE TABLE t (id INT PRIMARY KEY);
			CREATE TABLE gone (id INT PRIMARY KEY);
			CREATE TABLE keyless (id INT);
			CREATE TABLE spots (id INT PRIMARY KEY, p POINT);
			CREATE TABLE sjis (id INT PRIMARY KEY, s CHAR(3) CHARACTER SET sjis);
			DROP TABLE gone`)
		c := newChunks(t, configFor(m.Addr(), db))
		c.failsToRead(source.ChunkRequest{Database: db, Table: "gone"}, resilience.Fatal, source.CodeNoTable)
		c.failsToRead(source.ChunkRequest{Database: db, Table: "T"}, resilience.Fatal, source.CodeNoTable)
		c.failsToRead(source.ChunkRequest{Database: "nowhere", Table: "t"}, resilience.Fatal, source.CodeNoTable)
		c.failsToRead(source.ChunkRequest{Database: db, Table: "keyless"}, resilience.Fatal, source.CodeNoKey)
		c.failsToRead(source.ChunkRequest{Database: db, Table: "spots"}, resilience.Fatal, "unsupported_column_type")
		c.failsToRead(source.ChunkRequest{Database: db, Table: "sjis"}, resilience.Fatal, "unsupported_charset")
		for _, where := range []string{"nonsense = 1", "id = ", "id = 1) OR (1 = 1", "id = 1; DROP TABLE t", "id IN (SELECT"} {
			c.failsToRead(source.ChunkRequest{Database: db, Table: "t", Where: where}, resilience.Fatal, "snapshot_condition")
		}
		for _, place := range []string{"", "{}", `{"key":["id"],"at":["i1 OR 1=1"]}`, `{"key":["id"],"at":["t00"]}`, `{"key":["x"],"at":["i1"]}`, `{"key":["id"],"at":[]}`} {
			c.failsToRead(source.ChunkRequest{Database: db, Table: "t", After: []byte(place)}, resilience.Fatal, "snapshot_place")
		}
		c.read(source.ChunkRequest{Database: db, Table: "t"})
	})
}

// TestReadsWithoutTheRight tells the GRANT that is missing.
func TestReadsWithoutTheRight(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+`; CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE TABLE u (id INT PRIMARY KEY);
			CREATE USER blind@'%' IDENTIFIED BY 'blind'; GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO blind@'%'; GRANT INSERT ON `+db+`.t TO blind@'%'`)
		t.Cleanup(func() { m.MustExec(t, "DROP USER blind@'%'") })
		c := configFor(m.Addr(), db)
		r := newChunks(t, c)
		c.User, c.Password = "blind", "blind"
		src := mysql.New(c, "test", t.Name())
		finds(t, src, resilience.Problem, "snapshot_select")
		blind, err := src.OpenReader(within(t))
		if err != nil {
			t.Fatal(err)
		}
		defer blind.Close()
		r.reader = blind
		for _, table := range []string{"t", "u", "nowhere"} {
			err := r.failsToRead(source.ChunkRequest{Database: db, Table: table}, resilience.Fatal, "missing_privilege")
			if want := "GRANT SELECT ON `" + db + "`.`" + table + "` TO 'blind'@'%';"; !strings.Contains(resilience.HintOf(err), want) {
				t.Errorf("hint %q, want %s", resilience.HintOf(err), want)
			}
		}
		m.MustExec(t, "GRANT SELECT ON "+db+".* TO blind@'%'")
		r.read(source.ChunkRequest{Database: db, Table: "t"})
		finds(t, src, resilience.Good, "snapshot_select")
	})
}

// finds wants an examination for snapshots to have a finding.
func finds(t testing.TB, src *mysql.Source, sev resilience.Severity, code string) {
	t.Helper()
	found := src.SnapshotDoctor(within(t))
	if !slices.ContainsFunc(found, func(f resilience.Finding) bool { return f.Severity == sev && f.Code == code }) {
		t.Errorf("no %s %s in %+v", sev, code, found)
	}
}

// TestKeyThatTheServerHides: a primary key that the server made itself is found
// where a setting hides it.
func TestKeyThatTheServerHides(t *testing.T) {
	m := testenv.SharedMySQL(t, testenv.MySQL97)
	db := m.Database(t)
	m.MustExec(t, "SET sql_generate_invisible_primary_key = ON; CREATE TABLE "+db+".t (v INT); INSERT INTO "+db+".t VALUES (5), (6)",
		"SET GLOBAL show_gipk_in_create_table_and_information_schema = OFF")
	t.Cleanup(func() { m.MustExec(t, "SET GLOBAL show_gipk_in_create_table_and_information_schema = ON") })
	c := newChunks(t, configFor(m.Addr(), db))
	tables, err := c.source.Tables(within(t))
	if err != nil || len(tables) != 1 || !slices.Equal(tables[0].Key, []string{"my_row_id"}) {
		t.Errorf("%+v: %v", tables, err)
	}
	if ids := firstColumn(t, c.read(source.ChunkRequest{Database: db, Table: "t"})); !slices.Equal(ids, []int64{1, 2}) {
		t.Errorf("read %v", ids)
	}
}

// TestReadOfAnotherServer: a place in one log says nothing about another server.
func TestReadOfAnotherServer(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY)")
		c := newChunks(t, configFor(m.Addr(), db))
		c.seen.Server = "another"
		c.failsToRead(source.ChunkRequest{Database: db, Table: "t"}, resilience.Fatal, "foreign_server")
	})
}

// TestReadsOverACutConnection cuts the connection after every so many bytes: a
// read fails or is whole.
func TestReadsOverACutConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+"; CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100)); INSERT INTO t VALUES (1, REPEAT('a', 100)), (2, REPEAT('b', 100)), (3, 'c')")
		p, err := testenv.NewProxy(m.Addr(), testenv.Raw)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		cfg := configFor(p.Addr(), db)
		cfg.TLS.Mode = "disabled"
		c := newChunks(t, cfg)
		req := source.ChunkRequest{Database: db, Table: "t", Seen: c.seen, Rows: 10, Bytes: 1 << 20}
		cuts := 0
		for n := int64(200); n < 2500; n += 41 {
			_ = c.reader.Close()
			cut := p.CutAfter(testenv.ToClient, n)
			for tries := 0; ; tries++ {
				chunk, err := c.reader.Read(within(t), req)
				if err == nil {
					if ids := firstColumn(t, chunk); !slices.Equal(ids, []int64{1, 2, 3}) {
						t.Fatalf("read %v after a cut at %d", ids, n)
					}
					break
				}
				if resilience.ClassOf(err) != resilience.Transient || tries == 2 {
					t.Fatalf("cut at %d: %s %v", n, resilience.ClassOf(err), err)
				}
			}
			if cut.Reached() {
				cuts++
			}
		}
		if cuts < 20 {
			t.Errorf("only %d cuts", cuts)
		}
	})
}

// TestReadThatIsGivenUp: nothing goes on at the server for a reader that has gone.
func TestReadThatIsGivenUp(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+"; CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT); INSERT INTO t VALUES (1, ''), (2, '')")
		cfg := configFor(m.Addr(), db)
		cfg.QueryTimeout = 3 * time.Second
		c := newChunks(t, cfg)
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(within(t), 500*time.Millisecond, gone)
		defer cancel()
		began := time.Now()
		_, err := c.reader.Read(ctx, source.ChunkRequest{Database: db, Table: "t", Seen: c.seen, Where: "SLEEP(60) = 0", Rows: 10, Bytes: 1 << 20})
		if !errors.Is(err, gone) || time.Since(began) > 3*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		until := within(t)
		for len(m.MustQuery(t, "SELECT 1 FROM information_schema.PROCESSLIST WHERE DB IS NULL AND USER = 'cdcd' AND INFO LIKE '%SLEEP(60)%' AND INFO NOT LIKE '%PROCESSLIST%'")) > 0 {
			if pauseFor(until) != nil {
				t.Fatal("the statement goes on at the server")
			}
		}
		if ids := firstColumn(t, c.read(source.ChunkRequest{Database: db, Table: "t"})); !slices.Equal(ids, []int64{1, 2}) {
			t.Errorf("read %v afterwards", ids)
		}
	})
}

func pauseFor(ctx context.Context) error {
	select {
	case <-time.After(50 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestReadThatTakesTooLong: the server ends it, and it is tried again.
func TestReadThatTakesTooLong(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		m.MustExec(t, "USE "+db+"; CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2)")
		cfg := configFor(m.Addr(), db)
		cfg.QueryTimeout = time.Second
		c := newChunks(t, cfg)
		c.failsToRead(source.ChunkRequest{Database: db, Table: "t", Where: "id = (SELECT COUNT(*) * 0 + 1 FROM information_schema.COLUMNS a, information_schema.COLUMNS b, information_schema.COLUMNS c)"},
			resilience.Transient, "query_timeout")
	})
}
