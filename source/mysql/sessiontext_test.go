package mysql_test

import (
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
)

// in runs statements in a session of the given character set; 表 stands for
// that table's name in it.
func in(t *testing.T, m *testenv.MySQL, db, charset, name string, statements ...string) {
	t.Helper()
	c, err := m.Conn(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range append([]string{"SET NAMES " + charset}, statements...) {
		if _, err := c.Execute(strings.ReplaceAll(s, "表", name)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

const (
	inGBK  = "\xb1\xed"
	inSJIS = "\x95\x5c" // the second byte is a backslash
)

// TestNamesInTheSessionsCharset: DDL is known by its names whatever the session
// wrote them in, and so are the texts that the server words itself, in UTF-8.
func TestNamesInTheSessionsCharset(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		r := newReader(t, configFor(m.Addr(), db))
		in(t, m, db, "gbk", inGBK, "CREATE TABLE `表` (id INT PRIMARY KEY) COMMENT '\x81\x5c'", "INSERT INTO 表 VALUES (1)", "TRUNCATE TABLE 表",
			"INSERT INTO 表 VALUES (2)", "RENAME TABLE 表 TO 表b", "DROP TABLE `表b`",
			"CREATE TABLE 表 AS SELECT 3 AS id", "DROP TABLE 表")
		r.expect("ddl", "表c1", "ddl 1:表", "表c2", "ddl", "ddl 2:表b", "表c3", "ddl 2:表")
	})
}

// TestSavepointsInTheSessionsCharset: the server words them in UTF-8.
func TestSavepointsInTheSessionsCharset(t *testing.T) {
	m := testenv.SharedMySQL(t, testenv.MariaDB118) // MySQL refuses such a transaction
	db := m.Database(t)
	m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY); CREATE TABLE "+db+".m (id INT PRIMARY KEY) ENGINE=MyISAM")
	r := newReader(t, configFor(m.Addr(), db))
	in(t, m, db, "gbk", inGBK, "BEGIN", "INSERT INTO t VALUES (1)", "SAVEPOINT 表", "INSERT INTO t VALUES (2)", "INSERT INTO m VALUES (1)",
		"ROLLBACK TO 表", "INSERT INTO t VALUES (3)", "COMMIT")
	r.again = true // a transaction with a rollback inside is read twice
	r.expect("mc1", "tc1 tc3")
}

// TestNamesThatNobodyReads: what is named in a character set that is not read
// stops, unless it cannot be a captured table.
func TestNamesThatNobodyReads(t *testing.T) {
	const code = "statement_charset"
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		other := m.Database(t)
		for _, statement := range []string{
			"CREATE TABLE 表 (id INT PRIMARY KEY)", "ALTER TABLE 表 ADD b INT", "TRUNCATE TABLE 表",
			"SET binlog_format = STATEMENT; INSERT INTO 表 VALUES (1, 1)", "RENAME TABLE 表 TO t", "RENAME TABLE t TO 表", "DROP TABLE 表",
		} {
			r := newReader(t, configFor(m.Addr(), db))
			in(t, m, db, "sjis", inSJIS, strings.Split(statement, "; ")...)
			r.fails(resilience.Fatal, code)
		}
		r := newReader(t, configFor(m.Addr(), db))
		in(t, m, other, "sjis", inSJIS, "CREATE TABLE 表 (id INT)", "CREATE TABLE "+db+".u (id INT PRIMARY KEY) COMMENT '表'", "DROP TABLE 表",
			"USE "+db, "INSERT INTO u VALUES (1)", "CREATE VIEW 表 AS SELECT 1", "DROP VIEW 表", "CREATE TABLE 表 AS SELECT 3 AS id", "TRUNCATE u")
		r.expect("ddl", "ddl", "ddl", "uc1", "ddl", "ddl", "表c3", "ddl 1:u")
		r.close()
		in(t, m, db, "sjis", inSJIS, "CREATE DATABASE `表`", "USE `表`", "CREATE TABLE u (id INT)", "DROP TABLE u")
		defer m.MustExec(t, "DROP DATABASE IF EXISTS `表`")
		c := configFor(m.Addr(), db)
		c.Tables.Include = append(c.Tables.Include, "表.*")
		r = newReader(t, c)
		in(t, m, "表", "sjis", inSJIS, "CREATE TABLE u (id INT)", "DROP TABLE u") // the default database is known
		r.expect("ddl", "ddl 2:u")
		in(t, m, db, "sjis", inSJIS, "DROP DATABASE `表`")
		r.fails(resilience.Fatal, code)
	})
}
