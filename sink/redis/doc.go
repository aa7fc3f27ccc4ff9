// Package redis is the sink that takes keys out of a cache: Redis or Valkey, one
// primary, which addresses or Sentinels name.
//
// It deletes and writes no entry. Deleting is idempotent, needs no version, and
// is harmless when somebody does it who should not any more; where readers keep
// their lease in the key itself, it voids a fill that is under way too. Records
// have a key, which is the key in Redis, and no value.
//
// # The beacon
//
// One key of its own, a hash, tells how far the deletes are: of which generation,
// term and seq, up to where they are the last ones, the position to go on from, and
// when, by the clock of Redis. It is written on the connection of the deletes and
// after their acknowledgement, never behind the library's back on another one, and only by
// compare with what this sink wrote or found last:
//
//   - a higher term is there: another process has taken over (Fenced);
//   - anything else is there, or nothing: Redis lost what it had acknowledged (a
//     replica was promoted, an old dump restored, the key evicted). The line ends,
//     and Connect decides anew.
//
// Connect goes on from the lower of checkpoint and beacon, by their last deletes.
// A beacon behind the checkpoint means lost deletes: the position rewinds to the
// beacon's, in a new generation. Without a beacon nothing is known of the entries
// there are, and Config.OnGap decides, unless there are none.
//
// The beacon also shows the rules by which keys are deleted. Entries of a rule that
// it did not know are those of a first start.
//
// # Again
//
// The source has a commit in its log before a SELECT shows it, and who loads in
// between fills the old row under a lease of after the delete. So keys are deleted
// at once, and again when Config.Watermark says that the source shows the
// transaction, unless it was known to before the first delete was issued. Only the
// acknowledgement waits, and with it the memory of the batch. Batches that end inside
// a transaction are acknowledged early: of those keptOpen bytes of keys are kept,
// and what is beyond is read from the log again if it has to be. Replicas of the
// source are not asked.
//
// A batch counts as delivered when its keys are deleted for the last time and the
// beacon behind them is written. Under load the beacon of one group of batches
// travels with the deletes of the next, so that a group costs one round trip.
//
// # Freshness
//
// The beacon's field lag says how far behind the source the sink was when it
// wrote it, in milliseconds: the age of the last commit or, where the source had
// nothing more, of the source's last sign of life; -1 where neither is known, as
// after a start. While keys wait for the source, it is no less than the age of the
// commit or of the last answer that does not show it, whichever is less. What is
// cached was so at most (now - time) + lag ago, with the clock of Redis for now.
//
// # Reading
//
// sink.go first, then beacon.go (what is decided at the start, pure), line.go
// (the goroutine that talks to Redis), again.go and asker.go (what waits for the
// source), packer.go, gap.go, errors.go.
package redis
