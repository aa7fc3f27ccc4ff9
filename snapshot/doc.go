// Package snapshot mixes the rows of tables, read chunk by chunk beside the
// stream, into the stream, so that no row is stale, lost or there twice.
//
// [Merger] is the core: a plain step function that sees every piece before it
// is handed on. A chunk is read inside a [Window]; its rows leave, without those
// the stream changed meanwhile, once the stream has passed the place up to
// which the read could see. [State] is how far one table is, stored as a mark
// of the position; [Scope] is what the planning covered; [Plan] says which
// tables are to be read from where.
//
// The package is pure: no goroutine, no clock, no connection. It refuses to
// know how chunks are read and when. DESIGN.md gives the argument, and the
// failure that follows from the absence of each rule. Read merger.go first,
// then window.go, then state.go.
package snapshot
