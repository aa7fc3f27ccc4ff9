package pipeline

import (
	"log/slog"
	"math"
	"time"

	"github.com/cdcd-io/cdcd/snapshot"
)

// tellEvery is how often a table that is being read is spoken of.
const tellEvery = 30 * time.Second

// tooOften is how many chunks in a row may be given up before that is told.
const tooOften = 10

// tableLog tells of the reading of one table: its begin, how far it is, its
// end, and chunks that are given up again and again. The reader owns it.
type tableLog struct {
	log   *slog.Logger
	began time.Time
	told  time.Time
	lost  int // chunks given up since one left
	warn  int // the number of them that is told next
}

// begins tells that a reader has come to the table.
func (l *tableLog) begins(log *slog.Logger, p TableProgress, now time.Time) {
	*l = tableLog{log: log.With("table", p.Table), began: now, told: now, warn: tooOften}
	if p.Rows > 0 {
		l.log.Info("snapshot of the table goes on", "rows", p.Rows, "estimate", p.Estimate, "started", p.Started)
		return
	}
	l.log.Info("snapshot of the table begins", "estimate", p.Estimate)
}

// due reports that it is time to tell how far the table is.
func (l *tableLog) due(now time.Time) bool { return now.Sub(l.told) >= tellEvery }

// goesOn tells how far the table is.
func (l *tableLog) goesOn(p TableProgress, now time.Time) {
	l.told = now
	args := []any{"rows", p.Rows, "bytes", p.Bytes, "percent", int(p.Fraction() * 100), "rows_per_second", math.Round(p.RowsPerSecond)}
	if p.LeftSeconds != nil {
		args = append(args, "left", (time.Duration(*p.LeftSeconds) * time.Second).String())
	}
	l.log.Info("snapshot of the table", args...)
}

// ends tells that all of the table has left.
func (l *tableLog) ends(s *snapshot.State, now time.Time) {
	l.log.Info("snapshot of the table ends", "rows", s.Rows, "bytes", s.Bytes, "chunks", s.Chunks,
		"changed_meanwhile", s.Dropped, "took", now.Sub(l.began).Round(time.Millisecond).String())
}

// left takes note that a chunk was not given up.
func (l *tableLog) left() { l.lost, l.warn = 0, tooOften }

// givenUp takes note of a chunk that is read again, and tells when that goes on
// and on: the tenth time in a row, the hundredth, and so forth.
func (l *tableLog) givenUp(why snapshot.Reason) {
	l.log.Debug("chunk given up, reading it again", "why", why.String())
	if why == snapshot.ByEarlier {
		return
	}
	l.lost++
	if l.lost < l.warn {
		return
	}
	l.warn *= 10
	l.log.Warn("chunk given up again and again, the table does not come on", "times", l.lost, "why", why.String(), "hint", remedies[why])
}

// remedies are what an operator can do about chunks that are given up for ever.
var remedies = map[snapshot.Reason]string{
	snapshot.ByDDL:    "DDL on captured tables comes all the time: it goes on once that ends",
	snapshot.ByBudget: "more keys change during a read than snapshot.touched_bytes holds: raise it, or lower snapshot.chunk_time",
	snapshot.ByTouch:  "a table without a key is read whole, and changes each time: give it a primary key, or let its writers rest for a while",
	snapshot.ByKey:    "the key of the table changes again and again, or is missing in rows of the log: it goes on once that ends",
	snapshot.ByRows:   "rows of the table cannot be read: cdcd snapshot cancel gives the table up; please report it",
	snapshot.ByLog:    "tables are read from another server than the log: sources.NAME.hosts must be one server",
}
