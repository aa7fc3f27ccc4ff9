package mysql_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// TestReplicaLag: a replica tells how far it is behind; one that has stopped, is
// dead, hangs or is none is an error, and the next question finds it again.
func TestReplicaLag(t *testing.T) {
	onPairs(t, func(t *testing.T, p *pair) {
		probe := mysql.New(p.cfg, "test", "health").OpenHealth()
		defer probe.Close()
		addr := p.replica.Addr()
		until := func(what string, met func(time.Duration, error) bool) {
			t.Helper()
			for ctx := within(t); ; {
				lag, err := ask(ctx, probe, addr)
				if met(lag, err) {
					return
				}
				select {
				case <-ctx.Done():
					t.Fatalf("%s: it is %s behind, %v", what, lag, err)
				case <-time.After(50 * time.Millisecond):
				}
			}
		}
		healthy := func(lag time.Duration, err error) bool { return lag == 0 && err == nil }
		fails := func(text string) {
			t.Helper()
			if lag, err := ask(within(t), probe, addr); err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s behind, %v, want an error with %q", lag, err, text)
			}
		}
		until("at rest", healthy)
		p.replica.MustExec(t, p.on("STOP REPLICA SQL_THREAD", "STOP SLAVE SQL_THREAD"))
		fails("does not run (receiver Yes, applier No)")
		p.replica.MustExec(t, p.on("CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 3600; START REPLICA SQL_THREAD", "STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = 3600; START SLAVE"))
		p.primary.MustExec(t, "INSERT INTO d.t VALUES (2, 'two')")
		until("held up", func(lag time.Duration, err error) bool { return lag >= 2*time.Second && err == nil })
		if err := p.replica.Freeze(); err != nil {
			t.Fatal(err)
		}
		until("frozen", func(_ time.Duration, err error) bool { return err != nil && strings.Contains(err.Error(), "deadline") })
		fails("deadline") // while it connects anew
		if err := p.replica.Thaw(); err != nil {
			t.Fatal(err)
		}
		until("thawed", func(lag time.Duration, err error) bool { return lag >= 2*time.Second && err == nil })
		if err := p.replica.Kill(); err != nil {
			t.Fatal(err)
		}
		fails("EOF")
		fails(addr)
		if err := p.replica.Restart(within(t)); err != nil {
			t.Fatal(err)
		}
		p.replica.MustExec(t, p.on("STOP REPLICA SQL_THREAD; CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 0; START REPLICA SQL_THREAD", "STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = 0; START SLAVE"))
		until("back again", healthy)
		p.primary.MustExec(t, "INSERT INTO d.t VALUES (3, 'three')")
		until("caught up", healthy)
		addr = p.primary.Addr()
		fails("is no replica")
	})
}

// ask asks as the pipeline does, with a deadline.
func ask(ctx context.Context, probe source.HealthProbe, addr string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return probe.ReplicaLag(ctx, addr)
}

// TestHealthNumber: one number is an answer, and nothing else.
func TestHealthNumber(t *testing.T) {
	for _, f := range testenv.Flavors {
		t.Run(f.String(), func(t *testing.T) {
			probe := mysql.New(configFor(testenv.SharedMySQL(t, f).Addr(), "d"), "test", "health").OpenHealth()
			defer probe.Close()
			for query, want := range map[string]string{
				"SELECT NULL":                "NULL",
				"SELECT 'busy'":              `"busy"`,
				"SELECT 1, 2":                "1 rows of 2 columns",
				"SELECT 1 FROM DUAL LIMIT 0": "0 rows",
				"SELECT 1 UNION SELECT 2":    "2 rows",
				"SELECT no_such_column":      "no_such_column",
				"DO 1":                       "0 rows",
				"SELECT SLEEP(60)":           "", // MySQL ends the sleep with an answer, MariaDB with an error
			} {
				began := time.Now()
				x, err := probe.Number(within(t), query)
				if (err == nil || !strings.Contains(err.Error(), want)) && want != "" {
					t.Errorf("%s: %g, %v, want an error with %s", query, x, err, want)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("%s: took %s", query, took)
				}
				if x, err := probe.Number(within(t), "SELECT 41.5 + 1"); x != 42.5 || err != nil {
					t.Errorf("after %s: %g, %v", query, x, err)
				}
			}
		})
	}
}
