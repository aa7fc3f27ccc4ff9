// Package mysql reads the binary log of MySQL and MariaDB: it implements
// source.Source. Beside the stream it reads tables chunk by chunk: it implements
// source.Snapshotter.
//
// It owns the connection, the session, the framing of packets, the place in
// the log and what its events mean for transactions. It refuses to know how
// bytes of an event become values: that is package binlog, and rows are handed
// on raw.
//
// go-mysql connects, encrypts and authenticates, and asks questions. The dump
// itself is ours, on the bare connection, because of what its BinlogSyncer
// does: it reads in a goroutine of its own into a queue counted in events, not
// bytes, so a reader that stops does not hold the server back; it reconnects
// where it likes and does not tell; it copies each packet two or three times,
// wanted or not; it inflates a compressed transaction whole; it keeps offsets
// in 32 bits and asks the server not to send checksums.
//
// Invariants:
//   - A stream has no goroutine and no queue: who does not call Next holds the
//     server back, and time in which nobody waits does not count as silence.
//   - The CRC32 of every event is verified where the log has one, of dropped
//     events too; of a compressed transaction before its commit is handed on.
//   - A GTID is in an end (commit, rollback, DDL), never before.
//   - What cannot be handled ends the stream with a named error. Once Next has
//     failed, the stream stays failed.
//   - The same definition of a table is the same *event.Table, over
//     connections too.
//   - Next does not allocate for rows.
//   - A chunk shows all that the stream had seen when it was asked for. Between
//     chunks no transaction is open, and no lock is ever taken.
//   - A row has the same values by both roads, down to the byte, under a
//     *event.Table that is equal but for its Layout.
//
// Read source.go, stream.go and transaction.go first; framing.go and current.go
// are the way of the bytes; open.go is what a server must prove before it is
// read; savepoint.go is the one place where a transaction is read twice. Tables
// are read by snapshot.go and chunkread.go; visible.go is why a chunk is true.
package mysql
