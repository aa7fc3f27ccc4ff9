package mysql

import (
	"context"
	"fmt"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// server is what a connection has to know about its server.
type server struct {
	flavor   event.Flavor
	identity string // event.Position.Server
	id       uint32 // server_id
	byGTID   bool   // the log can be read by GTID
	executed *event.GTIDSet
	purged   *event.GTIDSet // MySQL only
}

// inspect asks what the server is and which transactions it has.
func (q *session) inspect(ctx context.Context) (server, error) {
	if q.flavor == event.MariaDB {
		return q.inspectMariaDB(ctx)
	}
	r, err := q.row(ctx, "SELECT @@global.server_uuid, @@global.server_id, @@global.gtid_mode, @@global.gtid_executed, @@global.gtid_purged, @@global.log_bin")
	if err != nil {
		return server{}, err
	}
	s := server{flavor: q.flavor, identity: r[0], id: uint32(number(r[1])), byGTID: r[2] == "ON"}
	if s.executed, err = parseSet(q.flavor, r[3]); err != nil {
		return s, err
	}
	if s.purged, err = parseSet(q.flavor, r[4]); err != nil {
		return s, err
	}
	return s, logBin(r[5])
}

func (q *session) inspectMariaDB(ctx context.Context) (server, error) {
	r, err := q.row(ctx, "SELECT @@global.server_id, @@global.gtid_binlog_pos, @@global.log_bin")
	if err != nil {
		return server{}, err
	}
	s := server{flavor: q.flavor, identity: "server_id " + r[0], id: uint32(number(r[0])), byGTID: true}
	if s.executed, err = parseSet(q.flavor, r[1]); err != nil {
		return s, err
	}
	return s, logBin(r[2])
}

func parseSet(f event.Flavor, text string) (*event.GTIDSet, error) {
	set, err := event.ParseGTIDSet(f, text)
	if err != nil {
		return nil, resilience.Errorf(resilience.Fatal, "gtid_text", opAsk, "the server's GTID set: %w", err).
			WithHint("please report this with the text of the set")
	}
	return set, nil
}

func logBin(value string) error {
	if value == "1" || value == "ON" {
		return nil
	}
	return meanings[1381].error(opOpen, fmt.Errorf("log_bin is off"))
}

// logFile is a file of the log as the server lists it.
type logFile struct {
	name string
	size uint64
}

// logFiles lists the files of the log, oldest first.
func (q *session) logFiles(ctx context.Context) ([]logFile, error) {
	r, err := q.ask(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return nil, err
	}
	files := make([]logFile, len(r))
	for i := range r {
		files[i] = logFile{name: r[i][0], size: number(r[i][1])}
	}
	return files, nil
}

// logStatus is the end of the log, file and offset, the databases that it is
// bound to and those it leaves out, and on MySQL the executed GTIDs.
func (q *session) logStatus(ctx context.Context) ([]string, error) {
	r, err := q.row(ctx, "SHOW BINARY LOG STATUS")
	if err != nil && resilience.ClassOf(err) != resilience.Transient {
		// Servers before MySQL 8.2 and MariaDB before 11.3 know the older name only.
		r, err = q.row(ctx, "SHOW MASTER STATUS")
	}
	if err == nil && len(r) < 4 {
		err = logBin("OFF")
	}
	return r, err
}

// logEnd is the end of the log, and on MySQL the GTIDs executed up to there.
func (q *session) logEnd(ctx context.Context) (file string, offset uint64, gtids string, err error) {
	r, err := q.logStatus(ctx)
	if err != nil {
		return "", 0, "", err
	}
	if len(r) > 4 {
		gtids = r[4]
	}
	return r[0], number(r[1]), gtids, nil
}
