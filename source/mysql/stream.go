package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// startSilence is how long the server may be silent before the first event
// when it searches its log for the place to start from.
const startSilence = 60 * time.Second

// stream implements source.Stream on one connection at a time.
type stream struct {
	source *Source
	from   event.Position
	flavor event.Flavor
	byGTID bool

	conn   net.Conn
	wire   *wire
	pulse  pulse
	frames *framer
	format *binlog.Format
	cur    current
	place  place
	skipTo uint64 // file + offset beyond 32 bits: events before are passed over

	tx       transaction
	done     *event.GTIDSet // all transactions up to the last finished one
	safe     place          // after the last finished transaction
	seam     bool           // nothing new has come since the position we started from
	voids    voids
	queued   event.Event
	hasQueue bool
	payload  *binlog.PayloadReader
	inside   *payloadSource // the payload event being read, nil outside of one
	inflater binlog.Inflater

	err     error
	watched context.Context // the one whose end interrupts the wire
	unwatch func() bool
}

func newStream(s *Source, from event.Position) *stream {
	return &stream{source: s, from: from.Clone(), inflater: binlog.Inflater{Max: int(s.cfg.MaxRowBytes)}}
}

// open connects and asks for the log right after the position st.from.
func (st *stream) open(ctx context.Context) error {
	q, err := st.source.connect(ctx)
	if err != nil {
		return err
	}
	st.conn = q.Conn.Conn.Conn
	srv, err := q.inspect(ctx)
	if err != nil {
		return err
	}
	held, err := q.admit(ctx, srv, st.from)
	if err != nil {
		return err
	}
	if err := q.admitLog(ctx); err != nil {
		return err
	}
	st.flavor = q.flavor
	st.byGTID = srv.byGTID && (!st.from.GTIDs.IsEmpty() || st.from.File.Name == "")
	if err := st.checkRecordedFile(ctx, held); err != nil {
		return err
	}
	if st.source.tables.charsets == nil {
		if st.source.tables.charsets, err = q.charsets(ctx); err != nil {
			return err
		}
	}
	if err := q.prepareDump(ctx); err != nil {
		return err
	}
	if err := q.register(ctx); err != nil {
		return err
	}
	if err := st.dump(ctx, q); err != nil {
		return err
	}
	st.wire, st.frames = q.link(max(startSilence, st.source.cfg.SilenceTimeout), &st.pulse)
	st.begin()
	return nil
}

// checkRecordedFile reads the stamp of the position's file where the dump by
// GTID might start in a later one and so never show it.
func (st *stream) checkRecordedFile(ctx context.Context, held bool) error {
	if !st.byGTID || !held || st.from.File.StampTime == 0 {
		return nil
	}
	found, err := st.source.stamped(ctx, st.from.File.Name)
	if err != nil {
		return err
	}
	return checkStamp(st.from.File, found)
}

func (st *stream) dump(ctx context.Context, q *session) error {
	if st.byGTID {
		return q.dumpByGTID(ctx, st.from.GTIDs)
	}
	offset := st.from.Offset
	st.skipTo = 0
	if offset > 1<<32-1 {
		// The command has 32 bits only: read the file from its start and pass
		// over what was read before.
		st.skipTo, offset = offset, 4
	}
	return q.dumpFrom(st.from.File.Name, uint32(offset), flagFull, q.source.replica.id)
}

// begin resets what belongs to one connection and announces the seam.
func (st *stream) begin() {
	file := st.from.File
	st.place = place{file: &file, offset: st.from.Offset}
	st.safe = st.place
	st.format = &binlog.Format{}
	st.tx = transaction{}
	st.inside = nil
	st.done = st.from.GTIDs.Clone()
	if st.done == nil {
		st.done = event.NewGTIDSet(st.flavor)
	}
	st.seam = true
	st.queued, st.hasQueue = event.Event{Kind: event.EvReset, Coord: st.place.coord()}, true
}

// Next implements source.Stream. Once it has failed, or a ctx given to it has
// ended, the stream is good for Close only.
func (st *stream) Next(ctx context.Context, ev *event.Event) error {
	if st.err != nil {
		return st.err
	}
	st.watch(ctx)
	err := st.next(ctx, ev)
	if err == nil {
		return nil
	}
	st.err = st.explain(ctx, err)
	return st.err
}

// watch makes the end of ctx interrupt the wire. Callers pass the same ctx
// again and again, so this costs nothing per event.
func (st *stream) watch(ctx context.Context) {
	if st.watched == ctx {
		return
	}
	if st.unwatch != nil {
		st.unwatch()
	}
	st.watched, st.unwatch = ctx, context.AfterFunc(ctx, st.wire.interrupt)
}

func (st *stream) next(ctx context.Context, ev *event.Event) error {
	for {
		if st.hasQueue {
			*ev, st.hasQueue = st.queued, false
			st.queued = event.Event{}
			return nil
		}
		if err := st.advance(); err != nil {
			return err
		}
		found, err := st.dispatch(ev)
		if err != nil {
			return err
		}
		if st.voids.again {
			if err := st.reread(ctx); err != nil {
				return err
			}
			continue
		}
		if found {
			return nil
		}
	}
}

// explain adds the place to an error and tells a damaged connection from a
// damaged log.
func (st *stream) explain(ctx context.Context, err error) error {
	if errors.Is(err, errInterrupted) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var named *resilience.Error
	if !errors.As(err, &named) {
		return fmt.Errorf("%s at %s: %w", opRead, st.where(), err)
	}
	if named.Code == binlog.CodeChecksum {
		st.damaged(named)
	}
	if named.Code == binlog.CodeEventTooLarge {
		named.Code = codeRowSize // one bound, one name, whoever finds it
	}
	if named.At == "" {
		named.At = st.where()
	}
	return err
}

func (st *stream) damaged(e *resilience.Error) {
	here := spot{st.place.file.Name, st.place.offset}
	if here != st.source.damaged {
		e.Class = resilience.Transient
	}
	st.source.damaged = here
	e.At = st.where()
}

func (st *stream) where() string {
	if st.place.file == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", st.place.file.Name, st.place.offset)
}

// Pulse implements source.Pulser.
func (st *stream) Pulse() (progress uint64, waiting bool) {
	return st.pulse.bytes.Load(), st.pulse.waiting.Load()
}

// Close implements source.Stream.
func (st *stream) Close() error {
	if st.unwatch != nil {
		st.unwatch()
		st.unwatch, st.watched = nil, nil
	}
	if st.payload != nil {
		st.payload.Close()
		st.payload, st.inside = nil, nil
	}
	if st.err == nil {
		st.err = resilience.Errorf(resilience.Transient, "stream_closed", opRead, "the stream is closed")
	}
	if st.conn == nil {
		return nil
	}
	conn := st.conn
	st.conn = nil
	// No goodbye: the server may be blocked in a write to us.
	return conn.Close()
}

// reread goes back to the end of the last finished transaction on a new
// connection.
func (st *stream) reread(ctx context.Context) error {
	st.unwatch()
	st.watched, st.unwatch = nil, nil
	_ = st.conn.Close()
	st.from.GTIDs = st.done
	st.from.File, st.from.Offset = *st.safe.file, st.safe.offset
	st.voids.again = false
	st.pulse.waiting.Store(true)
	err := st.open(ctx)
	st.pulse.waiting.Store(false)
	if err != nil {
		return err
	}
	st.watch(ctx)
	return nil
}
