package testenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCacheBuildsAnEntryOnce(t *testing.T) {
	c := &cache{dir: t.TempDir(), log: t.Output()}
	var built atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := c.entry(t.Context(), "x", func(context.Context, string) error { built.Add(1); return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if built.Load() != 1 {
		t.Fatalf("built %d times", built.Load())
	}
}

func TestCacheShowsNothingHalfMade(t *testing.T) {
	c := &cache{dir: t.TempDir(), log: t.Output()}
	broken := errors.New("no network")
	_, err := c.entry(t.Context(), "x", func(_ context.Context, dir string) error {
		os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
		return broken
	})
	if !errors.Is(err, broken) || exists(filepath.Join(c.dir, "x")) {
		t.Fatalf("a failed install left an entry, or hid its error: %v", err)
	}
	dir, err := c.entry(t.Context(), "x", func(context.Context, string) error { return nil })
	if err != nil || exists(filepath.Join(dir, "half")) {
		t.Fatalf("the next install found leftovers: %v", err)
	}
}

func TestCacheWaitHasAnEnd(t *testing.T) {
	c := &cache{dir: t.TempDir(), log: t.Output()}
	unlock, err := lockFile(t.Context(), filepath.Join(c.dir, "x.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
	defer cancel()
	_, err = c.entry(ctx, "x", func(context.Context, string) error { t.Error("built under somebody's lock"); return nil })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("got %v", err)
	}
}
