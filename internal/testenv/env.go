package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	installLimit = 10 * time.Minute // downloads, on a slow line
	startLimit   = 90 * time.Second // one server, on a busy machine
	stopLimit    = 60 * time.Second // a graceful stop of one server
)

// Env owns the servers started through it. It is safe for concurrent use.
type Env struct {
	dir   string
	log   io.Writer
	cache *cache
	spawn *spawner
	ports portBook

	mu      sync.Mutex
	count   map[string]int
	closers []func() error
	closed  bool
}

// Open makes an Env whose servers keep their data and logs under dir; progress of downloads goes to log.
func Open(dir string, log io.Writer) (*Env, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("testenv: resolve %q: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("testenv: make the folder of the servers: %w", err)
	}
	c, err := openCache(log)
	if err != nil {
		return nil, err
	}
	return &Env{dir: dir, log: log, cache: c, spawn: newSpawner(), count: map[string]int{}}, nil
}

// Dir is where the servers keep data and logs.
func (e *Env) Dir() string { return e.dir }

// Close kills every server, last started first, and releases their ports. What they wrote stays under Dir.
func (e *Env) Close() error {
	e.mu.Lock()
	closers := e.closers
	closed := e.closed
	e.closers, e.closed = nil, true
	e.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for i := len(closers) - 1; i >= 0; i-- {
		errs = append(errs, closers[i]())
	}
	e.spawn.close()
	e.ports.release()
	return errors.Join(errs...)
}

// onClose registers what ends a server.
func (e *Env) onClose(f func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errors.Join(errors.New("testenv: the Env is closed; open a new one"), f())
	}
	e.closers = append(e.closers, f)
	return nil
}

// newDir makes the folder of the next server of a kind: mysql-1, mysql-2, ...
func (e *Env) newDir(kind string) (name, dir string, err error) {
	e.mu.Lock()
	e.count[kind]++
	name = fmt.Sprintf("%s-%d", kind, e.count[kind])
	e.mu.Unlock()
	dir = filepath.Join(e.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", "", fmt.Errorf("testenv: make the folder of %s: %w", name, err)
	}
	return name, dir, nil
}

// TestEnv is an Env that belongs to a test: what goes wrong while starting a server fails the test.
type TestEnv struct {
	*Env
	t testing.TB
}

// ForTest makes an Env that ends with the test. If the test failed, the folder with the servers' logs is kept and named.
func ForTest(t testing.TB) *TestEnv {
	t.Helper()
	dir, err := os.MkdirTemp("", "cdcd-test-")
	if err != nil {
		t.Fatalf("testenv: make a folder for the servers: %v", err)
	}
	e, err := Open(dir, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("testenv: stop the servers: %v", err)
		}
		if t.Failed() {
			t.Logf("testenv: logs and data of the servers are kept in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("testenv: remove %s: %v", dir, err)
		}
	})
	return &TestEnv{Env: e, t: t}
}

// MySQL starts a server or fails the test.
func (e *TestEnv) MySQL(o MySQLOptions) *MySQL {
	e.t.Helper()
	m, err := e.Env.MySQL(context.Background(), o)
	if err != nil {
		e.t.Fatal(err)
	}
	return m
}

// Kafka starts a broker, or several, or fails the test.
func (e *TestEnv) Kafka(o KafkaOptions) *Kafka {
	e.t.Helper()
	k, err := e.Env.Kafka(context.Background(), o)
	if err != nil {
		e.t.Fatal(err)
	}
	return k
}

// Redis starts a server or fails the test.
func (e *TestEnv) Redis(o RedisOptions) *Redis {
	e.t.Helper()
	r, err := e.Env.Redis(context.Background(), o)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

// RedisCluster starts a cluster or fails the test.
func (e *TestEnv) RedisCluster(o RedisClusterOptions) *RedisCluster {
	e.t.Helper()
	c, err := e.Env.RedisCluster(context.Background(), o)
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

// RedisSentinel starts a Sentinel or fails the test.
func (e *TestEnv) RedisSentinel(o RedisSentinelOptions) *Redis {
	e.t.Helper()
	r, err := e.Env.RedisSentinel(context.Background(), o)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}
