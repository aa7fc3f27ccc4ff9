package redis

import "time"

// Observer is told what the sink does. Any function may be nil; they are called
// on the sink's goroutines and must not block.
type Observer struct {
	// Deleted: keys were deleted in one round trip, rendered of them before those
	// that are the same were merged; existed were there.
	Deleted func(rendered, keys, existed int, took time.Duration)
	// Repeated: keys were deleted again, once the source showed the change; existed
	// had been filled meanwhile.
	Repeated func(keys, existed int)
	// ScriptLoaded: the server had forgotten the script.
	ScriptLoaded func()
	// Rewound: Redis had lost deletes; they are repeated from a transaction before.
	Rewound func(from, to uint64)
	// Gap: nothing was known of the entries, and the policy removed some.
	Gap func(policy OnGap, keys int)
}
