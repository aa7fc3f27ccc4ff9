package proof

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// cacheWriters change rows of shop.users, and cache what each change makes stale
// right before it, as a reader does who was just in time. So in the end no entry
// may be left: each was there before the last change of its row.
type cacheWriters struct {
	rig     *CacheRig
	changed atomic.Int64 // committed
	cached  atomic.Int64 // entries that Redis acknowledged
}

// cachePatience is how long a writer waits for Redis, which may be away.
const cachePatience = 200 * time.Millisecond

// run runs n writers until ctx ends.
func (w *cacheWriters) run(ctx context.Context, n int) error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			if err := w.write(ctx, i, n); err != nil && ctx.Err() == nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// user is one row as its writer knows it.
type user struct {
	id    int64
	email string // "" where there is no such row
}

func (u user) keys() []string {
	if u.email == "" {
		return nil
	}
	return []string{fmt.Sprintf("user:%d", u.id), "user:email:" + u.email}
}

// write changes rows of its own, one after the other.
func (w *cacheWriters) write(ctx context.Context, number, writers int) error {
	conn, err := w.rig.DB.Conn(ctx, "shop")
	if err != nil {
		return err
	}
	defer conn.Close()
	random := rand.New(rand.NewPCG(1, uint64(number)))
	users := make([]user, 40)
	next := int64(number)
	fresh := func() int64 { next += int64(writers); return next }
	for i := range users {
		users[i].id = fresh()
	}
	for ctx.Err() == nil {
		u := &users[random.IntN(len(users))]
		after, sql := change(*u, random, fresh)
		if err := w.commit(ctx, conn, *u, after, sql); err != nil {
			return err
		}
		*u = after
	}
	return nil
}

// change is what a row becomes, and the statement for that.
func change(u user, random *rand.Rand, fresh func() int64) (after user, sql string) {
	after = u
	if u.email == "" {
		after.email = fmt.Sprintf("u%d@example.org", u.id)
		return after, fmt.Sprintf("INSERT INTO users VALUES (%d, '%s', 'new')", u.id, after.email)
	}
	switch random.IntN(5) {
	case 0:
		after.email = ""
		return after, fmt.Sprintf("DELETE FROM users WHERE id = %d", u.id)
	case 1:
		after.email = fmt.Sprintf("u%d.%d@example.org", u.id, random.IntN(1000))
		return after, fmt.Sprintf("UPDATE users SET email = '%s' WHERE id = %d", after.email, u.id)
	case 2:
		after.id = fresh()
		return after, fmt.Sprintf("UPDATE users SET id = %d WHERE id = %d", after.id, u.id)
	}
	return after, fmt.Sprintf("UPDATE users SET name = 'n%d' WHERE id = %d", random.IntN(1_000_000), u.id)
}

func (w *cacheWriters) commit(ctx context.Context, conn *client.Conn, before, after user, sql string) error {
	for _, key := range append(before.keys(), after.keys()...) {
		short, cancel := context.WithTimeout(ctx, cachePatience)
		if w.rig.Redis.Client().Set(short, key, sql, 0).Err() == nil {
			w.cached.Add(1)
		}
		cancel()
	}
	if _, err := conn.Execute(sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	w.changed.Add(1)
	return nil
}

// await waits until n more changes are committed.
func (w *cacheWriters) await(ctx context.Context, n int64) error {
	want := w.changed.Load() + n
	return Eventually(ctx, fmt.Sprintf("%d changes", n), func() (bool, error) { return w.changed.Load() >= want, nil })
}
