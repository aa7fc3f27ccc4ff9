// Package eventtest builds transactions and pieces from literal values, for
// the tests of everything downstream of a source.
//
// Its [Layout] stands in for a server's: the raw body of a rows event holds the
// values themselves, so bodies may be copied, spilled and read back like real
// ones. Start with [Tx], [Table], [Insert] and [Piece].
package eventtest
