package testenv

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared holds the servers that all tests of one process use together.
var shared = struct {
	mu      sync.Mutex
	env     *Env
	mysql   map[Flavor]*MySQL
	counter int
}{mysql: map[Flavor]*MySQL{}}

// Main runs the tests of a package and then stops the shared servers. Use it as
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if err := closeShared(code == 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func closeShared(remove bool) error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.env == nil {
		return nil
	}
	dir := shared.env.Dir()
	err := shared.env.Close()
	shared.env, shared.mysql = nil, map[Flavor]*MySQL{}
	if err != nil || !remove {
		fmt.Fprintf(os.Stderr, "testenv: logs and data of the shared servers are kept in %s\n", dir)
		return err
	}
	return os.RemoveAll(dir)
}

// SharedMySQL returns the server that all tests of this process share, starting it at first use. The package's TestMain must
// call Main. A test that kills or freezes its server starts a private one instead.
func SharedMySQL(t testing.TB, f Flavor) *MySQL {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if m := shared.mysql[f]; m != nil {
		return m
	}
	if err := openShared(); err != nil {
		t.Fatal(err)
	}
	m, err := shared.env.MySQL(context.Background(), MySQLOptions{Flavor: f})
	if err != nil {
		t.Fatal(err)
	}
	shared.mysql[f] = m
	return m
}

func openShared() error {
	if shared.env != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "cdcd-shared-")
	if err != nil {
		return fmt.Errorf("testenv: make a folder for the shared servers: %w", err)
	}
	shared.env, err = Open(dir, os.Stderr)
	return err
}

// Database creates a database for this test alone and drops it at its end.
func (m *MySQL) Database(t testing.TB) string {
	t.Helper()
	shared.mu.Lock()
	shared.counter++
	name := fmt.Sprintf("test_%d", shared.counter)
	shared.mu.Unlock()
	if err := m.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Exec(context.Background(), "DROP DATABASE "+name); err != nil && m.Running() {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return name
}

// MustExec is Exec that fails the test.
func (m *MySQL) MustExec(t testing.TB, sql ...string) {
	t.Helper()
	if err := m.Exec(context.Background(), sql...); err != nil {
		t.Fatal(err)
	}
}

// MustQuery is Query that fails the test.
func (m *MySQL) MustQuery(t testing.TB, sql string) [][]*string {
	t.Helper()
	rows, err := m.Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
