package mysql

import (
	"context"
	"fmt"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// The log runs ahead of what a SELECT sees: a commit is flushed to the log
// first, and may wait there for others, or for a replica, before it shows.

// view opens what the statements up to the end of it read: a state that shows
// everything up to the place that the request has seen. It waits for that within
// ctx. What has shown once goes on to show: beside a stream that rests, nothing
// is asked.
func (q *session) view(ctx context.Context, req *source.ChunkRequest) error {
	if q.shows(&req.Seen) {
		return nil
	}
	if q.flavor == event.MariaDB && q.primary == nil {
		return q.viewMariaDB(ctx, &req.Seen)
	}
	if err := q.await(ctx, req); err != nil {
		return err
	}
	q.shown = req.Seen.Clone()
	return nil
}

// await waits until every statement that begins later shows what the request has seen.
func (q *session) await(ctx context.Context, req *source.ChunkRequest) error {
	switch {
	case q.primary != nil:
		return q.viewReplica(ctx, &req.Seen)
	case q.byMark:
		return q.pastMark(ctx, tableName{req.Database, req.Table})
	}
	return q.viewExecuted(ctx, req.Seen.GTIDs)
}

// shows reports whether it is known that everything up to seen shows. On MariaDB
// a place in the log tells; on MySQL the set may be ahead of the place.
func (q *session) shows(seen *event.Position) bool {
	if q.shown.File.Name == "" || !reaches(q.shown.File.Name, q.shown.Offset, seen) {
		return false
	}
	return q.flavor == event.MariaDB || q.shown.GTIDs.ContainsSet(seen.GTIDs)
}

// reaches reports whether a place in the log is not before that of a position.
func reaches(file string, offset uint64, p *event.Position) bool {
	at, want := fileNumber(file), fileNumber(p.File.Name)
	return at > want || at == want && offset >= p.Offset
}

// viewExecuted waits until a set is executed: then it is visible to every
// statement that begins later. What has no number is, too, as long as the server
// gives one to everything: gtid_mode cannot be turned ON while such commits are
// under way.
func (q *session) viewExecuted(ctx context.Context, seen *event.GTIDSet) error {
	for {
		if shows, err := q.executes(ctx, seen); shows || err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}

// executes waits for a slice of time until MySQL has executed a set, and reports
// whether it has.
func (q *session) executes(ctx context.Context, seen *event.GTIDSet) (bool, error) {
	wait := "SELECT @@global.gtid_mode, 0"
	if !seen.IsEmpty() {
		wait = fmt.Sprintf("SELECT @@global.gtid_mode, WAIT_FOR_EXECUTED_GTID_SET('%s', %g)", seen, visibleSlice.Seconds())
	}
	r, err := q.row(ctx, wait)
	if err != nil {
		return false, err
	}
	if r[0] != "ON" {
		return false, resilience.Errorf(resilience.Transient, "snapshot_gtid_mode", opReadChunk, "gtid_mode has become %s", r[0])
	}
	return r[1] == "0", nil
}

const (
	// visibleSlice is how long the server waits at once: so long it goes on
	// waiting after we have gone.
	visibleSlice = time.Second
	// firstPause is how long we wait before we look again; it doubles up to lastPause.
	firstPause = 2 * time.Millisecond
	lastPause  = 512 * time.Millisecond
)

// viewMariaDB takes consistent snapshots until one is at or behind seen.
func (q *session) viewMariaDB(ctx context.Context, seen *event.Position) error {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		if _, err := q.ask(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
			return err
		}
		q.viewing = true
		shown, err := q.snapshotShows(ctx, seen, wait == lastPause)
		if shown || err != nil {
			return err
		}
		if err := q.endView(ctx); err != nil {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// snapshotShows reports whether the open snapshot shows everything up to seen,
// and takes note of that. Its place in the log tells, and where thorough is set the GTIDs up to there as
// well: what is no transaction may move the stream and not the snapshot, but
// the server reads its log to find them.
func (q *session) snapshotShows(ctx context.Context, seen *event.Position, thorough bool) (bool, error) {
	file, offset, err := q.snapshotPlace(ctx)
	if err != nil {
		return false, err
	}
	if reaches(file, offset, seen) {
		q.shown.File.Name, q.shown.Offset = file, offset
		return true, nil
	}
	if !thorough || seen.GTIDs.IsEmpty() {
		return false, nil
	}
	told, err := q.gtidsAt(ctx, file, offset, "")
	if err != nil {
		return false, err
	}
	if !told.ContainsSet(seen.GTIDs) {
		return false, nil
	}
	q.shown.File.Name, q.shown.Offset = seen.File.Name, seen.Offset
	return true, nil
}

// snapshotPlace is the place in MariaDB's log that the open snapshot shows.
func (q *session) snapshotPlace(ctx context.Context) (file string, offset uint64, err error) {
	r, err := q.ask(ctx, "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'")
	for _, line := range r {
		switch line[0] {
		case "Binlog_snapshot_file":
			file = line[1]
		case "Binlog_snapshot_position":
			offset = number(line[1])
		}
	}
	if err == nil && file == "" {
		err = logBin("OFF")
	}
	return file, offset, err
}

// endView ends what view has opened.
func (q *session) endView(ctx context.Context) error {
	if !q.viewing {
		return nil
	}
	q.viewing = false
	_, err := q.ask(ctx, "COMMIT")
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
