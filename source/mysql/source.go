package mysql

import (
	"context"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/source"
)

// Source reads the log of one MySQL or MariaDB server for one pipeline. It
// implements source.Source, source.Surveyor, source.Snapshotter and
// resilience.Doctor. But for the methods of source.Snapshotter it serves one
// goroutine; its streams share its memory, so one is open at a time.
type Source struct {
	cfg     Config
	replica replica
	filter  *filter
	tables  *tables
	worked  bool // some stream has worked: see meaning.curable
	// damaged is the place of the last wrong checksum. Bytes may be damaged on
	// the way once; twice at the same place means that the log is.
	damaged     spot
	definitions *definitions // of the tables that are read in chunks; safe for concurrent use
}

// spot is a place as a comparable value.
type spot struct {
	file   string
	offset uint64
}

// New returns the source of a pipeline. The names of installation and pipeline
// tell apart the readers of one server; cfg must be valid.
func New(cfg Config, installation, pipeline string) *Source {
	s := &Source{cfg: cfg, replica: newReplica(cfg.ServerIDs, installation, pipeline), filter: newFilter(&cfg), definitions: newDefinitions()}
	s.tables = newTables(s.filter)
	return s
}

// logFileStart is the offset of the first event of a log file.
const logFileStart = 4

// Start returns the end of the server's log now. Where MySQL is read by GTID
// its set says so, and the offset is the start of the file.
func (s *Source) Start(ctx context.Context) (event.Position, error) {
	q, err := s.connect(ctx)
	if err != nil {
		return event.Position{}, err
	}
	defer q.Close()
	srv, err := q.inspect(ctx)
	if err != nil {
		return event.Position{}, err
	}
	if err := q.admitLog(ctx); err != nil {
		return event.Position{}, err
	}
	file, offset, gtids, err := q.logEnd(ctx)
	if err != nil {
		return event.Position{}, err
	}
	p := event.Position{Flavor: q.flavor, Server: srv.identity, Offset: offset}
	if srv.byGTID && q.flavor == event.MySQL {
		// A commit is flushed to the log before it enters gtid_executed: under
		// load the set may lack transactions that lie before the offset. The
		// set decides what is read, so the place must not claim more than it.
		settled, err := q.settled(ctx, file, offset, gtids)
		if err != nil {
			return event.Position{}, err
		}
		if !settled {
			p.Offset = logFileStart
		}
	}
	if p.GTIDs, err = q.gtidsAt(ctx, file, offset, gtids); err != nil {
		return event.Position{}, err
	}
	p.File, err = s.stamped(ctx, file)
	return p, err
}

// settled reports whether the set that MySQL told with the end of its log is that
// of all transactions before it: nothing was written to the log since, and
// meanwhile there was a moment at which no commit was under way. From being written to
// the log until it is executed a transaction owns its GTID.
func (q *session) settled(ctx context.Context, file string, offset uint64, gtids string) (bool, error) {
	owned, err := q.row(ctx, "SELECT @@global.gtid_owned")
	if err != nil || owned[0] != "" {
		return false, err
	}
	nowFile, nowOffset, nowGTIDs, err := q.logEnd(ctx)
	return nowFile == file && nowOffset == offset && nowGTIDs == gtids, err
}

// gtidsAt is the set of all transactions before a place. MySQL tells it with
// the place, in one consistent answer; MariaDB is asked for it by the place.
func (q *session) gtidsAt(ctx context.Context, file string, offset uint64, told string) (*event.GTIDSet, error) {
	if q.flavor == event.MariaDB {
		r, err := q.row(ctx, "SELECT BINLOG_GTID_POS('"+file+"', "+uintText(offset)+")")
		if err != nil {
			return nil, err
		}
		told = r[0]
	}
	return parseSet(q.flavor, told)
}

// Open connects and starts to read right after from.
func (s *Source) Open(ctx context.Context, from event.Position) (source.Stream, error) {
	st := newStream(s, from)
	if err := st.open(ctx); err != nil {
		_ = st.Close()
		return nil, err
	}
	return st, nil
}
