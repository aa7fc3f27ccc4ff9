package proof

import (
	"context"
	"fmt"
	"testing"

	"github.com/cdcd-io/cdcd/cacheaside"
	"github.com/cdcd-io/cdcd/internal/testenv"
)

// cacheReader reads through cacheaside as an application does.
type cacheReader struct {
	rig   *CacheRig
	cache *cacheaside.Cache
	key   cacheaside.Key
}

func (r *CacheRig) reader(t *testing.T) *cacheReader {
	t.Helper()
	cache, err := cacheaside.New(r.Redis.Client(), cacheaside.DefaultConfig())
	must(t, err)
	key, err := cacheaside.MustTemplate("user:{id}", "shop.users").Key(1)
	must(t, err)
	return &cacheReader{r, cache, key}
}

// reads is what the application sees, and whether Redis had it.
func (c *cacheReader) reads(ctx context.Context, t *testing.T) (name string, hit bool) {
	t.Helper()
	name, meta, err := cacheaside.Get(ctx, c.cache, c.key, func(ctx context.Context, _ cacheaside.LoadInfo) (string, bool, error) {
		name, err := c.rig.DB.Scalar(ctx, "SELECT name FROM shop.users WHERE id = 1")
		return name, err == nil, err
	})
	must(t, err)
	return name, meta.Hit
}

// fills caches the old row.
func (c *cacheReader) fills(ctx context.Context, t *testing.T) {
	t.Helper()
	must(t, Eventually(ctx, "the old row to be cached", func() (bool, error) {
		name, hit := c.reads(ctx, t)
		if name != "old" {
			return true, fmt.Errorf("read %q", name)
		}
		return hit, nil
	}))
}

// comesClean waits until the new row is read.
func (c *cacheReader) comesClean(ctx context.Context, t *testing.T) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	must(t, Eventually(limited, "the new row to be read", func() (bool, error) {
		name, _ := c.reads(ctx, t)
		if name == "new" {
			return true, nil
		}
		return false, fmt.Errorf("it stays %q", name)
	}))
}

// TestCacheOfACommitThatIsHeld: a change is deleted while no SELECT shows it, for
// lack of an acknowledgement, and a reader with a lease fills the old row. The
// daemon is killed then; and at last Redis goes back to a dump from before the
// keys were deleted again.
func TestCacheOfACommitThatIsHeld(t *testing.T) {
	for _, f := range testenv.Flavors {
		t.Run(f.String(), func(t *testing.T) {
			r, ctx := newCacheRig(t, CacheOptions{Flavor: f, Redis: testenv.RedisOptions{AppendOnly: true}})
			must(t, r.DB.Exec(ctx, "INSERT INTO shop.users VALUES (1, 'a', 'old')"))
			must(t, r.AwaitCaughtUp(ctx))
			c := r.reader(t)
			seq := r.beaconSeq(ctx, t)
			release := (&Rig{DB: r.DB}).holdCommits(t)
			committed := make(chan error, 1)
			go func() { committed <- r.DB.Exec(ctx, "UPDATE shop.users SET name = 'new' WHERE id = 1") }()
			must(t, Eventually(ctx, "the first delete", func() (bool, error) { return r.beaconSeq(ctx, t) > seq, nil }))
			c.fills(ctx, t)

			r.Daemon.Kill()
			r.mustStart(t)
			must(t, r.await(ctx, "the wait to be told", func(p PipelineStatus) bool { return p.State == "retrying" }))
			c.fills(ctx, t)
			dump, err := r.Redis.Dump(ctx)
			must(t, err)

			release()
			must(t, <-committed)
			c.comesClean(ctx, t)
			must(t, r.AwaitCaughtUp(ctx))

			must(t, r.Redis.RestartFrom(ctx, dump))
			c = r.reader(t)
			c.comesClean(ctx, t)
			must(t, r.AwaitCaughtUp(ctx))
			must(t, r.Daemon.Stop(ctx))
		})
	}
}
