package proof

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// doubled fills a table by writing it again and again behind itself, times over.
func (r *Rig) doubled(ctx context.Context, table, values string, times int) error {
	statements := []string{fmt.Sprintf("USE shop; CREATE TABLE %s (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(2000), ver INT)", table)}
	statements = append(statements, fmt.Sprintf("INSERT INTO %s (v,ver) VALUES (%s,0)", table, values))
	for range times {
		statements = append(statements, fmt.Sprintf("INSERT INTO %s (v,ver) SELECT v,ver FROM %s", table, table))
	}
	return r.DB.Exec(ctx, strings.Join(statements, "; "))
}

// The locks of the daemon's connections, by kind: of rows, and on the names of
// tables (which MariaDB shows with a plugin only). A SELECT needs the shared
// lock on a name that it reads.
var lockQueries = map[testenv.Flavor][]string{
	testenv.MySQL97: {
		`SELECT CONCAT(l.LOCK_TYPE, ' ', l.LOCK_MODE, ' ', l.OBJECT_NAME) FROM performance_schema.data_locks l
			JOIN performance_schema.threads t USING (THREAD_ID) WHERE t.PROCESSLIST_USER = 'cdcd'`,
		`SELECT l.LOCK_TYPE FROM performance_schema.metadata_locks l
			JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID
			WHERE t.PROCESSLIST_USER = 'cdcd' AND l.OBJECT_SCHEMA = 'shop' AND l.OBJECT_TYPE = 'TABLE'`,
	},
	testenv.MariaDB118: {
		`SELECT CONCAT(t.trx_tables_locked, ' tables, ', t.trx_rows_locked, ' rows') FROM information_schema.innodb_trx t
			JOIN information_schema.processlist p ON p.ID = t.trx_mysql_thread_id
			WHERE p.USER = 'cdcd' AND (t.trx_tables_locked > 0 OR t.trx_rows_locked > 0)`,
	},
}

// locks samples the locks of the daemon's connections until ctx ends, and
// returns how often it saw which.
func (r *Rig) locks(ctx context.Context) (seen map[string]int, samples int, err error) {
	seen = map[string]int{}
	conn, err := r.DB.Conn(ctx, "")
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	for ; ctx.Err() == nil; samples++ {
		for i, q := range lockQueries[r.DB.Flavor()] {
			result, err := conn.Execute(q)
			if err != nil {
				return seen, samples, err
			}
			for row := range result.RowNumber() {
				lock, err := result.GetString(row, 0)
				if err != nil {
					return seen, samples, err
				}
				seen[[]string{"row lock: ", "on a name: "}[i]+lock]++
			}
			result.Close()
		}
	}
	return seen, samples, nil
}

// TestSnapshotLocks: while a busy table is read, the daemon has no lock on rows
// and no lock on the table's name but that of a SELECT under way, and an ALTER
// waits for one chunk at most.
func TestSnapshotLocks(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{
				Flavor: flavor, MySQL: map[string]string{"performance_schema": "ON"},
				Pipeline: ", snapshot: {mode: initial, chunk_rows: 500}",
			})
			if err := r.doubled(ctx, "busy", "REPEAT('x', 400)", 15); err != nil {
				t.Fatal(err)
			}
			reading, read := context.WithCancel(ctx)
			defer read()
			busy := make(chan error, 2)
			go func() { busy <- r.updating(reading, "busy", 1<<15) }()
			var seen map[string]int
			var samples int
			sampled := make(chan error, 1)
			go func() {
				var err error
				seen, samples, err = r.locks(reading)
				sampled <- err
			}()
			r.slowSource(t)
			r.mustStart(t)
			began := time.Now()
			longest, alters := r.altering(ctx, t, "busy")
			took := time.Since(began)
			read()
			if err := <-busy; err != nil {
				t.Error(err)
			}
			if err := <-sampled; err != nil {
				t.Error(err)
			}
			t.Logf("%d samples in %s: %v; %d times ALTER, at most %s", samples, took.Round(time.Millisecond), seen, alters, longest)
			for lock := range seen {
				switch lock {
				case "on a name: SHARED_READ", "on a name: SHARED_HIGH_PRIO", "on a name: SHARED":
				default:
					t.Errorf("the daemon had a lock: %s", lock)
				}
			}
			if flavor == testenv.MySQL97 && seen["on a name: SHARED_READ"] == 0 || samples < 100 || alters < 3 {
				t.Error("too little was seen to show anything")
			}
			if longest > took/3 {
				t.Errorf("an ALTER took %s of the %s that the snapshot did", longest, took)
			}
		})
	}
}

// altering alters the table until it is read, and returns how long the slowest
// statement took.
func (r *Rig) altering(ctx context.Context, t *testing.T, table string) (longest time.Duration, n int) {
	t.Helper()
	err := r.await(ctx, "the table to be read", func(p PipelineStatus) bool {
		for _, s := range p.Snapshot {
			if s.Table == "shop."+table && s.Rows > 0 && n < 30 && !s.Done {
				n++
				began := time.Now()
				r.DB.MustExec(t, fmt.Sprintf("ALTER TABLE shop.%s ADD COLUMN c%d INT DEFAULT 7", table, n))
				longest = max(longest, time.Since(began))
			}
		}
		return finished(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	return longest, n
}

// updating changes single rows of a table until ctx ends.
func (r *Rig) updating(ctx context.Context, table string, rows int) error {
	conn, err := r.DB.Conn(ctx, "shop")
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := 0; ctx.Err() == nil; i = (i + 7919) % rows {
		if err := execute(conn, fmt.Sprintf("UPDATE %s SET ver = ver + 1 WHERE id = %d", table, i)); err != nil {
			return err
		}
	}
	return nil
}

// TestSnapshotMemory: tables of wide and of small rows, several hundred
// megabytes, are read beside a stream under load in the memory that a pipeline
// may have.
func TestSnapshotMemory(t *testing.T) {
	r, ctx := newRig(t, RigOptions{Pipeline: ", snapshot: {mode: initial}"})
	if err := r.doubled(ctx, "wide", "REPEAT('x', 1900)", 17); err != nil {
		t.Fatal(err)
	}
	if err := r.doubled(ctx, "small", "'x'", 19); err != nil {
		t.Fatal(err)
	}
	stop := r.writing(ctx, t)
	r.mustStart(t)
	began := time.Now()
	r.mustFinish(ctx, t)
	t.Logf("read in %s", time.Since(began).Round(time.Millisecond))
	stop()
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	r.checkMemory(t)
}
