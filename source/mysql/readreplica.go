package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// Tables may be read at a replica of the server that the stream reads. Whatever
// that shows, it got from the log of its primary: the end of that log, taken after
// the read, is behind it. So a chunk's High is a place in the stream's log here
// too. What must not be is a replica that shows something else: transactions of
// its own, or not those that the primary has.

const (
	codeReplicaForeign  = "snapshot_replica_foreign"
	codeReplicaFiltered = "snapshot_replica_filtered"
	codeReplicaDiffers  = "snapshot_replica_differs"
	codeReplicaBehind   = "snapshot_replica_behind"
	codeReplicaAhead    = "snapshot_replica_ahead"
)

const hintSnapshotFrom = "snapshot_from must lead to replicas of the server that hosts leads to"

// aheadPatience is how long a primary may take to show what its replica shows.
const aheadPatience = 5 * time.Second

// connectReader opens a session to read tables on: at the source's server, or at
// a replica with another one at the server beside it.
func (s *Source) connectReader(ctx context.Context) (*session, error) {
	if len(s.cfg.SnapshotFrom) == 0 {
		return s.connect(ctx)
	}
	q, err := s.connectAny(ctx, s.cfg.SnapshotFrom)
	if err != nil {
		return nil, err
	}
	if q.primary, err = s.connect(ctx); err != nil {
		_ = q.Close()
		return nil, err
	}
	return q, nil
}

// admitReplica requires that the session's server is a replica that has all of
// its primary's rows, and nothing else.
func (q *session) admitReplica(ctx context.Context, mode, modeThere string) error {
	if q.flavor != q.primary.flavor {
		return q.foreign("%s at %s is no replica of %s: it is another kind of server", q.identity, q.addr, q.primary.identity)
	}
	if mode != "ON" || modeThere != "ON" {
		return resilience.Errorf(resilience.Fatal, codeNeedsGTID, opReadChunk, "gtid_mode is %s at %s and %s at its primary: nothing tells what a replica shows", mode, q.addr, modeThere).
			WithHint(hintGTID + "; or leave snapshot_from out and set the source's watermark")
	}
	channels, err := q.replication(ctx)
	if err != nil {
		return err
	}
	if len(channels) == 0 {
		return q.foreign("%s at %s is no replica", q.identity, q.addr)
	}
	if err := q.isWhole(channels); err != nil {
		return err
	}
	_, err = q.highAtPrimary(ctx)
	return err
}

func (q *session) foreign(format string, args ...any) error {
	return resilience.Errorf(resilience.Fatal, codeReplicaForeign, opReadChunk, format, args...).WithHint(hintSnapshotFrom)
}

// replication is what the server tells of where it replicates from, by channel.
func (q *session) replication(ctx context.Context) ([]map[string]string, error) {
	ask := []string{"SHOW REPLICA STATUS", "SHOW SLAVE STATUS"} // the older name until MySQL 8.0.22
	if q.maria() {
		ask = []string{"SHOW ALL SLAVES STATUS"}
	}
	var r []map[string]string
	var err error
	for _, sql := range ask {
		if r, err = q.askNamed(ctx, sql); err == nil || resilience.ClassOf(err) == resilience.Transient {
			break
		}
	}
	if resilience.CodeOf(err) == codePrivilege {
		right := "REPLICATION CLIENT"
		if q.maria() {
			right = "SLAVE MONITOR"
		}
		return nil, resilience.Errorf(resilience.Fatal, codePrivilege, opReadChunk, "%w", err).
			WithHint("GRANT %s ON *.* TO %s; it is needed at the replica, to see what it replicates", right, q.account)
	}
	return r, err
}

// isWhole requires that nothing of what the primary logs is left out.
func (q *session) isWhole(channels []map[string]string) error {
	for _, c := range channels {
		for name, value := range c {
			if value != "" && strings.HasPrefix(name, "Replicate_") {
				return resilience.Errorf(resilience.Fatal, codeReplicaFiltered, opReadChunk, "%s at %s is %s: it has not all rows of its primary", name, q.addr, value).
					WithHint("read from a replica without filters, or leave snapshot_from out")
			}
		}
	}
	return nil
}

// viewReplica opens a view that shows everything up to seen, for which the
// replica gets the time of a query.
func (q *session) viewReplica(ctx context.Context, seen *event.Position) error {
	if err := q.applied(ctx, seen.GTIDs); err != nil || !q.maria() {
		return err
	}
	_, err := q.ask(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
	q.viewing = err == nil
	return err
}

// applied waits until the replica shows a set.
func (q *session) applied(ctx context.Context, set *event.GTIDSet) error {
	for began := time.Now(); ; {
		shows, err := q.applies(ctx, set)
		switch {
		case shows || err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Since(began) > q.source.cfg.QueryTimeout:
			return q.behind(ctx, set)
		}
	}
}

// applies waits for a slice of time. A MariaDB replica takes note of a number
// after it has committed, and per domain in order.
func (q *session) applies(ctx context.Context, set *event.GTIDSet) (bool, error) {
	if !q.maria() {
		return q.executes(ctx, set)
	}
	if set.IsEmpty() {
		return true, nil
	}
	r, err := q.row(ctx, fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', %g)", set, visibleSlice.Seconds()))
	return err == nil && r[0] == "0", err
}

// behind tells that the replica lags, and why if it says so.
func (q *session) behind(ctx context.Context, set *event.GTIDSet) error {
	has, err := q.has(ctx)
	if err != nil {
		return err
	}
	channels, err := q.replication(ctx)
	if err != nil {
		return err
	}
	why := ""
	for _, c := range channels {
		for _, name := range []string{"Last_SQL_Error", "Last_IO_Error"} {
			if c[name] != "" {
				why = ": it says " + c[name]
			}
		}
	}
	return resilience.Errorf(resilience.Transient, codeReplicaBehind, opReadChunk, "the replica does not show %s after %s%s", set.Subtract(has), q.source.cfg.QueryTimeout, why).
		WithPlace("%s", q.addr).WithHint("its replication lags or has stopped; cdcd waits for it")
}

// has is the set of transactions that the server shows.
func (q *session) has(ctx context.Context) (*event.GTIDSet, error) {
	ask := "SELECT @@global.gtid_executed"
	if q.maria() {
		ask = "SELECT @@global.gtid_slave_pos"
	}
	r, err := q.row(ctx, ask)
	if err != nil {
		return nil, err
	}
	return parseSet(q.flavor, r[0])
}

// highAtPrimary is the end of the primary's log, once that has everything which
// the replica shows.
func (q *session) highAtPrimary(ctx context.Context) (event.Coord, error) {
	has, err := q.has(ctx)
	if err != nil {
		return event.Coord{}, err
	}
	if err := q.ownWrites(ctx); err != nil {
		return event.Coord{}, err
	}
	began := time.Now()
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		file, offset, known, err := q.primary.logged(ctx)
		if err != nil {
			return event.Coord{}, err
		}
		ahead := has.Subtract(known)
		if ahead.IsEmpty() {
			return event.Coord{File: &event.LogFile{Name: file}, Offset: offset}, nil
		}
		if numberedBy(ahead, q.identity) || time.Since(began) > aheadPatience {
			return event.Coord{}, q.ahead(ahead, known)
		}
		if err := pause(ctx, wait); err != nil {
			return event.Coord{}, err
		}
	}
}

// logged is the end of the log and the transactions that are known to lie before it.
func (q *session) logged(ctx context.Context) (file string, offset uint64, known *event.GTIDSet, err error) {
	if !q.maria() {
		file, offset, gtids, err := q.logEnd(ctx)
		if err != nil {
			return "", 0, nil, err
		}
		known, err := parseSet(q.flavor, gtids)
		return file, offset, known, err
	}
	r, err := q.row(ctx, "SELECT @@global.gtid_binlog_pos, @@global.gtid_slave_pos")
	if err != nil {
		return "", 0, nil, err
	}
	if known, err = parseSet(q.flavor, r[0]); err != nil {
		return "", 0, nil, err
	}
	replicated, err := parseSet(q.flavor, r[1])
	if err != nil {
		return "", 0, nil, err
	}
	known.AddSet(replicated)
	file, offset, _, err = q.logEnd(ctx)
	return file, offset, known, err
}

// ahead tells of transactions that the replica has and its primary has not. What
// was numbered by a server that the primary has transactions of may be in its
// log, not committed there for as long as it waits for another replica.
func (q *session) ahead(ahead, known *event.GTIDSet) error {
	late := !q.maria() && !numberedBy(ahead, q.identity)
	for _, sid := range sources(ahead) {
		late = late && numberedBy(known, sid)
	}
	if !late {
		return q.foreign("%s at %s has transactions that its primary has not: %s", q.identity, q.addr, ahead)
	}
	return resilience.Errorf(resilience.Transient, codeReplicaAhead, opReadChunk, "the replica shows what its primary has not committed: %s", ahead).
		WithPlace("%s", q.addr).WithHint("the primary waits for the acknowledgement of another replica")
}

// sources are the servers that numbered MySQL's transactions.
func sources(set *event.GTIDSet) (sids []string) {
	for part := range strings.SplitSeq(set.String(), ",") {
		sid, _, _ := strings.Cut(part, ":")
		sids = append(sids, sid)
	}
	return sids
}

func numberedBy(set *event.GTIDSet, sid string) bool { return slices.Contains(sources(set), sid) }

// ownWrites refuses a MariaDB replica that has logged transactions of its own:
// their numbers may lie below those of the primary.
func (q *session) ownWrites(ctx context.Context) error {
	if !q.maria() {
		return nil
	}
	const ask = "SELECT @@global.server_id, @@global.gtid_binlog_state"
	r, err := q.row(ctx, ask)
	if err != nil {
		return err
	}
	there, err := q.primary.row(ctx, ask)
	if err != nil {
		return err
	}
	if own := lastOf(r[1], r[0]); len(own) > 0 && !covers(lastOf(there[1], r[0]), own) {
		return q.foreign("server_id %s at %s has written transactions that its primary has not: gtid_binlog_state is %s", r[0], q.addr, r[1])
	}
	return nil
}

// lastOf are the last numbers of a server by domain, in the text of MariaDB's
// binlog state.
func lastOf(state, server string) map[string]uint64 {
	last := map[string]uint64{}
	for gtid := range strings.SplitSeq(state, ",") {
		if p := strings.Split(strings.TrimSpace(gtid), "-"); len(p) == 3 && p[1] == server {
			last[p[0]] = number(p[2])
		}
	}
	return last
}

func covers(all, some map[string]uint64) bool {
	for domain, n := range some {
		if all[domain] < n {
			return false
		}
	}
	return true
}

// sameAtPrimary requires that a table at a replica is what it is at the primary:
// rows go by the replica's definition, changes by the primary's.
func (q *session) sameAtPrimary(ctx context.Context, req *source.ChunkRequest, d *definition) error {
	if q.primary == nil {
		return nil
	}
	there, err := q.primary.lookUp(ctx, req.Database, req.Table, nil)
	if err != nil || there.shape == d.shape {
		return err
	}
	changed := resilience.Errorf(resilience.Transient, codeDefinition, opReadChunk, "the table is being altered, and its replica has not all of that yet")
	// The statement that makes the difference may be on its way.
	if err := q.endView(ctx); err != nil {
		return err
	}
	_, _, known, err := q.primary.logged(ctx)
	if err != nil {
		return err
	}
	if err := q.applied(ctx, known); err != nil {
		return err
	}
	here, err := q.lookUp(ctx, req.Database, req.Table, d)
	if err != nil {
		return err
	}
	again, err := q.primary.lookUp(ctx, req.Database, req.Table, there)
	switch {
	case err != nil:
		return err
	case here.shape == there.shape, again.shape != there.shape:
		return changed
	}
	return resilience.Errorf(resilience.Fatal, codeReplicaDiffers, opReadChunk, "the table is (%s) at the replica %s and (%s) at its primary", here.shape, q.addr, there.shape).
		WithHint("make the table the same at both, or leave snapshot_from out")
}

// atPrimary looks twice at an error by which a table is not there: a replica may
// not have it yet.
func (q *session) atPrimary(ctx context.Context, req *source.ChunkRequest, err error) error {
	if q.primary == nil || resilience.CodeOf(err) != source.CodeNoTable {
		return err
	}
	if _, missing := q.primary.lookUp(ctx, req.Database, req.Table, nil); missing != nil {
		return missing
	}
	return resilience.Errorf(resilience.Transient, codeReplicaBehind, opReadChunk, "the replica at %s does not have the table yet", q.addr).
		WithPlace("%s.%s", req.Database, req.Table).WithHint("its replication lags or has stopped, or somebody dropped the table there")
}
