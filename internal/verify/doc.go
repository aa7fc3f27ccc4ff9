// Package verify compares the rows of a table with the fold of its topic: with
// what a consumer has that read the topic from its beginning and kept, for each
// key, the last value.
//
// # At one position
//
// A table and its topic are never looked at in the same moment. What is true of
// a correct pipeline at any time is this. Let O be the end of the topic's
// partitions, taken first. Let a read of a row see everything that the topic has
// up to O: the read waits for a stored position that was reached after the log's
// end was asked for, which was after O. Let H be the end of the log after the
// read, and E the ends of the partitions once the stored position has passed H,
// read when all before them is decided (a stored position may be decided a moment
// before the records that it covers). Then every change that the read can have
// seen lies in the topic before E, and the row it saw is the one the topic has for
// its key at O, or one of those that come between O and E. So:
//
//   - what was read equals the last value before E: equal;
//   - it equals another of those values: the key was touched meanwhile and is
//     compared again (busy, if that goes on to the end);
//   - it equals none of them: a difference, however hot the key is.
//
// # In rounds
//
// The first pass reads all of the table and all of the topic and takes every key
// that differs for a suspect, nothing more. Each later round reads only the
// suspects, by key, and only what was added to the topic, and judges them as
// above. A difference is reported when two rounds in a row have found it.
//
// # In bounded memory
//
// The first pass spills what it reads, as hashes and keys, into one file for
// each range of the keys' hashes, and folds and compares one range at a time. A
// range whose checksums agree is done with; one with too many keys is divided until
// they fit. Memory holds Config.Bytes of keys, half of them suspects; disk about
// 30 bytes and the key for each record and row.
//
// Rows and records are compared as JSON, column by column and without their
// order. Two values are the same when their text is: both roads of a pipeline
// render a value byte for byte the same.
//
// The package owns no connection and starts no goroutine. It refuses to judge
// what cannot be judged: topics that lost records, tables without a key.
package verify
