package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// admit checks that the server can serve from a position: that it is the same
// server, that its log still holds what follows, and that it has not lost what
// was read before (it would give out the same GTIDs again). held reports that
// the log has the position's file.
func (q *session) admit(ctx context.Context, srv server, from event.Position) (held bool, err error) {
	if err := srv.isOurs(q, from); err != nil {
		return false, err
	}
	files, err := q.logFiles(ctx)
	if err != nil {
		return false, err
	}
	if held, err = holds(files, from); err != nil {
		return held, err
	}
	if !srv.byGTID || from.GTIDs.IsEmpty() {
		return held, heldFile(held, files, from)
	}
	return held, srv.admitGTIDs(held, from)
}

// isOurs checks that the server is the one of a position, and that it has not
// got our server_id.
func (srv *server) isOurs(q *session, from event.Position) error {
	if from.Server != "" && srv.identity != from.Server {
		return resilience.Errorf(resilience.Fatal, "foreign_server", opOpen, "%s answers at %s, the position is of %s", srv.identity, q.addr, from.Server).
			WithHint("point hosts at the server the pipeline started with; following another one is not in this release: to read it, %s", resilience.StartOver)
	}
	if srv.id == q.source.replica.id {
		return meaning{resilience.Fatal, codeClash, "the server itself has our server_id: set server_ids", false}.
			error(opOpen, fmt.Errorf("server_id %d is that of the server", srv.id))
	}
	return nil
}

// holds reports whether the log reaches the file and offset of a position. The
// file may be gone, but then newer ones must be there.
func holds(files []logFile, from event.Position) (bool, error) {
	if from.File.Name == "" || len(files) == 0 {
		return from.File.Name == "", nil
	}
	for _, f := range files {
		if f.name != from.File.Name {
			continue
		}
		if f.size < from.Offset {
			return false, resetError("%s ends at %d, before our position %d", f.name, f.size, from.Offset)
		}
		return true, nil
	}
	if last := files[len(files)-1].name; fileNumber(last) < fileNumber(from.File.Name) {
		return false, resetError("the last file is %s, our position is in %s", last, from.File.Name)
	}
	return false, nil
}

// heldFile requires the recorded file, where only file and offset say where
// reading goes on.
func heldFile(held bool, files []logFile, from event.Position) error {
	if held {
		return nil
	}
	first := "none"
	if len(files) > 0 {
		first = files[0].name
	}
	return meaning{resilience.Fatal, codePurged, hintPurged, false}.
		error(opOpen, fmt.Errorf("%s is needed, the oldest file is %s", from.File.Name, first))
}

func (srv *server) admitGTIDs(held bool, from event.Position) error {
	if missing := srv.purged.Subtract(from.GTIDs); !missing.IsEmpty() {
		return meaning{resilience.Fatal, codePurged, hintPurged, false}.
			error(opOpen, fmt.Errorf("the server has purged transactions that were not read: %s", missing))
	}
	ahead := from.GTIDs.Subtract(srv.executed)
	if ahead.IsEmpty() {
		return nil
	}
	if !held {
		return resetError("we have read transactions that the server does not have: %s", ahead)
	}
	if srv.flavor == event.MariaDB {
		return outOfOrder("the server's log is at %s, we have read %s", srv.executed, ahead)
	}
	// A transaction is in the log before it is executed; while one waits for a
	// semi-synchronous replica that may last.
	return resilience.Errorf(resilience.Transient, "source_behind_log", opOpen, "the server has not yet committed what is in its log: %s", ahead)
}

func resetError(format string, args ...any) error {
	return resilience.Errorf(resilience.Fatal, codeReset, opOpen, format, args...).WithHint("%s", hintReset)
}

// fileNumber is the number at the end of a log file's name.
func fileNumber(name string) uint64 {
	n, _ := strconv.ParseUint(name[strings.LastIndexByte(name, '.')+1:], 10, 64)
	return n
}

// stamped returns a file of the log with its stamp, read from the file itself.
func (s *Source) stamped(ctx context.Context, file string) (event.LogFile, error) {
	f := event.LogFile{Name: file}
	q, err := s.connect(ctx)
	if err != nil {
		return f, err
	}
	defer q.Close()
	if err := q.prepareProbe(ctx); err != nil {
		return f, err
	}
	// Server id 0 marks a reader that is no replica: it throws nobody out.
	if err := q.dumpFrom(file, 4, flagNonBlock, 0); err != nil {
		return f, err
	}
	w, frames := q.link(s.cfg.QueryTimeout, &pulse{})
	defer context.AfterFunc(ctx, w.interrupt)()
	for {
		ev, large, err := frames.next()
		if err != nil {
			return f, err
		}
		if large || binlog.EventType(ev[4]) != binlog.TypeFormat {
			continue
		}
		format, err := binlog.ParseFormat(ev)
		if err != nil {
			return f, err
		}
		f.StampTime, f.StampServer = format.StampTime, format.StampServer
		return f, nil
	}
}

// prepareProbe is prepareDump for a reader without an identity.
func (q *session) prepareProbe(ctx context.Context) error {
	_, err := q.ask(ctx, "SET @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum")
	return err
}

// checkStamp fails when the file of a position is another file of that name.
func checkStamp(recorded, found event.LogFile) error {
	if recorded.StampTime == 0 || recorded.Name != found.Name {
		return nil
	}
	if recorded.StampTime == found.StampTime && recorded.StampServer == found.StampServer {
		return nil
	}
	return resetError("%s was created by server %d at %s, ours by server %d at %s", found.Name,
		found.StampServer, stampText(found.StampTime), recorded.StampServer, stampText(recorded.StampTime))
}

func stampText(t uint32) string { return time.Unix(int64(t), 0).UTC().Format(time.RFC3339) }

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }
