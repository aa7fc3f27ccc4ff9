package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// story is every shape of transaction; told is what comes of it.
const story = `
	CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT);
	CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM;
	INSERT INTO t VALUES (1, 'a'), (2, 'b');
	INSERT INTO m VALUES (1);
	BEGIN; UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2; COMMIT;
	BEGIN; INSERT INTO t VALUES (3, ''); SAVEPOINT s; INSERT INTO t VALUES (4, ''); ROLLBACK TO s; INSERT INTO t VALUES (5, ''); COMMIT;
	BEGIN; INSERT INTO t VALUES (6, ''); ROLLBACK;
	CREATE TABLE c AS SELECT id FROM t;
	INSERT INTO OTHER.t VALUES (1, REPEAT('x', 400000));
	INSERT INTO t VALUES (7, REPEAT('x', 400000));
	TRUNCATE TABLE m;
	DROP TABLE c;
	DROP TABLE m;`

var told = []string{"ddl", "ddl", "tc1 tc2", "mc1", "tu1 td2", "tc3 tc5", "cc1 cc3 cc5", "tc7", "ddl 1:m", "ddl 2:c", "ddl 2:m"}

func tellStory(t testing.TB, m *testenv.MySQL, db string) {
	other := m.Database(t)
	m.MustExec(t, "CREATE TABLE "+other+".t (id INT PRIMARY KEY, v LONGTEXT)")
	m.MustExec(t, "USE "+db+";"+strings.ReplaceAll(story, "OTHER", other))
}

// TestStoryAndResumeAtEachEnd goes on from the end of every transaction.
func TestStoryAndResumeAtEachEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		other := m.Database(t)
		m.MustExec(t, "CREATE TABLE "+other+".t (id INT PRIMARY KEY, v LONGTEXT)")
		r := newReader(t, configFor(m.Addr(), db))
		m.MustExec(t, "USE "+db+";"+strings.ReplaceAll(story, "OTHER", other))
		all := r.expect(told...)
		r.close()
		for i, x := range all[:len(all)-1] {
			r.pos = x.at.Clone()
			if rest := texts(r.expect(told[i+1:]...)); len(rest) == 0 {
				t.Fatal("nothing")
			}
			r.close()
		}
	})
}

// TestFileAndOffset reads a server without GTIDs.
func TestFileAndOffset(t *testing.T) {
	m := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Config: map[string]string{"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}})
	m.MustExec(t, "CREATE DATABASE d; CREATE DATABASE o; CREATE TABLE o.t (id INT PRIMARY KEY, v LONGTEXT)")
	r := newReader(t, configFor(m.Addr(), "d"))
	m.MustExec(t, "USE d;"+strings.ReplaceAll(story, "OTHER", "o"), "FLUSH BINARY LOGS", "INSERT INTO d.t VALUES (8, '')")
	want := append(slices.Clone(told), "tc8")
	all := r.expect(want...)
	if !r.pos.GTIDs.IsEmpty() {
		t.Errorf("GTIDs %s", r.pos.GTIDs)
	}
	r.close()
	for i, x := range all[:len(all)-1] {
		r.pos = x.at.Clone()
		r.expect(want[i+1:]...)
		r.close()
	}
	purge(t, m)
	r.pos = all[0].at.Clone()
	r.fails(resilience.Fatal, "binlog_purged")
}

// TestBigAndCompressed reads events of more than 16 MiB, plain and compressed.
func TestBigAndCompressed(t *testing.T) {
	onPrivate(t, map[string]string{"max_allowed_packet": "128M"}, func(t *testing.T, m *testenv.MySQL) {
		on := "SET binlog_transaction_compression = ON"
		if m.Flavor() == testenv.MariaDB118 {
			on = "SET GLOBAL log_bin_compress = ON"
		}
		r := newReader(t, configFor(m.Addr(), "d"))
		m.MustExec(t, "INSERT INTO d.t VALUES (1, REPEAT('0123456789abcdef', 1200000)); INSERT INTO d.t VALUES (2, '');"+on+
			"; BEGIN; INSERT INTO d.t VALUES (3, REPEAT('fedcba9876543210', 1200000)), (4, ''); UPDATE d.t SET v = 'x' WHERE id = 3; COMMIT; INSERT INTO d.t VALUES (5, '')")
		r.expect("tc1", "tc2", "tc3 tc4 tu3", "tc5")
		if s := r.stream; s == nil {
			t.Error("closed")
		}
		c := configFor(m.Addr(), "d")
		c.MaxRowBytes = 1 << 20
		small := newReader(t, c)
		m.MustExec(t, "INSERT INTO d.t VALUES (6, REPEAT('y', 3000000))")
		small.fails(resilience.Fatal, "row_too_large")
	})
}

// TestIncompressible reads a payload that is itself larger than a packet.
func TestIncompressible(t *testing.T) {
	m := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Config: map[string]string{"max_allowed_packet": "128M"}})
	m.MustExec(t, "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB)")
	r := newReader(t, configFor(m.Addr(), "d"))
	m.MustExec(t, "SET binlog_transaction_compression = ON; SET cte_max_recursion_depth = 100000; BEGIN; INSERT INTO d.t (v) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT RANDOM_BYTES(1000) FROM n; COMMIT;"+
		"INSERT INTO d.t VALUES (99999, '')")
	x, err := r.next(within(t))
	if n := strings.Count(x.text, "tc"); err != nil || n != 20000 {
		t.Fatalf("%d rows, %v", n, err)
	}
	r.expect("tc99999")
}

// TestCutConnections cuts the connection after every so many bytes: whatever
// was cut off comes again, and nothing comes twice.
func TestCutConnections(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		p, err := testenv.NewProxy(m.Addr(), testenv.Raw)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		c := configFor(p.Addr(), db)
		c.TLS.Mode = "disabled"
		r := newReader(t, c)
		r.again = true
		start := r.pos.Clone()
		cuts := 0
		tellStory(t, m, db)
		for n := int64(1500); n < 9000; n += 611 {
			r.pos = start.Clone()
			cut := p.CutAfter(testenv.ToClient, n)
			r.expectStory()
			r.close()
			if cut.Reached() {
				cuts++
			}
		}
		if cuts < 10 {
			t.Errorf("only %d cuts", cuts)
		}
	})
}

// expectStory passes over the DDL of other databases.
func (r *reader) expectStory() {
	r.t.Helper()
	ctx := within(r.t)
	var got []string
	for len(got) == 0 || got[len(got)-1] != told[len(told)-1] {
		x, err := r.next(ctx)
		if err != nil {
			r.t.Fatalf("after %q: %v", got, err)
		}
		if x.text != "ddl" {
			got = append(got, x.text)
		}
	}
	want := slices.DeleteFunc(slices.Clone(told), func(s string) bool { return s == "ddl" })
	if !slices.Equal(got, want) {
		r.t.Fatalf("read %q\nwant %q", got, want)
	}
}

// TestFlippedByteOnTheWay: the checksum notices, and a new connection heals it.
func TestFlippedByteOnTheWay(t *testing.T) {
	m := testenv.SharedMySQL(t, testenv.MySQL97)
	db := m.Database(t)
	m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY, v TEXT)")
	p, err := testenv.NewProxy(m.Addr(), testenv.Raw)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := configFor(p.Addr(), db)
	c.TLS.Mode = "disabled"
	r := newReader(t, c)
	m.MustExec(t, "INSERT INTO "+db+".t VALUES (1, REPEAT('x', 50000))")
	r.pos.File.StampTime = 0 // nothing to compare, so one connection only
	flip := p.FlipByte(testenv.ToClient, 20000)
	r.fails(resilience.Transient, "checksum_mismatch")
	if !flip.Reached() {
		t.Error("nothing was flipped")
	}
	r.expect("tc1")
}

// TestPurged: what is needed was purged, and the error names it.
func TestPurged(t *testing.T) {
	// MariaDB keeps what no replica has read unless it is told not to wait for one.
	onPrivate(t, map[string]string{"loose_slave_connections_needed_for_purge": "0"}, func(t *testing.T, m *testenv.MySQL) {
		r := newReader(t, configFor(m.Addr(), "d"))
		m.MustExec(t, "INSERT INTO d.t VALUES (1, '')", "FLUSH BINARY LOGS", "INSERT INTO d.t VALUES (2, '')", "FLUSH BINARY LOGS")
		purge(t, m)
		err := r.fails(resilience.Fatal, "binlog_purged")
		if set := r.pos.GTIDs.String(); m.Flavor() == testenv.MySQL97 && !strings.Contains(err.Error(), set[:36]) {
			t.Errorf("the missing transactions are not named: %v", err)
		}
	})
}

// purge removes all files of the log but the last. MariaDB needs a moment
// until its engines are done with them.
func purge(t testing.TB, m *testenv.MySQL) {
	ctx := within(t)
	for ctx.Err() == nil {
		rows := m.MustQuery(t, "SHOW BINARY LOGS")
		if len(rows) == 1 {
			return
		}
		m.MustExec(t, "PURGE BINARY LOGS TO '"+*rows[len(rows)-1][0]+"'")
	}
	t.Fatal("the log is not purged")
}

// TestReset: the log was reset, and then grew beyond where we were.
func TestReset(t *testing.T) {
	onPrivate(t, nil, func(t *testing.T, m *testenv.MySQL) {
		reset := "RESET BINARY LOGS AND GTIDS"
		if m.Flavor() == testenv.MariaDB118 {
			reset = "RESET MASTER"
		}
		r := newReader(t, configFor(m.Addr(), "d"))
		m.MustExec(t, "INSERT INTO d.t VALUES (1, '')")
		r.expect("tc1")
		r.close()
		// The stamp of a log file has seconds.
		born := *m.MustQuery(t, "SELECT UNIX_TIMESTAMP()")[0][0]
		for *m.MustQuery(t, "SELECT UNIX_TIMESTAMP()")[0][0] == born {
			m.MustQuery(t, "DO SLEEP(0.1)")
		}
		m.MustExec(t, reset)
		r.fails(resilience.Fatal, "source_log_reset")
		for i := range 20 {
			m.MustExec(t, fmt.Sprintf("REPLACE INTO d.t VALUES (%d, REPEAT('x', 1000))", i))
		}
		r.fails(resilience.Fatal, "source_log_reset")
	})
}

func TestForeignServer(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		r := newReader(t, configFor(m.Addr(), db))
		r.pos.Server = "another"
		r.fails(resilience.Fatal, "foreign_server")
	})
}

// TestIdleMovesTheFile: without a transaction of ours the position moves on.
func TestIdleMovesTheFile(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		r := newReader(t, configFor(m.Addr(), db))
		before := r.pos.File.Name
		m.MustExec(t, "FLUSH BINARY LOGS")
		ctx := within(t)
		for r.pos.File.Name == before {
			if _, err := r.transaction(ctx); err != nil {
				t.Fatal(err)
			}
		}
		r.close()
		m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY); INSERT INTO "+db+".t VALUES (1)")
		r.expect("ddl", "tc1")
		if r.pos.File.StampTime == 0 {
			t.Error("the file has no stamp")
		}
	})
}

// TestSilence: a frozen server is noticed while we wait, and waited for.
func TestSilence(t *testing.T) {
	onPrivate(t, nil, func(t *testing.T, m *testenv.MySQL) {
		c := configFor(m.Addr(), "d")
		c.SilenceTimeout = time.Second
		r := newReader(t, c)
		ctx := within(t)
		for range 3 { // heartbeats keep it alive
			if _, err := r.transaction(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Freeze(); err != nil {
			t.Fatal(err)
		}
		r.fails(resilience.Transient, "connection_silent")
		if err := m.Thaw(); err != nil {
			t.Fatal(err)
		}
		m.MustExec(t, "INSERT INTO d.t VALUES (1, '')")
		r.again = true
		r.expect("tc1")
	})
}

func TestServerRestarts(t *testing.T) {
	onPrivate(t, nil, func(t *testing.T, m *testenv.MySQL) {
		r := newReader(t, configFor(m.Addr(), "d"))
		m.MustExec(t, "INSERT INTO d.t VALUES (1, '')")
		r.expect("tc1")
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.next(within(t)); resilience.ClassOf(err) != resilience.Transient {
			t.Fatalf("after a crash: %v", err)
		}
		if _, err := r.next(within(t)); resilience.ClassOf(err) != resilience.Transient || resilience.CodeOf(err) != "cannot_connect" {
			t.Fatalf("while it is away: %v", err)
		}
		if err := m.Restart(within(t)); err != nil {
			t.Fatal(err)
		}
		m.MustExec(t, "INSERT INTO d.t VALUES (2, '')")
		r.again = true
		r.expect("tc2")
	})
}

// TestClash: a second reader with our server_id throws us out.
func TestClash(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		first := newReader(t, configFor(m.Addr(), db))
		ctx := within(t)
		if _, err := first.transaction(ctx); err != nil {
			t.Fatal(err)
		}
		second := newReader(t, configFor(m.Addr(), db))
		if _, err := second.transaction(ctx); err != nil {
			t.Fatal(err)
		}
		first.fails(resilience.Transient, source.CodeDisplaced)
		c := configFor(m.Addr(), db)
		id := *m.MustQuery(t, "SELECT @@server_id")[0][0]
		if err := c.ServerIDs.UnmarshalText([]byte(id)); err != nil {
			t.Fatal(err)
		}
		newReader(t, c).fails(resilience.Fatal, "server_id_clash")
	})
}

func TestTLS(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		other := testenv.SharedMySQL(t, testenv.Flavors[1-slices.Index(testenv.Flavors, m.Flavor())])
		for _, tls := range []mysql.TLS{
			{Mode: "preferred"}, {Mode: "required"}, {Mode: "verify_ca", CA: m.CAPath()}, {Mode: "verify_identity", CA: m.CAPath()}, {Mode: "disabled"},
		} {
			c := configFor(m.Addr(), db)
			c.TLS = tls
			r := newReader(t, c)
			if _, err := r.transaction(within(t)); err != nil {
				t.Errorf("%s: %v", tls.Mode, err)
			}
		}
		for _, tls := range []mysql.TLS{
			{Mode: "verify_ca", CA: other.CAPath()}, {Mode: "verify_identity"}, {Mode: "verify_identity", CA: m.CAPath(), ServerName: "elsewhere"},
		} {
			c := configFor(m.Addr(), db)
			c.TLS = tls
			_, err := mysql.New(c, "test", t.Name()).Start(within(t))
			if resilience.ClassOf(err) != resilience.Fatal || resilience.CodeOf(err) != "tls_verify" {
				t.Errorf("%s %s: %v", tls.Mode, tls.ServerName, err)
			}
		}
	})
}

// TestPasswordChanges: a wrong password stops the first start, but later it is
// waited for.
func TestPasswordChanges(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		user := "u_" + db
		m.MustExec(t, "CREATE USER "+user+" IDENTIFIED BY 'one'; GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO "+user)
		t.Cleanup(func() { m.MustExec(t, "DROP USER "+user) })
		c := configFor(m.Addr(), db)
		c.User, c.Password = user, "two"
		if _, err := mysql.New(c, "test", "x").Start(within(t)); resilience.ClassOf(err) != resilience.Fatal || resilience.CodeOf(err) != "access_denied" {
			t.Fatalf("at start: %v", err)
		}
		c.Password = "one"
		r := newReader(t, c)
		if _, err := r.transaction(within(t)); err != nil {
			t.Fatal(err)
		}
		r.close()
		m.MustExec(t, "ALTER USER "+user+" IDENTIFIED BY 'three'")
		r.fails(resilience.Transient, "access_denied")
	})
}

// TestMissingGrants: without the right to read the log a first start fails.
func TestMissingGrants(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		user := "p_" + db
		m.MustExec(t, "CREATE USER "+user+" IDENTIFIED BY 'x'; GRANT REPLICATION CLIENT ON *.* TO "+user)
		t.Cleanup(func() { m.MustExec(t, "DROP USER "+user) })
		c := configFor(m.Addr(), db)
		c.User, c.Password = user, "x"
		_, err := mysql.New(c, "test", "x").Start(within(t))
		if resilience.ClassOf(err) != resilience.Fatal || resilience.CodeOf(err) != "missing_privilege" {
			t.Fatal(err)
		}
	})
}

// TestStops: each of these must stop the pipeline by name.
func TestStops(t *testing.T) {
	for _, c := range []struct{ sql, code string }{
		{"SET SESSION binlog_format = STATEMENT; UPDATE t SET v = 'x'", "statement_format_dml"},
		{"SET SESSION binlog_format = STATEMENT; CREATE TABLE copy AS SELECT * FROM t", "statement_format_dml"},
		{"XA START 'x'; INSERT INTO t VALUES (2, ''); XA END 'x'; XA PREPARE 'x'; XA ROLLBACK 'x'", "xa_not_supported"},
		{"SET GLOBAL binlog_row_metadata = MINIMAL; INSERT INTO t VALUES (2, ''); SET GLOBAL binlog_row_metadata = FULL", "row_metadata_not_full"},
	} {
		t.Run(c.code, func(t *testing.T) {
			onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
				m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY, v TEXT); INSERT INTO "+db+".t VALUES (1, '')")
				r := newReader(t, configFor(m.Addr(), db))
				m.MustExec(t, "USE "+db+"; "+c.sql)
				if err := r.fails(resilience.Fatal, c.code); !strings.Contains(err.Error(), r.pos.File.Name+":") && !strings.Contains(err.Error(), db+".t") {
					t.Errorf("no place: %v", err)
				}
			})
		})
	}
}

// TestRollbackToSavepointInTheLog: with a temporary table in it, MariaDB writes
// what a savepoint took back, and the rollback after it.
func TestRollbackToSavepointInTheLog(t *testing.T) {
	m := testenv.SharedMySQL(t, testenv.MariaDB118)
	db := m.Database(t)
	m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY)")
	r := newReader(t, configFor(m.Addr(), db))
	m.MustExec(t, "USE "+db+`; INSERT INTO t VALUES (1);
		BEGIN; INSERT INTO t VALUES (2); CREATE TEMPORARY TABLE x (id INT); SAVEPOINT a; INSERT INTO t VALUES (3);
		SAVEPOINT B; INSERT INTO t VALUES (4); ROLLBACK TO b; INSERT INTO t VALUES (5); ROLLBACK TO a; INSERT INTO t VALUES (6);
		SAVEPOINT b; INSERT INTO t VALUES (7); ROLLBACK TO b; INSERT INTO t VALUES (8); COMMIT;
		BEGIN; INSERT INTO t VALUES (9); DROP TEMPORARY TABLE x; SAVEPOINT a; INSERT INTO t VALUES (10); ROLLBACK TO a; ROLLBACK;
		INSERT INTO t VALUES (11)`)
	r.expect("tc1", "tc2 tc6 tc8", "rollback", "tc11")
}

// TestIndexesAlterTheirTable: what is said of a captured table is handed on, with
// the names of all tables that it may change.
func TestIndexesAlterTheirTable(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		r := newReader(t, configFor(m.Addr(), db))
		m.MustExec(t, "USE "+db+"; CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE UNIQUE INDEX i ON t (v); DROP INDEX i ON t; RENAME TABLE t TO U, U TO w; DROP DATABASE "+db+"; CREATE DATABASE "+db)
		var kinds []event.DDLKind
		var named []string
		ctx := within(t)
		for ev := (event.Event{}); len(kinds) < 5; {
			if err := r.open(ctx); err != nil {
				t.Fatal(err)
			}
			if err := r.stream.Next(ctx, &ev); err != nil {
				t.Fatal(err)
			}
			if ev.Kind == event.EvDDL && ev.DDL != nil {
				kinds = append(kinds, ev.DDL.Kind)
				for _, n := range ev.DDL.Names {
					named = append(named, n.Name)
					if n.Database != db {
						t.Errorf("%s lies in %s", n.Name, n.Database)
					}
				}
			}
		}
		if want := []event.DDLKind{event.DDLCreate, event.DDLAlter, event.DDLAlter, event.DDLRename, event.DDLDrop}; !slices.Equal(kinds, want) {
			t.Errorf("%v, want %v", kinds, want)
		}
		if want := []string{"t", "t", "t", "t", "U", "U", "w"}; !slices.Equal(named, want) {
			t.Errorf("named %v, want %v", named, want)
		}
	})
}

// TestCreateOrReplace is a DROP too; with a SELECT it cannot be told in order.
func TestCreateOrReplace(t *testing.T) {
	m := testenv.SharedMySQL(t, testenv.MariaDB118)
	db := m.Database(t)
	r := newReader(t, configFor(m.Addr(), db))
	m.MustExec(t, "USE "+db+"; CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1); CREATE OR REPLACE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (2)")
	r.expect("ddl", "tc1", "ddl 2:t", "tc2")
	m.MustExec(t, "USE "+db+"; CREATE OR REPLACE TABLE t AS SELECT 1 AS id")
	r.fails(resilience.Fatal, "create_or_replace")
}

// TestStatementsThatReachFurther: a statement on another table concerns us when
// what it sets off changes a captured one, of which its text says nothing.
func TestStatementsThatReachFurther(t *testing.T) {
	for _, c := range []struct{ name, sql string }{
		{"trigger", "CREATE TRIGGER OTHER.x AFTER INSERT ON OTHER.t FOR EACH ROW INSERT INTO DB.t VALUES (NEW.id)"},
		{"view", "CREATE VIEW OTHER.v AS SELECT * FROM DB.t; DROP TABLE OTHER.t; RENAME TABLE OTHER.v TO OTHER.t"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := testenv.SharedMySQL(t, testenv.MySQL97)
			db, other := m.Database(t), m.Database(t)
			m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY); CREATE TABLE "+other+".t (id INT PRIMARY KEY); "+
				strings.NewReplacer("OTHER", other, "DB", db).Replace(c.sql))
			r := newReader(t, configFor(m.Addr(), db))
			m.MustExec(t, "SET SESSION binlog_format = STATEMENT; INSERT INTO "+other+".t VALUES (1)")
			if err := r.fails(resilience.Fatal, "statement_format_dml"); !strings.Contains(err.Error(), db) {
				t.Errorf("it does not name the database: %v", err)
			}
		})
	}
}

// TestStatementsThatOnlyRead captured tables, as tools that compare tables do,
// do not concern us.
func TestStatementsThatOnlyRead(t *testing.T) {
	m := testenv.SharedMySQL(t, testenv.MySQL97)
	db, other := m.Database(t), m.Database(t)
	m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY); CREATE TABLE "+other+".t (n INT PRIMARY KEY)")
	r := newReader(t, configFor(m.Addr(), db))
	m.MustExec(t, "INSERT INTO "+db+".t VALUES (1); SET SESSION binlog_format = STATEMENT; REPLACE INTO "+other+".t SELECT COUNT(*) FROM "+db+
		".t; SET SESSION binlog_format = ROW; INSERT INTO "+db+".t VALUES (2)")
	r.expect("tc1", "tc2")
}

// TestStatementsOnOtherTables do not concern us.
func TestStatementsOnOtherTables(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		other := m.Database(t)
		m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY); CREATE TABLE "+other+".t (id INT PRIMARY KEY)")
		r := newReader(t, configFor(m.Addr(), db))
		m.MustExec(t, "SET SESSION binlog_format = STATEMENT; INSERT INTO "+other+".t VALUES (1); SET SESSION binlog_format = ROW; INSERT INTO "+db+".t VALUES (1)")
		r.expect("tc1")
	})
}

// TestCharsetsOfTheServer captures columns of collations that are numbered
// high, or differently on each server.
func TestCharsetsOfTheServer(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		collate := "utf8mb4_ja_0900_as_cs"
		if m.Flavor() == testenv.MariaDB118 {
			collate = "utf8mb4_uca1400_swedish_ai_ci"
		}
		r := newReader(t, configFor(m.Addr(), db))
		m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY, a TEXT COLLATE "+collate+", b CHAR(9) CHARACTER SET latin1 COLLATE latin1_german2_ci)",
			"INSERT INTO "+db+".t VALUES (1, 'a', 'b')")
		r.expect("ddl", "tc1")
	})
}

// TestTaggedGTIDs resumes from a set with tags.
func TestTaggedGTIDs(t *testing.T) {
	m := testenv.SharedMySQL(t, testenv.MySQL97)
	db := m.Database(t)
	m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY)")
	r := newReader(t, configFor(m.Addr(), db))
	m.MustExec(t, "SET gtid_next = 'AUTOMATIC:nightly'; INSERT INTO "+db+".t VALUES (1); SET gtid_next = 'AUTOMATIC'; INSERT INTO "+db+".t VALUES (2)")
	all := r.expect("tc1", "tc2")
	r.close()
	r.pos = all[0].at.Clone()
	if !strings.Contains(r.pos.GTIDs.String(), ":nightly:1") {
		t.Errorf("no tag in %s", r.pos.GTIDs)
	}
	r.expect("tc2")
}

// TestDomains resumes in several domains of MariaDB, and stops where a number
// goes backwards.
func TestDomains(t *testing.T) {
	m := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Flavor: testenv.MariaDB118})
	m.MustExec(t, "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)")
	r := newReader(t, configFor(m.Addr(), "d"))
	m.MustExec(t, "INSERT INTO d.t VALUES (1); SET SESSION gtid_domain_id = 5; INSERT INTO d.t VALUES (2); SET SESSION gtid_domain_id = 0; INSERT INTO d.t VALUES (3); SET SESSION gtid_domain_id = 5; INSERT INTO d.t VALUES (4)")
	want := []string{"tc1", "tc2", "tc3", "tc4"}
	all := r.expect(want...)
	r.close()
	for i, x := range all[:3] {
		r.pos = x.at.Clone()
		r.expect(want[i+1:]...)
		r.close()
	}
	r.pos = all[3].at.Clone()
	m.MustExec(t, "INSERT INTO d.t VALUES (5)")
	r.expect("tc5")
	m.MustExec(t, "SET SESSION gtid_seq_no = 1; INSERT INTO d.t VALUES (6)")
	r.fails(resilience.Fatal, "gtid_out_of_order") // seen in the stream
	r.fails(resilience.Fatal, "gtid_out_of_order") // seen by asking the server
}

func TestContextEndsNext(t *testing.T) {
	m := testenv.SharedMySQL(t, testenv.MySQL97)
	c := configFor(m.Addr(), "nothing")
	c.Heartbeat, c.SilenceTimeout = 20*time.Second, 60*time.Second
	r := newReader(t, c)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(within(t))
	if err := r.open(ctx); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { cancel(cause) })
	var ev event.Event
	began := time.Now()
	for {
		if err := r.stream.Next(ctx, &ev); err != nil {
			if !errors.Is(err, cause) {
				t.Fatal(err)
			}
			break
		}
	}
	if waited := time.Since(began); waited > 5*time.Second {
		t.Errorf("it took %s", waited)
	}
	if err := r.stream.Close(); err != nil {
		t.Error(err)
	}
	if err := r.stream.Close(); err != nil {
		t.Error(err)
	}
}

func TestSurvey(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		r := newReader(t, configFor(m.Addr(), db))
		if _, err := r.transaction(within(t)); err != nil { // a heartbeat tells the place
			t.Fatal(err)
		}
		now, err := r.source.Survey(within(t), r.pos)
		if err != nil || now.BehindBytes != 0 {
			t.Fatalf("%+v, %v", now, err)
		}
		m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY)", "FLUSH BINARY LOGS", "INSERT INTO "+db+".t VALUES (1)")
		later, err := r.source.Survey(within(t), r.pos)
		if err != nil || later.BehindBytes < 300 || later.Expires && later.PurgeIn < time.Hour {
			t.Fatalf("%+v, %v", later, err)
		}
		gone := r.pos
		gone.File.Name = strings.TrimSuffix(gone.File.Name, "1") + "0"
		if v, err := r.source.Survey(within(t), gone); err != nil || !v.Purged || v.PurgeIn != 0 {
			t.Errorf("a purged file: %+v, %v", v, err)
		}
	})
}

// TestDoctorFindsCascades: where they are not in the log, and of captured tables.
func TestDoctorFindsCascades(t *testing.T) {
	const tables = `USE d; CREATE TABLE parent (id INT PRIMARY KEY);
		CREATE TABLE CHILD (id INT PRIMARY KEY, p INT, CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE);
		CREATE TABLE follows (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON UPDATE SET NULL);
		CREATE TABLE keeps (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE RESTRICT);
		CREATE DATABASE o; CREATE TABLE o.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES d.parent (id) ON DELETE CASCADE)`
	for _, native := range []string{"OFF", "ON"} {
		onPrivate(t, map[string]string{"loose_innodb_native_foreign_keys": native}, func(t *testing.T, m *testenv.MySQL) {
			m.MustExec(t, strings.ReplaceAll(tables, "CHILD", "`ch``ild`"))
			var text string
			for _, f := range mysql.New(configFor(m.Addr(), "d"), "test", "doctor").Doctor(within(t)) {
				if f.Code == "foreign_key_cascades" && f.Severity == resilience.Warning && f.Fix != "" {
					text = f.Text
				}
			}
			hidden := native == "ON" || m.Flavor() == testenv.MariaDB118
			if got := strings.Contains(text, "d.ch`ild, d.follows"); got != hidden {
				t.Errorf("native %s: %q", native, text)
			}
			if strings.Contains(text, "keeps") || strings.Contains(text, "o.child") {
				t.Error(text)
			}
			r := newReader(t, configFor(m.Addr(), "d"))
			m.MustExec(t, "USE d; INSERT INTO parent VALUES (1); INSERT INTO `ch``ild` VALUES (2, 1); DELETE FROM parent")
			last := "parentd1"
			if !hidden {
				last = "ch`ildd2 parentd1"
			}
			r.expect("parentc1", "ch`ildc2", last)
		})
	}
}

// TestDoctor looks at a server with everything wrong that can be.
func TestDoctor(t *testing.T) {
	wrong := map[string]string{
		"binlog_row_image": "MINIMAL", "binlog_row_metadata": "MINIMAL", "sync_binlog": "0", "binlog_expire_logs_seconds": "3600",
	}
	onPrivate(t, wrong, func(t *testing.T, m *testenv.MySQL) {
		m.MustExec(t, "CREATE TABLE d.k (a INT, b BIGINT UNSIGNED) ENGINE=MyISAM; CREATE TABLE d.g (id INT PRIMARY KEY, p POINT, s VARCHAR(9) CHARACTER SET sjis);"+
			"CREATE USER poor IDENTIFIED BY 'poor'; GRANT SELECT ON d.* TO poor")
		c := configFor(m.Addr(), "d")
		c.User, c.Password = "poor", "poor"
		found := map[string]resilience.Finding{}
		for _, f := range mysql.New(c, "test", "doctor").Doctor(within(t)) {
			found[f.Code] = f
		}
		for code, want := range map[string]resilience.Severity{
			"server_version": resilience.Good, "log_bin": resilience.Good, "binlog_format": resilience.Good,
			"binlog_row_image": resilience.Problem, "binlog_row_metadata": resilience.Problem, "sync_binlog": resilience.Warning,
			"retention": resilience.Warning, "grant_replication_slave": resilience.Problem, "grant_replication_client": resilience.Problem,
			"grant_select": resilience.Good, "no_primary_key": resilience.Warning, "not_transactional": resilience.Warning,
			"column_types": resilience.Problem, "column_charsets": resilience.Problem, "bigint_unsigned": resilience.Warning, "tables": resilience.Good,
		} {
			if f, ok := found[code]; !ok || f.Severity != want || want != resilience.Good && f.Fix == "" {
				t.Errorf("%s: %+v, want %s", code, f, want)
			}
		}
		if fix := found["grant_replication_slave"].Fix; fix != "GRANT REPLICATION SLAVE ON *.* TO 'poor'@'%';" {
			t.Error(fix)
		}
		m.MustExec(t, found["grant_replication_slave"].Fix, found["grant_replication_client"].Fix, strings.Split(found["binlog_row_metadata"].Fix, ";")[0])
		for _, f := range mysql.New(c, "test", "doctor").Doctor(within(t)) {
			if (strings.HasPrefix(f.Code, "grant") || f.Code == "binlog_row_metadata") && f.Severity != resilience.Good {
				t.Errorf("after the fix: %+v", f)
			}
		}
	})
}
