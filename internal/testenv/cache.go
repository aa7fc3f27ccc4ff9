package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// CacheEnv names the environment variable that overrides where downloads and prepared data directories are kept.
const CacheEnv = "CDCD_TESTENV_CACHE"

// cache is a folder shared by every process on the machine: an entry is either absent or complete.
type cache struct {
	dir string
	log io.Writer
}

func openCache(log io.Writer) (*cache, error) {
	dir := os.Getenv(CacheEnv)
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("testenv: find the user's cache directory: %w; set %s to a writable folder", err, CacheEnv)
		}
		dir = filepath.Join(base, "cdcd-testenv")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("testenv: resolve cache folder %q: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("testenv: make cache folder: %w; set %s to a writable folder", err, CacheEnv)
	}
	return &cache{dir: dir, log: log}, nil
}

// entry returns the folder name in the cache. If it is absent, build fills an empty private folder, which becomes the entry
// when build succeeds. Other processes that want the same entry wait for the first one.
func (c *cache) entry(ctx context.Context, name string, build func(ctx context.Context, dir string) error) (string, error) {
	final := filepath.Join(c.dir, name)
	if exists(final) {
		return final, nil
	}
	unlock, err := lockFile(ctx, final+".lock")
	if err != nil {
		return "", fmt.Errorf("testenv: wait for %s, which another process may be installing: %w", final, err)
	}
	defer unlock()
	if exists(final) { // somebody else made it while we waited
		return final, nil
	}
	tmp := final + ".partial"
	// We hold the lock, so what lies there was left by a process that died.
	if err := os.RemoveAll(tmp); err != nil {
		return "", fmt.Errorf("testenv: remove an unfinished install: %w", err)
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return "", fmt.Errorf("testenv: make a folder to install into: %w", err)
	}
	start := time.Now()
	fmt.Fprintf(c.log, "testenv: preparing %s in %s ...\n", name, c.dir)
	if err := build(ctx, tmp); err != nil {
		return "", fmt.Errorf("testenv: prepare %s: %w (what was made so far is in %s)", name, err, tmp)
	}
	if err := os.Rename(tmp, final); err != nil {
		return "", fmt.Errorf("testenv: publish %s in the cache: %w", name, err)
	}
	fmt.Fprintf(c.log, "testenv: %s is ready (%.1f s)\n", name, time.Since(start).Seconds())
	return final, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lockFile takes an exclusive lock that ends with the process at the latest. It polls, because a blocking flock cannot be
// given up when ctx ends.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, 50*time.Millisecond, func() error { return tryLock(f) })
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s is locked by another process", f.Name())
	}
	return err
}

// poll calls ready every interval until it returns nil, and reports its last error when ctx ends first.
func poll(ctx context.Context, interval time.Duration, ready func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
