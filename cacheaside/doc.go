// Package cacheaside is the application's half of a cache that a cdcd daemon
// keeps coherent: it reads Redis, loads what is missing from the database, and
// fills so that no order of steps leaves a stale entry for ever.
//
//	var userKey = cacheaside.MustTemplate("user:{id}", "shop.users")
//
//	cache, err := cacheaside.New(rdb, cacheaside.DefaultConfig())
//	key, err := userKey.Key(7)
//	user, meta, err := cacheaside.Get(ctx, cache, key, func(ctx context.Context, info cacheaside.LoadInfo) (User, bool, error) {
//		... SELECT from the primary, outside any transaction ...
//	})
//
// A reader that misses takes a lease in the key itself before it loads; its
// fill succeeds only while the lease is still there, and the daemon's delete
// takes it away together with any value. PROTOCOL.md holds the protocol, what
// was explored exhaustively and found safe, and what is not.
//
// # What a loader must keep to
//
// It reads the primary, which the daemon deletes again for once it shows a change (a
// replica it does not), with a statement of its own: inside a transaction whose snapshot is older
// than the lease, or that wrote the row and may roll back, it would fill what the
// daemon never deletes again. In a transaction use [NoFill]. It returns before
// its context ends.
//
// # When Redis fails
//
// An error of Redis is a miss, never an answer. After several in a row a breaker
// keeps requests away from it. Loads are limited, more so while Redis is away:
// what exceeds the limit waits a little and then fails with
// [CodeOverloaded], so that a dead cache does not become a dead database.
//
// With Config.Beacon set, a daemon that is too far behind, or of which nothing is
// known, is treated alike: what is cached is not read, and loads are limited.
//
// # What it refuses
//
// Clients that read replicas of Redis, and rings: a delete on the master says
// nothing there. Entries without a time to live. It starts no goroutine.
//
// Read get.go first, then protocol/steps.go, load.go and store.go.
package cacheaside
