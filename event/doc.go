// Package event holds the words of the line: positions, GTIDs, table versions,
// values, raw row events, transactions and their pieces.
//
// It is pure data. It imports the standard library only, starts no goroutine
// and does no input or output. It refuses to know a server: how bytes become
// values is the business of whoever implements [Layout].
//
// Rows stay raw until the last moment. A [Tx] is what a committed source
// transaction was; a [Piece] is at most about one MiB of its rows, as the
// server sent them, plus pointers to the [Table] versions that explain them.
// [Piece.Rows] decodes while the caller encodes: a [RowChange] and its
// [Value]s are valid only until the next step.
//
// Read tx.go first, then value.go, then position.go.
package event
