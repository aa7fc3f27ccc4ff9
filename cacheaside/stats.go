package cacheaside

import "sync/atomic"

// Stats counts what a cache did since it was made. Its fields may be read at any
// time.
type Stats struct {
	Hits, NegativeHits atomic.Uint64
	Misses             atomic.Uint64 // leases taken
	Shared             atomic.Uint64 // answered by another reader of this process
	Waits, WaitedOut   atomic.Uint64 // met somebody else's lease; gave up waiting for it
	HeldOff            atomic.Uint64 // met a write under way
	Foreign            atomic.Uint64 // met an entry that is none of the protocol
	OldGeneration      atomic.Uint64 // met an entry of an older generation of its table
	Loads, LoadErrors  atomic.Uint64
	Overloaded         atomic.Uint64 // loads refused by the limit
	Fills              atomic.Uint64
	RefusedFills       atomic.Uint64 // the lease was gone: deleted, evicted or over
	FailedFills        atomic.Uint64
	TooLarge           atomic.Uint64 // values over MaxValue
	Undecodable        atomic.Uint64 // entries that the codec could not read
	Released           atomic.Uint64 // leases given back
	RedisErrors        atomic.Uint64
	BreakerOpened      atomic.Uint64
	Bypassed           atomic.Uint64 // loads without Redis: it failed, or is left alone
	Stale              atomic.Uint64 // reads while the daemon was behind, or its beacon gone
	ScriptReloads      atomic.Uint64 // NOSCRIPT
	Invalidations      atomic.Uint64 // keys deleted by Invalidate and Write.End
}
