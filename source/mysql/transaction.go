package mysql

import (
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// transaction is what is known of the transaction the stream is in.
type transaction struct {
	phase  phase
	begin  place // before its first event
	gtid   event.GTID
	skip   bool // delivered before: pass over it
	xa     bool
	server uint32
	thread uint32
	time   time.Time
	micros bool
	events int  // rows events and statements seen so far
	rows   int  // events of captured rows that were handed on
	doomed bool // rows were handed on that a savepoint takes back: it must be read again
	saves  []savepoint
}

// phase says how far into a transaction the stream is.
type phase uint8

const (
	idle    phase = iota
	begun         // its GTID was seen, and no statement yet
	running       // its events go on until a commit or rollback
)

// dispatch interprets the event at hand and reports whether ev was filled.
func (st *stream) dispatch(ev *event.Event) (bool, error) {
	switch t := st.cur.header.Type; t {
	case binlog.TypeTableMap:
		return false, st.tableMap()
	case binlog.TypeGTID, binlog.TypeAnonymousGTID, binlog.TypeTaggedGTID, binlog.TypeMariaDBGTID:
		return st.gtid(ev)
	case binlog.TypeQuery, binlog.TypeQueryCompressed:
		return st.query(ev)
	case binlog.TypeXID:
		return st.finish(ev, event.EvCommit)
	case binlog.TypePayload:
		return false, st.openPayload()
	case binlog.TypeFormat:
		return st.formatEvent(ev)
	case binlog.TypeRotate:
		return false, st.rotate()
	case binlog.TypeHeartbeat, binlog.TypeHeartbeatV2:
		return st.heartbeat(ev)
	case binlog.TypeXAPrepare:
		return st.xaPrepare(ev)
	case binlog.TypeIncident:
		return false, st.incident()
	case binlog.TypeStop, binlog.TypeIntVar, binlog.TypeRand, binlog.TypeUserVar, binlog.TypeIgnorable, binlog.TypeRowsQuery,
		binlog.TypePreviousGTIDs, binlog.TypeTxContext, binlog.TypeViewChange, binlog.TypeAnnotate,
		binlog.TypeBinlogCheckpoint, binlog.TypeMariaDBGTIDList, binlog.TypeStartEncryption:
		return false, st.drop()
	case binlog.TypeBeginLoadQuery, binlog.TypeExecuteLoadQuery:
		return false, st.statementFormat("LOAD DATA", true)
	default:
		if t.IsRows() {
			return st.rows(ev)
		}
		if st.cur.header.Ignorable() {
			return false, st.drop()
		}
		return false, resilience.Errorf(resilience.Fatal, "unknown_event", opRead, "a %s event is not known to this release", t).
			WithHint("the server is newer than this release: upgrade cdcd, or turn off the feature that writes such events")
	}
}

// gtid opens a transaction.
func (st *stream) gtid(ev *event.Event) (bool, error) {
	if st.tx.phase != idle {
		return false, st.unexpected("a transaction begins inside another one")
	}
	body, err := st.body()
	if err != nil {
		return false, err
	}
	st.found()
	st.newTransaction()
	if st.cur.header.Type == binlog.TypeMariaDBGTID {
		err = st.tx.openMariaDB(st.cur.header, body)
	} else {
		err = st.tx.openMySQL(st.cur.header, body)
	}
	if err == nil {
		err = st.checkOrder()
	}
	if err != nil || st.tx.skip {
		return false, err
	}
	st.fillBegin(ev)
	return true, nil
}

// found is called once the server has found the place to start from: from now
// on it is never silent for long.
func (st *stream) found() {
	st.wire.silence = st.source.cfg.SilenceTimeout
	st.source.worked = true
}

// newTransaction resets the state to the start of the event at hand.
func (st *stream) newTransaction() {
	st.tx = transaction{saves: st.tx.saves[:0], server: st.cur.header.ServerID, phase: begun}
	st.tx.begin = place{file: st.place.file, offset: st.cur.start}
	st.voids.enter(spot{st.place.file.Name, st.cur.start})
	st.source.tables.begin()
}

func (tx *transaction) openMySQL(h binlog.Header, body []byte) error {
	g, err := binlog.ParseGTID(h.Type, body)
	if err != nil {
		return err
	}
	tx.gtid = g.GTID
	if g.Immediate > 0 {
		tx.time, tx.micros = time.UnixMicro(int64(g.Immediate)), true
	}
	return nil
}

// openMariaDB opens a group: the GTID event says BEGIN itself unless a lone
// statement follows.
func (tx *transaction) openMariaDB(h binlog.Header, body []byte) error {
	g, err := binlog.ParseMariaDBGTID(h, body)
	if err != nil {
		return err
	}
	if g.PreparedXA() {
		return errXA("an XA transaction is prepared")
	}
	tx.gtid = g.GTID
	if !g.Standalone() {
		tx.phase = running
	}
	return nil
}

// checkOrder passes over transactions that were delivered before the
// connection was opened, which come first if at all. Once a new one has come,
// an old one means that the log does not continue what we have read.
func (st *stream) checkOrder() error {
	if st.tx.gtid.IsZero() {
		return nil
	}
	if !st.done.Contains(st.tx.gtid) {
		if st.seam {
			st.seam = false
			return st.checkSeam()
		}
		return nil
	}
	if st.seam {
		st.tx.skip = true
		return nil
	}
	if st.flavor == event.MariaDB {
		last, _ := st.done.Last(st.tx.gtid.Domain)
		return outOfOrder("%s comes after %s", st.tx.gtid, last)
	}
	return resilience.Errorf(resilience.Fatal, "gtid_repeated", opRead, "%s comes a second time", st.tx.gtid).
		WithHint("%s", hintReset)
}

// outOfOrder is about a server that does not keep the numbers of a domain
// rising, which MariaDB allows.
func outOfOrder(format string, args ...any) error {
	return resilience.Errorf(resilience.Fatal, "gtid_out_of_order", opRead, format+": numbers of a domain must rise", args...).
		WithHint("set gtid_strict_mode=ON on the source, give writers on different servers different gtid_domain_id, and %s", resilience.StartOver)
}

// checkSeam refuses what lies before the position in the same log: then the
// position's GTID set does not cover all that was read.
func (st *stream) checkSeam() error {
	from, at := &st.from, &st.tx.begin
	if from.File.Name == "" || fileNumber(at.file.Name) > fileNumber(from.File.Name) ||
		at.file.Name == from.File.Name && at.offset >= from.Offset {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "gtid_set_incomplete", opRead,
		"%s lies before the position %s:%d but not in its GTID set", st.tx.gtid, from.File.Name, from.Offset).
		WithHint("GTIDs were turned on after the pipeline started, or the log was reset: %s", resilience.StartOver)
}

func (st *stream) fillBegin(ev *event.Event) {
	*ev = event.Event{Kind: event.EvBegin, Coord: st.tx.begin.coord(), GTID: st.tx.gtid}
	st.describe(ev)
}

// describe fills in who executed the transaction, and when.
func (st *stream) describe(ev *event.Event) {
	ev.ServerID, ev.Thread, ev.Time, ev.Micros = st.tx.server, st.tx.thread, st.tx.time, st.tx.micros
	if ev.Time.IsZero() && ev.Kind != event.EvBegin {
		ev.Time = time.Unix(int64(st.cur.header.Time), 0)
	}
}

// finish ends the transaction with a commit or a rollback.
func (st *stream) finish(ev *event.Event, kind event.EventKind) (bool, error) {
	if st.tx.phase == idle {
		return false, st.unexpected("a transaction ends that did not begin")
	}
	if st.cur.kind == large {
		return false, st.unexpected("the end of a transaction is too large")
	}
	if err := st.finishPayload(); err != nil {
		return false, err
	}
	if st.tx.doomed && kind == event.EvCommit {
		st.voids.again = true
		return false, nil
	}
	*ev = event.Event{Kind: kind, Coord: st.place.coord()}
	ev.Coord.GTID = st.tx.gtid
	st.describe(ev)
	found := !st.tx.skip
	st.leave()
	return found, nil
}

// leave records that the transaction is finished.
func (st *stream) leave() {
	if !st.tx.gtid.IsZero() {
		st.done.Add(st.tx.gtid)
	}
	st.safe = st.place
	st.tx.phase, st.tx.skip = idle, false
	st.voids.leave()
}

// formatEvent takes the format of the events that follow. A transaction that
// is still open was cut off when its server died; it never committed.
func (st *stream) formatEvent(ev *event.Event) (bool, error) {
	f, err := binlog.ParseFormat(st.cur.body)
	if err != nil {
		return false, err
	}
	st.format = f
	st.place.stamp(f)
	if err := checkStamp(st.from.File, *st.place.file); err != nil {
		return false, err
	}
	if st.tx.phase == idle {
		return false, nil
	}
	skipped := st.tx.skip
	st.tx.phase, st.tx.skip = idle, false
	*ev = event.Event{Kind: event.EvReset, Coord: st.place.coord()}
	return !skipped, nil
}

// rotate goes on in another file. The server tells it twice: at the end of a
// file, if that was closed in order, and by an artificial event before the next.
func (st *stream) rotate() error {
	body, err := st.body()
	if err != nil {
		return err
	}
	r, err := binlog.ParseRotate(body)
	if err != nil {
		return err
	}
	st.place.enter(r.Next, r.Offset)
	return nil
}

func (st *stream) heartbeat(ev *event.Event) (bool, error) {
	body, err := st.body()
	if err != nil {
		return false, err
	}
	hb, err := binlog.ParseHeartbeat(st.cur.header, body)
	if err != nil || st.tx.phase != idle || st.skipTo > 0 {
		return false, err
	}
	st.found()
	st.place.heartbeat(st.cur.header, hb)
	st.safe = st.place
	*ev = event.Event{Kind: event.EvHeartbeat, Coord: st.place.coord()}
	return true, nil
}

func (st *stream) incident() error {
	body, err := st.body()
	if err != nil {
		return err
	}
	reason, err := binlog.ParseIncident(body)
	if err != nil {
		return err
	}
	return resilience.Errorf(resilience.Fatal, "incident", opRead, "the source lost events here: %s", reason).
		WithHint("the log does not hold all changes any more: %s", resilience.StartOver)
}

// xaPrepare stops, but for a transaction that commits in one phase and has
// nothing for us.
func (st *stream) xaPrepare(ev *event.Event) (bool, error) {
	body, err := st.body()
	if err != nil {
		return false, err
	}
	x, err := binlog.ParseXAPrepare(body)
	if err != nil {
		return false, err
	}
	if !x.OnePhase {
		return false, errXA("an XA transaction is prepared")
	}
	return st.finish(ev, event.EvCommit)
}

func errXA(what string) error {
	return resilience.Errorf(resilience.Fatal, codeXA, opRead, "%s", what).
		WithHint("XA transactions are not in this release: commit what XA RECOVER lists, keep XA away from this server, and %s", resilience.StartOver)
}

func (st *stream) unexpected(what string) error {
	return resilience.Errorf(resilience.Fatal, codeUnexpected, opRead, "%s (%s event)", what, st.cur.header.Type).
		WithHint("the log is not as a server writes it, or in a way this release does not know: look at it with mysqlbinlog and report this")
}
