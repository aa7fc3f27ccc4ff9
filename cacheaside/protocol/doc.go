// Package protocol is what a reader of the cache, a writer and the daemon agree
// on: what an entry looks like, what each script does to it, and what a reader
// does next. PROTOCOL.md describes it for other languages.
//
// Everything here is a pure function of its arguments. The scripts that run in
// Redis are in scripts.go; [GetOrLease], [Fill] and [Release] say the same in
// Go, and a test holds the two together on real servers. The explorer in this
// package's tests drives these functions, and those of the reader, through every
// order of steps that a database, its replicas, a daemon and several readers
// can take.
//
// Read entry.go first, then steps.go.
package protocol
