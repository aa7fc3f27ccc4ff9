package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// errStale says that the server has another definition of the table than we.
var errStale = errors.New("the definition of the table has changed")

// chunkRows are the rows of one SELECT.
type chunkRows struct {
	bodies []event.RawRows
	count  int
	bytes  int
	last   []byte // the last row; of a filtered scan, where it ended
	all    bool   // nothing is left behind them
	broken bool   // so much more came that the connection is given up
	// take gets the bodies as soon as they are full; nil: they are kept.
	take func(event.RawRows) error
}

const comStmtExecute = 0x17

// selectRows runs a SELECT of the table's fields and keeps the rows, as the
// binary protocol has them, until they have maxBytes.
func (q *session) selectRows(ctx context.Context, d *definition, sql string, bufferSize, maxBytes int) (chunkRows, error) {
	limit := q.source.cfg.QueryTimeout + queryGrace
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	guard := interruptOn(ctx, q.Conn.Conn.Conn)
	rows, err := q.execute(d, sql, bufferSize, maxBytes, nil)
	return rows, selectError(ctx, guard(), err)
}

// selectError is the error of a SELECT that was, or was not, in time.
func selectError(ctx context.Context, inTime bool, err error) error {
	if !inTime && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = resilience.Errorf(resilience.Transient, "source_slow", opReadChunk, "%w", context.Cause(ctx))
	}
	return err
}

// queryGrace is how much longer than the server we wait for it to give up a
// statement that takes too long.
const queryGrace = 5 * time.Second

func (q *session) execute(d *definition, sql string, bufferSize, maxBytes int, take func(event.RawRows) error) (rows chunkRows, err error) {
	rows.take = take
	stmt, err := q.Prepare(sql)
	if err != nil {
		return rows, err
	}
	p := binary.LittleEndian.AppendUint32(command(comStmtExecute), stmt.ID)
	p = append(p, 0)                           // no cursor
	p = binary.LittleEndian.AppendUint32(p, 1) // always 1
	if err := q.send(p); err != nil {
		return rows, err
	}
	b := newRowBuffer(q.Conn.Conn.Conn, q.Sequence, bufferSize, int(q.source.cfg.MaxRowBytes))
	if err := readFields(b, d); err != nil {
		return rows, err
	}
	if err := rows.read(b, maxBytes); err != nil {
		return rows, err
	}
	rows.bodies = b.bodies
	if rows.broken {
		return rows, nil
	}
	return rows, stmt.Close()
}

// dropAtMost is up to how many bytes behind a chunk are read rather than give
// up the connection.
const dropAtMost = 4 << 20

// eofSize is the size of an EOF packet. The OK packet that ends the rows
// instead where both sides know it has 7 bytes at least.
const eofSize = 5

// read takes the rows. What comes behind maxBytes is passed over: the LIMIT was
// chosen so that it is little.
func (rows *chunkRows) read(b *rowBuffer, maxBytes int) error {
	dropped := 0
	for first := true; ; first = false {
		p, err := b.next()
		if err != nil {
			return err
		}
		switch {
		case len(p) == 0:
			return garbled("an empty packet where a row is due")
		case p[0] == 0xff:
			return errorPacket(p)
		case p[0] == 0xfe && first && len(p) == eofSize:
			b.begin() // ends the list of fields; newer servers leave it out
		case p[0] == 0xfe:
			rows.all = !b.dropping
			b.pos -= packetHeader + len(p)
			b.cut()
			return rows.handOver(b)
		case b.dropping:
			if dropped += len(p); dropped > dropAtMost {
				rows.broken = true
				return nil
			}
		default:
			b.rows++
			rows.count++
			rows.bytes += packetHeader + len(p)
			rows.last = p
			if rows.bytes >= maxBytes {
				b.drop()
			}
			if err := rows.handOver(b); err != nil {
				return err
			}
		}
	}
}

// handOver gives away the bodies that are full, where somebody takes them.
func (rows *chunkRows) handOver(b *rowBuffer) error {
	if rows.take == nil {
		return nil
	}
	for _, body := range b.bodies {
		if err := rows.take(body); err != nil {
			return err
		}
	}
	b.bodies = b.bodies[:0]
	return nil
}

// readFields reads the head of a result and checks that it is of the form that
// the layout expects.
func readFields(b *rowBuffer, d *definition) error {
	p, err := b.next()
	if err != nil {
		return err
	}
	if len(p) > 0 && p[0] == 0xff {
		return errorPacket(p)
	}
	n, _ := lengthEncoded(p)
	if n != len(d.fields) {
		return garbled("a result has %d columns, %d were asked for", n, len(d.fields))
	}
	stale := false
	for i := range d.fields {
		if p, err = b.next(); err != nil {
			return err
		}
		kind, unsigned, ok := fieldKind(p)
		if !ok {
			return garbled("a column of a result cannot be read")
		}
		stale = stale || !d.fits(i, kind, unsigned)
	}
	b.begin()
	if stale {
		return errStale
	}
	return nil
}

// fits reports whether a field of a result is what its step reads.
func (d *definition) fits(i int, kind wireKind, unsigned bool) bool {
	f := &d.fields[i]
	if kind != f.kind {
		return false
	}
	switch kind {
	case wireTiny, wireShort, wireLong, wireLongLong:
		op := d.layout.steps[f.column].op
		signed := op == chunkInt8 || op == chunkInt16 || op == chunkInt32 || op == chunkInt64
		return signed != unsigned
	}
	return true
}

// fieldKind reads the packet that describes a column of a result: six texts,
// then the fixed part.
func fieldKind(p []byte) (kind wireKind, unsigned, ok bool) {
	for range 6 {
		n, size := lengthEncoded(p)
		if n < 0 || n > len(p)-size {
			return 0, false, false
		}
		p = p[size+n:]
	}
	if len(p) < 11 {
		return 0, false, false
	}
	const unsignedFlag = 32
	return kindOf(p[7]), binary.LittleEndian.Uint16(p[8:])&unsignedFlag != 0, true
}

// kindOf takes the server's types of columns together.
func kindOf(t byte) wireKind {
	switch t {
	case 9: // MEDIUMINT
		return wireLong
	case 14:
		return wireDate
	case 19:
		return wireTime
	case 7, 17, 18: // TIMESTAMP and the stored forms
		return wireDateTime
	case 0:
		return wireDecimal
	case 15, 249, 250, 251, 252, 253:
		return wireString
	}
	return wireKind(t)
}
