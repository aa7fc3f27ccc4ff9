package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/pipeline"
)

// TestEndToEnd is the promise in small: rows are written while the daemon is
// killed with SIGKILL and started again; the consumer that ships with the
// broker sees each of them once and in order. A SIGTERM ends it with code 0 and
// nothing left behind.
func TestEndToEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	env := testenv.ForTest(t)
	db, broker := env.MySQL(testenv.MySQLOptions{}), env.Kafka(testenv.KafkaOptions{})
	db.MustExec(t, "CREATE DATABASE shop; CREATE TABLE shop.users (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL)")
	d := newTestDaemon(t, db, broker)

	d.start(t)
	d.await(t, ctx, "running", func(p admin.PipelineInfo) bool { return p.State == pipeline.Running })
	const kills, rows = 3, 300
	next := 1
	for range kills {
		d.writeWhileKilled(t, db, next, rows)
		next += rows
		d.start(t)
	}
	insert(t, db, next)
	d.await(t, ctx, "everything delivered", func(p admin.PipelineInfo) bool { return p.RowsDone > 0 && p.LagSeconds == 0 && p.Seq == p.ReadSeq })
	d.stopSoftly(t)
	expectIDs(t, consume(t, ctx, broker, next), next)

	// Started anew it goes on where it was: no more, no less.
	d.start(t)
	insert(t, db, next+1)
	expectIDs(t, consume(t, ctx, broker, next+1), next+1)
	d.stopSoftly(t)
	expectIDs(t, consume(t, ctx, broker, 0), next+1)
}

// testDaemon is the daemon as a process of its own.
type testDaemon struct {
	dir    string
	client *admin.Client
	cmd    *exec.Cmd
	ended  chan error
	log    bytes.Buffer
}

func newTestDaemon(t *testing.T, db *testenv.MySQL, broker *testenv.Kafka) *testDaemon {
	d := &testDaemon{dir: t.TempDir()}
	config := fmt.Sprintf(`
sources:
  shop: {hosts: [%q], user: %s, password: "${env:PASSWORD}", tables: {include: ["shop.*"]}}
sinks:
  events: {kafka: {brokers: [%q]}}
pipelines:
  shop-events: {source: shop, sink: events}
`, db.Addr(), testenv.ReaderUser, broker.Bootstrap())
	if err := os.WriteFile(filepath.Join(d.dir, "cdcd.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// The path of a socket is short; that of a test's folder need not be.
	run, err := os.MkdirTemp("", "cdcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.kill()
		os.RemoveAll(run)
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", d.log.String())
		}
	})
	d.client = admin.NewClient(filepath.Join(run, "s"))
	d.cmd = exec.Command("cdcd", "run", "--socket", filepath.Join(run, "s"), "cdcd.yaml")
	return d
}

// start runs the command line anew.
func (d *testDaemon) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(d.cmd.Args[0], d.cmd.Args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, &d.log, &d.log
	cmd.Env = append(os.Environ(), "PASSWORD="+testenv.ReaderPassword)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	d.cmd, d.ended = cmd, ended
}

// kill is kill -9. Killing what has ended is fine.
func (d *testDaemon) kill() {
	if d.cmd.Process != nil {
		_ = d.cmd.Process.Kill()
		d.ended <- <-d.ended
	}
}

// stopSoftly wants exit code 0 well within shutdown_grace.
func (d *testDaemon) stopSoftly(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-d.ended:
		d.ended <- err
		if err != nil {
			t.Fatalf("soft stop: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("soft stop: it did not end")
	}
}

// await asks for the status until the pipeline is as wanted.
func (d *testDaemon) await(t *testing.T, ctx context.Context, what string, ok func(admin.PipelineInfo) bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := d.client.Pipeline(ctx, "shop-events")
		if err == nil && ok(info) {
			return
		}
		select {
		case <-tick.C:
		case err := <-d.ended:
			d.ended <- err
			t.Fatalf("wait for %s: the daemon ended: %v", what, err)
		case <-ctx.Done():
			t.Fatalf("wait for %s: %+v, %v", what, info, err)
		}
	}
}

// writeWhileKilled inserts n rows, one transaction each, and kills the daemon
// in the middle of them.
func (d *testDaemon) writeWhileKilled(t *testing.T, db *testenv.MySQL, from, n int) {
	t.Helper()
	half := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-half
		d.kill()
	})
	conn, err := db.Conn(context.Background(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range n {
		if i == n/2 {
			close(half)
		}
		if _, err := conn.Execute(insertSQL(from + i)); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func insertSQL(id int) string {
	return fmt.Sprintf("INSERT INTO shop.users VALUES (%d, 'name %d')", id, id)
}

func insert(t *testing.T, db *testenv.MySQL, id int) {
	t.Helper()
	db.MustExec(t, insertSQL(id))
}

// consume reads as many records, all there are for 0, as the broker's own
// consumer gives them to a reader of committed transactions.
func consume(t *testing.T, ctx context.Context, broker *testenv.Kafka, count int) []testenv.Record {
	t.Helper()
	recs, err := broker.Consume(ctx, testenv.ConsumeOptions{Topics: []string{"shop.shop.users"}, Count: count})
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// expectIDs wants each row from 1 to n once and, the topic having one
// partition, in order.
func expectIDs(t *testing.T, recs []testenv.Record, n int) {
	t.Helper()
	if len(recs) != n {
		t.Errorf("%d records, want %d", len(recs), n)
	}
	for i, r := range recs {
		var v struct {
			Op    string
			After struct {
				ID   int
				Name string
			}
		}
		if err := json.Unmarshal(r.Value, &v); err != nil {
			t.Fatal(err)
		}
		if v.Op != "c" || v.After.ID != i+1 || !strings.HasSuffix(v.After.Name, fmt.Sprint(" ", i+1)) {
			t.Fatalf("record %d: %s", i+1, r.Value)
		}
	}
}
