package mysql_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// TestStartUnderLoad: a commit is in the log before it is in gtid_executed, so
// a start position taken under load must hold for transactions in between.
func TestStartUnderLoad(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			db := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Flavor: flavor, Durable: true})
			db.MustExec(t, "CREATE DATABASE load_; CREATE TABLE load_.t (id INT AUTO_INCREMENT PRIMARY KEY)")
			stop := writeOn(t, db, 8)
			defer stop()
			c := configFor(db.Addr(), "load_")
			for range 60 {
				r := &reader{t: t, source: mysql.New(c, "test", t.Name())}
				var err error
				if r.pos, err = r.source.Start(within(t)); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if _, err := r.next(within(t)); err != nil {
						t.Fatal(err)
					}
				}
				r.close()
			}
		})
	}
}

// TestStartBesideAHeldCommit: the place of a start claims no transaction that is
// in the log and not executed; of a server that rests it is the end of the log.
func TestStartBesideAHeldCommit(t *testing.T) {
	m := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Flavor: testenv.MySQL97})
	m.MustExec(t, "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)")
	src := mysql.New(configFor(m.Addr(), "d"), "test", t.Name())
	pos, err := src.Start(within(t))
	if err != nil || pos.Offset <= 4 {
		t.Errorf("start at rest at %s:%d, %v", pos.File.Name, pos.Offset, err)
	}
	stream := newReader(t, configFor(m.Addr(), "d"))
	release := holdCommits(t, m)
	committed := make(chan error, 1)
	go func() { committed <- m.Exec(context.Background(), "INSERT INTO d.t VALUES (1)") }()
	stream.expect("tc1") // it is in the log
	if pos, err = src.Start(within(t)); err != nil || pos.Offset > 4 {
		t.Errorf("start at %s:%d %s, %v, beside a commit that is under way", pos.File.Name, pos.Offset, pos.GTIDs, err)
	}
	release()
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
}

// TestOpenListsTheLogOnce: the list costs the server a look at every file.
func TestOpenListsTheLogOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, m *testenv.MySQL, db string) {
		p, err := testenv.NewProxy(m.Addr(), testenv.MySQLProtocol)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		c := configFor(p.Addr(), db)
		c.TLS.Mode = "disabled"
		r := newReader(t, c)
		m.MustExec(t, "CREATE TABLE "+db+".t (id INT PRIMARY KEY)")
		lists := p.On(&testenv.Rule{Dir: testenv.ToServer, Match: func(m testenv.Message) bool {
			return bytes.Contains(m.Data, []byte("SHOW BINARY LOGS"))
		}})
		r.expect("ddl")
		if n := lists.Reached(); n != 1 {
			t.Errorf("the log was listed %d times", n)
		}
	})
}

// writeOn commits single rows on n connections until stop is called.
func writeOn(t *testing.T, db *testenv.MySQL, n int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			conn, err := db.Conn(ctx, "load_")
			for err == nil && ctx.Err() == nil {
				_, err = conn.Execute("INSERT INTO t VALUES ()")
			}
			if err != nil {
				errs <- fmt.Errorf("writer: %w", err)
			}
			if conn != nil {
				_ = conn.Close()
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
		select {
		case err := <-errs:
			t.Error(err)
		default:
		}
	}
}
