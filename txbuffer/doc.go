// Package txbuffer turns the events of a source stream into whole committed
// transactions and holds them, bounded in bytes, until the line takes them.
//
// [Assembler] is the grammar: a pure step function that counts rows, numbers
// transactions and knows the position after the last finished one. It keeps
// rows in a [Store]. [Ring] is the store of the daemon: memory in blocks, a
// queue with one producer and one consumer, and segment files for a
// transaction that is larger than its share of the memory.
//
// A transaction is visible to the consumer only once it is committed; one that
// is rolled back, or cut off by a reset, leaves no trace. A full ring makes the
// producer wait, which holds the server back. Nothing here starts a goroutine.
//
// The package refuses to decode rows and to know a server. Why the memory can
// neither grow nor deadlock is told in DESIGN.md. Read assembler.go first, then
// ring.go, then spill.go.
package txbuffer
