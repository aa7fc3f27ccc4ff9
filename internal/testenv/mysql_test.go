package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

func TestMySQLKeepsDataThroughKill(t *testing.T) {
	for _, f := range Flavors {
		t.Run(f.String(), func(t *testing.T) {
			ctx := t.Context()
			start := time.Now()
			m := ForTest(t).MySQL(MySQLOptions{Flavor: f, ServerID: 7})
			t.Logf("up after %v", time.Since(start))
			m.MustExec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, n VARCHAR(10)); INSERT INTO shop.t VALUES (1, 'a'), (2, NULL)")
			if err := m.Kill(); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Query(ctx, "SELECT 1"); err == nil {
				t.Fatal("a killed server answers")
			}
			start = time.Now()
			if err := m.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			t.Logf("back after %v", time.Since(start))
			rows := m.MustQuery(t, "SELECT id, n, @@server_id FROM shop.t ORDER BY id")
			if len(rows) != 2 || *rows[0][1] != "a" || rows[1][1] != nil || *rows[0][2] != "7" {
				t.Fatalf("after a kill the table reads %v", rows)
			}
			for _, want := range [][2]string{{"log_bin", "1"}, {"binlog_row_metadata", "FULL"}, {"time_zone", "+00:00"}, {"character_set_server", "utf8mb4"}} {
				if got, err := m.Scalar(ctx, "SELECT @@global."+want[0]); err != nil || got != want[1] {
					t.Errorf("%s = %q, %v; want %q", want[0], got, err, want[1])
				}
			}
		})
	}
}

func TestMySQLServesVerifiableTLS(t *testing.T) {
	for _, f := range Flavors {
		m := SharedMySQL(t, f)
		m.MustExec(t, "CREATE USER IF NOT EXISTS careful IDENTIFIED BY 'p' REQUIRE X509")
		config, err := m.TLSConfig()
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.Connect(m.Addr(), "careful", "p", "", func(c *client.Conn) error { c.SetTLSConfig(config); return nil })
		if err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		c.Close()
		if c, err := client.Connect(m.Addr(), "careful", "p", ""); err == nil {
			c.Close()
			t.Errorf("%v: an account that requires a certificate got in without", f)
		}
	}
}

func TestFrozenMySQLDoesNotAnswer(t *testing.T) {
	m := ForTest(t).MySQL(MySQLOptions{Flavor: MariaDB118})
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := m.Query(ctx, "SELECT 1"); err == nil {
		t.Fatal("a frozen server answers")
	}
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	m.MustQuery(t, "SELECT 1")
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.Running() {
		t.Fatal("a stopped server runs")
	}
}

func TestSharedServerGivesEachTestADatabase(t *testing.T) {
	a := SharedMySQL(t, MariaDB118).Database(t)
	b := SharedMySQL(t, MariaDB118).Database(t)
	if a == b {
		t.Fatalf("two tests got the same database %s", a)
	}
}
