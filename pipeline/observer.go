package pipeline

import (
	"time"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
)

// Observer is told what happens in a pipeline. Nil funcs are skipped. They are
// called on the goroutines of the line and must not block.
type Observer struct {
	// UnitRead: a run of the log was handed to an encoder.
	UnitRead func(u UnitStats)
	// UnitEncoded: it was rendered; took is the time one worker needed.
	UnitEncoded func(u UnitStats, took time.Duration)
	// UnitDone: the sink has made it durable.
	UnitDone func(u UnitStats)
	// Saved: the checkpoint store holds the position now.
	Saved func(took time.Duration)
	// Retrying: a transient error is being waited out.
	Retrying func(where string, s resilience.State)
	// Stalled: the watchdog found a stage without progress.
	Stalled func(stage string)
	// Gap: changes were lost, and the pipeline goes on behind them.
	Gap func()
	// RowChangingDDL: a statement may have changed rows of a table without row
	// events; reread says that the table is read anew because of it.
	RowChangingDDL func(reread bool)
	// ChunkMerged: a chunk of a table's rows was handed on.
	ChunkMerged func(c ChunkStats)
	// ChunkGivenUp: one was not, and is read again.
	ChunkGivenUp func(why snapshot.Reason)
	// LineStarted and LineEnded frame one run from a checkpoint.
	LineStarted func()
	LineEnded   func(err error)
}

// ChunkStats describes one chunk for metrics.
type ChunkStats struct {
	Rows    int // that were read
	Dropped int // those of them that left as changes of the stream instead
	Bytes   int // of the rows that were read
}

// UnitStats describes one unit for metrics.
type UnitStats struct {
	Transactions int
	Rows         uint64
	RawBytes     int
	PackedBytes  int
	// Commit is when the unit's newest transaction committed on the source,
	// OldestCommit its first; zero when it holds none. Read is when the first
	// was read, Sent when the sink took the unit, Done when it was durable.
	OldestCommit, Commit, Read, Sent, Done time.Time
}

// chunkDecided tells what became of a window.
func (o *Observer) chunkDecided(c *snapshot.Outcome) {
	switch {
	case !c.Merged():
		if o.ChunkGivenUp != nil {
			o.ChunkGivenUp(c.Reason)
		}
	case o.ChunkMerged != nil:
		o.ChunkMerged(ChunkStats{Rows: c.Kept + c.Dropped, Dropped: c.Dropped, Bytes: c.Chunk.Bytes})
	}
}

func (u *unit) stats() UnitStats {
	s := UnitStats{
		Transactions: len(u.ends), Rows: u.rows, RawBytes: u.raw,
		OldestCommit: u.oldest, Commit: u.newest, Read: u.received, Sent: u.sent,
	}
	if u.packed != nil {
		s.PackedBytes = int(u.reserved) // the sink may have emptied it
	}
	return s
}
