package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// TestRealServers goes through the verbs that talk to servers.
func TestRealServers(t *testing.T) {
	env := testenv.ForTest(t)
	db, broker := env.MySQL(testenv.MySQLOptions{}), env.Kafka(testenv.KafkaOptions{})
	db.MustExec(t, "CREATE DATABASE shop; CREATE TABLE shop.users (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL)")
	t.Run("check", func(t *testing.T) { testCheck(t, db, broker) })
	t.Run("tail", func(t *testing.T) { testTail(t, db) })
	t.Run("run", func(t *testing.T) { testDelivery(t, db, broker) })
}

// TestTailNamesTheConnector: what is read says what a record's source is.
func TestTailNamesTheConnector(t *testing.T) {
	db := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Flavor: testenv.MariaDB118})
	db.MustExec(t, "CREATE DATABASE shop; CREATE TABLE shop.users (id INT PRIMARY KEY)")
	tail := startTail(t, db, "--json")
	expectLine(t, tail.lines, "following")
	db.MustExec(t, "INSERT INTO shop.users VALUES (1)")
	expectLine(t, tail.lines, `"connector":"mariadb"`)
	tail.interrupt(t)
}

// testCheck: all good is code 0; a setting that would stop the pipeline is told
// with the statement that mends it, and code 3.
func testCheck(t *testing.T, db *testenv.MySQL, broker *testenv.Kafka) {
	d := newTestDaemon(t, db, broker)
	if out, code := d.command(t, "check", "cdcd.yaml"); code != exitOK || !strings.Contains(out, "✓ binlog_row_metadata is FULL") {
		t.Errorf("code %d\n%s", code, out)
	}
	db.MustExec(t, "SET GLOBAL binlog_row_metadata = MINIMAL")
	defer db.MustExec(t, "SET GLOBAL binlog_row_metadata = FULL")
	if out, code := d.command(t, "check", "cdcd.yaml"); code != exitFindings || !strings.Contains(out, "binlog_row_metadata = FULL;") {
		t.Errorf("code %d\n%s", code, out)
	}
	if out, code := d.command(t, "tail", "mysql://"+testenv.ReaderUser+"@"+db.Addr()+"/"); code != exitFailed || !strings.Contains(out, "binlog_row_metadata = FULL;") {
		t.Errorf("tail: code %d\n%s", code, out)
	}
}

// testTail: what is committed is printed, until an interrupt ends it with code 0.
func testTail(t *testing.T, db *testenv.MySQL) {
	tail := startTail(t, db)
	expectLine(t, tail.lines, "following")
	db.MustExec(t, "INSERT INTO shop.users VALUES (-1, 'tailed'); DELETE FROM shop.users WHERE id = -1")
	expectLine(t, tail.lines, "+ shop.users")
	expectLine(t, tail.lines, "- shop.users")
	tail.interrupt(t)
}

// tailing is a running `cdcd tail`.
type tailing struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	ended chan error
}

func startTail(t *testing.T, db *testenv.MySQL, flags ...string) *tailing {
	args := append(append([]string{"tail"}, flags...), "mysql://"+testenv.ReaderUser+"@"+db.Addr()+"/shop")
	cmd := exec.Command("cdcd", args...)
	cmd.Env = append(os.Environ(), "CDCD_MYSQL_PASSWORD="+testenv.ReaderPassword)
	out, printed := io.Pipe()
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x := &tailing{cmd: cmd, lines: bufio.NewScanner(out), ended: make(chan error, 1)}
	go func() {
		x.ended <- cmd.Wait()
		printed.Close()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return x
}

// interrupt ends it, and wants nothing more printed.
func (x *tailing) interrupt(t *testing.T) {
	t.Helper()
	if err := x.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for x.lines.Scan() {
		t.Errorf("more than was committed: %s", x.lines.Text())
	}
	if err := <-x.ended; err != nil {
		t.Error(err)
	}
}

// expectLine reads on until a line holds the text.
func expectLine(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("it ended without %q", text)
}

// testDelivery is the promise in small: rows are written while the daemon is
// killed with SIGKILL and started again; the consumer that ships with the
// broker sees each of them once and in order. A SIGTERM ends it with code 0 and
// nothing left behind.
func testDelivery(t *testing.T, db *testenv.MySQL, broker *testenv.Kafka) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
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
	expectIDs(t, consume(t, ctx, broker, next), next)
	d.stopSoftly(t)

	// Started anew it goes on where it was: no more, no less.
	// What has been read when the signal comes is delivered.
	d.start(t)
	seq := d.await(t, ctx, "running", func(p admin.PipelineInfo) bool { return p.State == pipeline.Running }).ReadSeq
	insert(t, db, next+1)
	d.await(t, ctx, "the row read", func(p admin.PipelineInfo) bool { return p.ReadSeq > seq })
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
  shop: {hosts: [%q], user: %s, password: "${env:CDCD_MYSQL_PASSWORD}", tables: {include: ["shop.*"]}}
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

// command runs another command in the daemon's folder and returns what it
// printed and its exit code.
func (d *testDaemon) command(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command("cdcd", args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "CDCD_MYSQL_PASSWORD="+testenv.ReaderPassword)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// start runs the command line anew.
func (d *testDaemon) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(d.cmd.Args[0], d.cmd.Args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, &d.log, &d.log
	cmd.Env = append(os.Environ(), "CDCD_MYSQL_PASSWORD="+testenv.ReaderPassword)
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
func (d *testDaemon) await(t *testing.T, ctx context.Context, what string, ok func(admin.PipelineInfo) bool) admin.PipelineInfo {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := d.client.Pipeline(ctx, "shop-events")
		if err == nil && ok(info) {
			return info
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
