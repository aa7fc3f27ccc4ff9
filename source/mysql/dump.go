package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// Commands of the protocol that go-mysql's client does not send.
const (
	comBinlogDump     = 0x12
	comRegisterSlave  = 0x15
	comBinlogDumpGTID = 0x1e
)

const (
	// flagNonBlock makes the server end the stream at the end of the log.
	flagNonBlock = 1 << 0
	// flagFull asks MySQL for heartbeats with 64-bit offsets, and MariaDB for
	// ANNOTATE_ROWS events: without them the sizes of the events that arrive do
	// not add up to offsets, and inside a group it sends no others.
	flagFull = 1 << 1
)

// netWriteTimeout is how many seconds the server lets a dump that nobody reads
// from hang before it gives up on it: a full ring stops the read, and that may
// last as long as a sink is away.
const netWriteTimeout = 3600

// prepareDump sets what a dump needs in the session: that we understand
// checksums (it then sends them as they are in the log), heartbeats, who we
// are, and patience. Semi-synchronous replication is never asked for: the
// source must not wait for us.
func (q *session) prepareDump(ctx context.Context) error {
	sets := []string{
		"@master_binlog_checksum = @@global.binlog_checksum",
		"@source_binlog_checksum = @@global.binlog_checksum",
		fmt.Sprintf("@master_heartbeat_period = %d", q.source.cfg.Heartbeat.Nanoseconds()),
		fmt.Sprintf("@source_heartbeat_period = %d", q.source.cfg.Heartbeat.Nanoseconds()),
		fmt.Sprintf("@slave_uuid = '%s'", q.source.replica.uuid),
		fmt.Sprintf("@replica_uuid = '%s'", q.source.replica.uuid),
		fmt.Sprintf("SESSION net_write_timeout = %d", netWriteTimeout),
	}
	if q.flavor == event.MariaDB {
		// 4: the slave understands GTIDs.
		sets = append(sets, "@mariadb_slave_capability = 4")
	}
	_, err := q.ask(ctx, "SET "+strings.Join(sets, ", "))
	return err
}

// register makes us visible in SHOW REPLICAS.
func (q *session) register(ctx context.Context) error {
	host, _ := os.Hostname()
	host = host[:min(len(host), 60)]
	user := q.source.cfg.User
	user = user[:min(len(user), 32)]
	p := command(comRegisterSlave)
	p = binary.LittleEndian.AppendUint32(p, q.source.replica.id)
	p = append(append(p, byte(len(host))), host...)
	p = append(append(p, byte(len(user))), user...)
	p = append(p, 0) // no password: it would show
	p = binary.LittleEndian.AppendUint16(p, 0)
	p = binary.LittleEndian.AppendUint32(p, 0)
	p = binary.LittleEndian.AppendUint32(p, 0)
	ctx, cancel := context.WithTimeout(ctx, q.source.cfg.QueryTimeout)
	defer cancel()
	defer interruptOn(ctx, q.Conn.Conn.Conn)()
	if err := q.send(p); err != nil {
		return err
	}
	answer, err := q.ReadPacket()
	if err != nil {
		return connectError(opOpen, err, true)
	}
	if len(answer) > 0 && answer[0] == 0xff {
		return connectError(opOpen, errorPacket(answer), q.source.worked)
	}
	return nil
}

// dumpByGTID asks for everything that is not in set.
func (q *session) dumpByGTID(ctx context.Context, set *event.GTIDSet) error {
	if q.flavor == event.MariaDB {
		return q.dumpMariaDB(ctx, set)
	}
	data, err := set.AppendBinary(nil)
	if err != nil {
		return err
	}
	p := command(comBinlogDumpGTID)
	p = binary.LittleEndian.AppendUint16(p, flagFull)
	p = binary.LittleEndian.AppendUint32(p, q.source.replica.id)
	p = binary.LittleEndian.AppendUint32(p, 0) // no file name: the server finds the file
	p = binary.LittleEndian.AppendUint64(p, 4)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(data)))
	return q.send(append(p, data...))
}

// dumpMariaDB asks by GTID: the place is a session variable. The server then
// refuses a place that its log does not hold instead of guessing.
func (q *session) dumpMariaDB(ctx context.Context, set *event.GTIDSet) error {
	_, err := q.ask(ctx, "SET @slave_connect_state = '"+set.String()+"', @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0")
	if err != nil {
		return err
	}
	return q.dumpFrom("", 4, flagFull, q.source.replica.id)
}

// dumpFrom asks for a file from an offset on, which the protocol limits to 32 bits.
func (q *session) dumpFrom(file string, offset uint32, flags uint16, serverID uint32) error {
	p := command(comBinlogDump)
	p = binary.LittleEndian.AppendUint32(p, offset)
	p = binary.LittleEndian.AppendUint16(p, flags)
	p = binary.LittleEndian.AppendUint32(p, serverID)
	return q.send(append(p, file...))
}

func command(code byte) []byte { return []byte{0, 0, 0, 0, code} }

func (q *session) send(p []byte) error {
	q.ResetSequence()
	if err := q.WritePacket(p); err != nil {
		return resilience.Errorf(resilience.Transient, "connection_lost", opOpen, "%w", err)
	}
	return nil
}

// link takes the connection over once a dump was asked for: from here on its
// packets are read by us alone. All answers before were read to their end, so
// the client's own buffer is empty.
func (q *session) link(silence time.Duration, p *pulse) (*wire, *framer) {
	_ = q.Conn.Conn.Conn.SetDeadline(time.Time{})
	w := &wire{conn: q.Conn.Conn.Conn, silence: silence, pulse: p}
	return w, newFramer(w, q.Sequence)
}
