package mysql

import (
	"context"
	"slices"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// Survey implements source.Surveyor on a short connection of its own.
//
// The server purges a file by the time of its last change, which it does not
// tell. The file was created before that, so PurgeIn, which counts from its
// creation, is a lower bound; the file that is still written to has all of the
// retention before it.
func (s *Source) Survey(ctx context.Context, at event.Position) (source.Survey, error) {
	q, err := s.connect(ctx)
	if err != nil {
		return source.Survey{}, err
	}
	defer q.Close()
	files, err := q.logFiles(ctx)
	if err != nil {
		return source.Survey{}, err
	}
	v := source.Survey{Taken: time.Now(), BehindBytes: behind(files, at)}
	if purged(files, at) {
		v.Expires, v.Purged = true, true
		return v, nil
	}
	retention, err := q.retention(ctx)
	if err != nil || retention == 0 {
		return v, err
	}
	v.Expires, v.PurgeIn = true, retention
	if len(files) > 0 && files[len(files)-1].name != at.File.Name && at.File.StampTime > 0 {
		now, err := q.now(ctx)
		if err != nil {
			return v, err
		}
		v.PurgeIn = max(0, retention-now.Sub(time.Unix(int64(at.File.StampTime), 0)))
	}
	return v, nil
}

// purged reports whether the file of a position is gone from the list.
func purged(files []logFile, at event.Position) bool {
	return at.File.Name != "" && !slices.ContainsFunc(files, func(f logFile) bool { return f.name == at.File.Name })
}

// behind adds up what lies after a position: all of the log when its file is gone.
func behind(files []logFile, at event.Position) (n uint64) {
	for _, f := range files {
		switch {
		case f.name == at.File.Name:
			n += f.size - min(f.size, at.Offset)
		case fileNumber(f.name) > fileNumber(at.File.Name):
			n += f.size
		}
	}
	return n
}

// retention is how long the server keeps its log; 0 means for ever.
func (q *session) retention(ctx context.Context) (time.Duration, error) {
	seconds, known, err := q.variable(ctx, "binlog_expire_logs_seconds")
	if err != nil {
		return 0, err
	}
	if known && number(seconds) > 0 {
		if auto, known, err := q.variable(ctx, "binlog_expire_logs_auto_purge"); err != nil || known && auto == "OFF" {
			return 0, err
		}
		return time.Duration(number(seconds)) * time.Second, nil
	}
	days, _, err := q.variable(ctx, "expire_logs_days")
	return time.Duration(number(days)) * 24 * time.Hour, err
}

// now is the server's clock.
func (q *session) now(ctx context.Context) (time.Time, error) {
	r, err := q.row(ctx, "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)")
	if err != nil {
		return time.Time{}, err
	}
	if len(r) == 0 {
		return time.Time{}, resilience.Errorf(resilience.Transient, "no_answer", opAsk, "the server did not tell the time")
	}
	return time.UnixMicro(int64(number(r[0]))), nil
}
