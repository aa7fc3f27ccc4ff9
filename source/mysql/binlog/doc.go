// Package binlog is the room where bytes of the binary log of MySQL and
// MariaDB become structures and typed values.
//
// It is pure: no socket, no goroutine, no clock. It refuses to know how the
// bytes arrived and what becomes of the values.
//
// Invariants:
//   - Any input, however damaged, gives a value or a Fatal resilience.Error
//     with a stable code, never a panic, and allocates no more than a small
//     multiple of its own size.
//   - A row is decoded without an allocation. Values point into the event or
//     into the scratch memory of the reader.
//   - What this release cannot read is refused by name. Nothing is guessed.
//
// An event arrives as header and body: [ParseHeader], then [Format.Body],
// which verifies and cuts the checksum, then the Parse function of its type.
// A table map is compiled once by [CompileTable] to an immutable event.Table
// whose Layout is a decode program, one small step a column. Statements are
// told apart by [Classify], compressed transactions inflated as a stream by
// [PayloadReader], compressed events of MariaDB by [Inflater].
//
// Read header.go first, then tablemap.go, compile.go and layout.go; values.go
// and json.go are the innermost loops.
package binlog
