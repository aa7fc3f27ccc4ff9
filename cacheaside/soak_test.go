package cacheaside

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// database is a table of versions whose commits are in the log before readers
// see them, as those of a server that waits for a semi-sync acknowledgement.
type database struct {
	mu    sync.Mutex
	shown [soakRows]int
	log   []commit
}

type commit struct {
	row     int
	version int
	shown   chan struct{} // closed when readers see it
}

const soakRows = 8

func (d *database) read(row int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shown[row]
}

// write commits one more version of the row, which nobody else writes.
func (d *database) write(row, version int, gap time.Duration) {
	c := commit{row, version, make(chan struct{})}
	d.mu.Lock()
	d.log = append(d.log, c)
	d.mu.Unlock()
	time.Sleep(gap)
	d.mu.Lock()
	d.shown[row] = version
	d.mu.Unlock()
	close(c.shown)
}

func (d *database) at(n int) (commit, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n >= len(d.log) {
		return commit{}, false
	}
	return d.log[n], true
}

// soak runs writers, a daemon and readers, then lets all come to rest and
// returns how many entries are not of the last version.
func soak(r *rig, again, plain bool, rounds int) (stale int) {
	ctx, db := r.Context(), &database{}
	caches := []*Cache{r.cache, r.another()}
	var writers, others sync.WaitGroup
	var written atomic.Bool
	for row := range soakRows {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(row), 1))
			for v := range rounds {
				db.write(row, v+1, time.Duration(random.IntN(3))*time.Millisecond)
			}
		})
	}
	others.Go(func() { r.daemon(db, again, &written) })
	for i := range 6 {
		others.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 2))
			for !written.Load() {
				row := random.IntN(soakRows)
				if plain {
					r.plainRead(ctx, db, row)
				} else {
					r.read(caches[i%2], db, row, random)
				}
			}
		})
	}
	writers.Wait()
	written.Store(true)
	others.Wait()
	for row := range soakRows {
		var v user
		if plain {
			v.Version, _ = r.rdb.Get(ctx, r.key(row).String()).Int()
			if v.Version == 0 {
				continue
			}
		} else {
			v, _ = r.get(caches[0], row, func(context.Context, LoadInfo) (user, bool, error) { return user{row, db.read(row)}, true, nil })
		}
		if v.Version != rounds {
			stale++
		}
	}
	return stale
}

// daemon deletes the key of each commit, again once readers see it, and now and
// then something else happens to Redis.
func (r *rig) daemon(db *database, again bool, written *atomic.Bool) {
	random := rand.New(rand.NewPCG(3, 3))
	var late sync.WaitGroup
	for n := 0; ; {
		end := written.Load()
		c, ok := db.at(n)
		if !ok {
			if end {
				break
			}
			time.Sleep(100 * time.Microsecond)
			continue
		}
		n++
		key := r.key(c.row).String()
		r.unlink(key)
		if again {
			late.Go(func() {
				<-c.shown
				r.unlink(key)
			})
		}
		switch random.IntN(40) {
		case 0:
			r.unlink(r.key(random.IntN(soakRows)).String()) // evicted
		case 1:
			r.unlink("gen:{shop.users}")
		case 2:
			if err := r.rdb.ScriptFlush(context.Background()).Err(); err != nil {
				r.Error(err)
			}
		}
	}
	late.Wait()
}

func (r *rig) unlink(key string) {
	if err := r.rdb.Unlink(context.Background(), key).Err(); err != nil {
		r.Error(err)
	}
}

func (r *rig) read(c *Cache, db *database, row int, random *rand.Rand) {
	fromDB := func(context.Context, LoadInfo) (user, bool, error) {
		v := db.read(row)
		time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
		return user{row, v}, true, nil
	}
	if _, _, err := Get(r.Context(), c, r.key(row), fromDB); err != nil {
		r.Error(err)
	}
}

// plainRead is what applications without a protocol do.
func (r *rig) plainRead(ctx context.Context, db *database, row int) {
	key := r.key(row).String()
	if r.rdb.Get(ctx, key).Err() != redis.Nil {
		return
	}
	v := db.read(row)
	time.Sleep(time.Millisecond)
	r.rdb.Set(ctx, key, v, time.Hour)
}

func TestNothingIsStaleWhenAllIsAtRest(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Wait = 20 * time.Millisecond })
	for range 3 {
		if n := soak(r, true, false, 100); n != 0 {
			t.Errorf("%d stale entries", n)
		}
		r.must(r.rdb.FlushAll(t.Context()).Err())
	}
	s := r.cache.Stats()
	for name, n := range map[string]uint64{"hits": s.Hits.Load(), "fills": s.Fills.Load(), "refused fills": s.RefusedFills.Load(),
		"waits": s.Waits.Load(), "script reloads": s.ScriptReloads.Load(), "old generations": s.OldGeneration.Load()} {
		if n == 0 {
			t.Errorf("no %s: the run shows nothing", name)
		}
		t.Logf("%d %s", n, name)
	}
}

// TestTheSoakSeesTheRaces: what is known to be stale is found stale, or the test
// above shows nothing. How often depends on the machine.
func TestTheSoakSeesTheRaces(t *testing.T) {
	r := newRig(t)
	for name, run := range map[string]func() int{
		"plain SET":                            func() int { return soak(r, true, true, 20) },
		"deletes at the time of the log alone": func() int { return soak(r, false, false, 20) },
	} {
		stale := 0
		for n := 0; n < 50 && stale == 0; n++ {
			stale = run()
			r.must(r.rdb.FlushAll(t.Context()).Err())
		}
		if stale == 0 {
			t.Errorf("%s: nothing stale was found", name)
		}
		t.Logf("%s: %d stale", name, stale)
	}
}
