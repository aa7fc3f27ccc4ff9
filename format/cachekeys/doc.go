// Package cachekeys renders the keys of a cache that changes make stale.
//
// For each row it emits the keys of the image before and of the image after,
// for every template of the row's table: a row that moves to another key leaves
// the old one too. Records have a key and no value; their route is the template.
//
// Where single keys would not do, it emits the generation key of the table
// instead ([cachekey.Generation]), which makes all its entries misses: for DDL,
// which changes rows without row events, and for a transaction with more rows
// of the table than Config.GenerationAbove.
//
// Whatever is not certain counts as a change: a key too many costs one miss, a
// missing one leaves an entry stale. So a predicate leaves out a row only where
// it is false under every collation, and DDL that names no tables counts for
// all that are configured.
//
// Rows that a snapshot reads change nothing and emit nothing. Read encoder.go
// first, then rule.go and where.go.
package cachekeys
