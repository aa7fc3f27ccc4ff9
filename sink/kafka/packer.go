package kafka

import (
	"strconv"
	"sync/atomic"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// defaultMaxMessage is the broker's default of max.message.bytes.
const defaultMaxMessage = 1048588

// topicSource tells a packer what it must know of a topic. It may ask the
// broker and even create the topic.
type topicSource interface {
	topic(name string) (*topic, error)
}

// packer encodes records into batches on a worker's core. What belongs to one
// line (the term, the topics with their partition counts) is fetched anew when
// the line changes; units of an older line are refused by Send.
type packer struct {
	topics     topicSource
	line       *atomic.Pointer[lineFacts]
	pool       *unitPool
	codec      Compression
	compress   compressor
	batchBytes int
	keyOnly    bool // rows that are too large may leave with their key only
	obs        *Observer

	facts  *lineFacts
	routes []*packRoute // by format.Route.Index
	dirty  []*packPart  // those that hold records, in order of first use
	idle   [][]byte     // buffers without records, for the next dirty part
	unit   *unit
	want   int // room that the next unit will need, judging by the last ones

	piece    *event.Piece
	common   headers // of every record of the piece
	own      headers // of this record
	scratch  []byte
	ending   sink.Ending
	firstErr error
}

// lineFacts are what packers need to know of the current line.
type lineFacts struct {
	era  uint64
	term uint64
}

type packRoute struct {
	topic   *topic
	keyless int32
	parts   []packPart
}

// packPart gathers the records of one partition until they fill a batch.
type packPart struct {
	topic       *topic
	id          int32
	buf         []byte
	count       int32
	first, last int64 // time stamps, ms
	dirty       bool
}

// What a packer keeps between units is bounded: idleBuffers of about one batch,
// and the wish for a unit of maxWant. A larger row takes what it needs each time.
const (
	idleBuffers = 16
	maxWant     = 8 << 20
)

// headerSeq is the header with the number of a record's source transaction.
const headerSeq = "cdcd.seq"

// Start implements sink.Packer.
func (p *packer) Start(piece *event.Piece) {
	p.follow()
	p.piece = piece
	p.ending.Start(piece)
	p.pieceHeaders()
}

// follow forgets what belonged to an older line.
func (p *packer) follow() {
	if facts := p.line.Load(); facts != p.facts {
		p.facts = facts
		p.drop()
		p.routes = p.routes[:0]
	}
}

// pieceHeaders encodes what all records of the piece have in common.
func (p *packer) pieceHeaders() {
	p.common.reset()
	if p.piece != nil {
		tx := p.piece.Tx
		p.scratch = strconv.AppendUint(p.scratch[:0], tx.End.Seq, 10)
		p.common.add(headerSeq, p.scratch)
	}
	p.scratch = strconv.AppendUint(p.scratch[:0], p.facts.term, 10)
	p.common.add("cdcd.term", p.scratch)
	if p.piece != nil {
		p.scratch = append(p.scratch[:0], p.piece.Tx.Key...)
		p.common.add("cdcd.tx", p.scratch)
	}
}

// Emit implements sink.Packer. A record without a piece (a heartbeat) has the
// header of the term only.
func (p *packer) Emit(r *format.Record) error {
	if p.piece == nil {
		p.Start(nil)
	}
	rt, err := p.route(r.Route)
	if err != nil {
		p.firstErr = err
		return err
	}
	p.recordHeaders(r)
	if !r.Broadcast {
		return p.put(rt, p.choose(rt, r.Key), r)
	}
	for i := range rt.parts {
		if err := p.put(rt, int32(i), r); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) choose(rt *packRoute, key []byte) int32 {
	if key == nil {
		return rt.keyless
	}
	return partitionOf(key, int32(len(rt.parts)))
}

// recordHeaders encodes the headers of one record: its number, the count of
// rows where readers look for the end of a transaction, and the encoder's own.
func (p *packer) recordHeaders(r *format.Record) {
	p.own.reset()
	if r.Ordinal > 0 {
		p.scratch = appendOrdinal(p.scratch[:0], r)
		p.own.add("cdcd.row", p.scratch)
	}
	if r.Oversize > 0 {
		p.scratch = strconv.AppendInt(p.scratch[:0], int64(r.Oversize), 10)
		p.own.add(headerOversize, p.scratch)
	}
	if rows, ends := p.ending.Rows(r); ends {
		p.scratch = strconv.AppendUint(p.scratch[:0], rows, 10)
		p.own.add("cdcd.rows", p.scratch)
	}
	for i := range r.Headers {
		p.own.add(r.Headers[i].Key, r.Headers[i].Value)
	}
}

// appendOrdinal writes "12", or "12.1/3" for a row of several records.
func appendOrdinal(dst []byte, r *format.Record) []byte {
	dst = strconv.AppendUint(dst, r.Ordinal, 10)
	if r.Parts > 1 {
		dst = strconv.AppendUint(append(dst, '.'), uint64(r.Part), 10)
		dst = strconv.AppendUint(append(dst, '/'), uint64(r.Parts), 10)
	}
	return dst
}

// put appends the record to the partition's batch; a full one leaves first.
func (p *packer) put(rt *packRoute, id int32, r *format.Record) error {
	pp := &rt.parts[id]
	if pp.count == 0 {
		p.open(pp, r.Millis)
	}
	size := recordSize(r, r.Millis-pp.first, int64(pp.count), &p.common, &p.own)
	limit := min(p.batchBytes, rt.topic.maxBytes)
	if full := headerSize + len(pp.buf) + varintLen(int64(size)) + size; full > limit && pp.count > 0 {
		if err := p.seal(pp); err != nil {
			p.firstErr = err
			return err
		}
		p.open(pp, r.Millis)
		size = recordSize(r, 0, 0, &p.common, &p.own)
	}
	if n := headerSize + varintLen(int64(size)) + size; n > rt.topic.maxBytes {
		return p.refuse(rt.topic, r, n)
	}
	if r.Oversize > 0 {
		p.obs.keyOnly()
	}
	pp.buf = appendRecord(pp.buf, size, r, r.Millis-pp.first, int64(pp.count), &p.common, &p.own)
	pp.last = max(pp.last, r.Millis)
	pp.count++
	return nil
}

// open begins a batch of the partition.
func (p *packer) open(pp *packPart, millis int64) {
	pp.first, pp.last = millis, millis
	if pp.dirty {
		return
	}
	pp.dirty = true
	p.dirty = append(p.dirty, pp)
	if n := len(p.idle); n > 0 {
		pp.buf, p.idle = p.idle[n-1], p.idle[:n-1]
	}
}

// seal turns the records of the partition into a finished batch. What does not
// shrink is stored as it is, so a batch is never larger than its records; what
// is small is compressed when it leaves.
func (p *packer) seal(pp *packPart) error {
	if p.unit == nil {
		p.unit = p.pool.get(p.want)
		p.unit.era, p.unit.shared = p.facts.era, false
	}
	u := p.unit
	from, codec := len(u.arena), p.codec
	arena := appendZeros(u.arena, prefixSize+headerSize)
	payload := len(arena)
	small := len(pp.buf) <= smallBatch
	if !small {
		var err error
		if arena, err = p.compress(arena, pp.buf); err != nil {
			return compressFailed(err, pp.topic)
		}
	}
	if small || len(arena)-payload >= len(pp.buf) {
		arena, codec = append(arena[:payload], pp.buf...), None
	}
	putHeader(arena[from:], len(arena)-from-prefixSize, codec, pp.count, pp.first, pp.last)
	u.arena = arena
	u.batches = append(u.batches, batch{unit: u, topic: pp.topic, part: pp.id, count: pp.count, from: from, to: len(arena), small: small})
	pp.buf, pp.count = pp.buf[:0], 0
	return nil
}

func compressFailed(err error, t *topic) error {
	return resilience.Errorf(resilience.Fatal, "compress_failed", "compress batch", "%w", err).WithPlace("%s", t.name)
}

var zeros [prefixSize + headerSize]byte

func appendZeros(dst []byte, n int) []byte { return append(dst, zeros[:n]...) }

// Pack implements sink.Packer.
func (p *packer) Pack() (sink.Packed, error) {
	for _, pp := range p.dirty {
		if pp.count > 0 && p.firstErr == nil {
			p.firstErr = p.seal(pp)
		}
	}
	u, err := p.unit, p.firstErr
	p.unit = nil
	if u != nil {
		p.want = min(max(arenaFor(len(u.arena)), p.want-p.want/8), maxWant)
	}
	if err == nil && u == nil {
		p.follow()
		u = p.pool.get(0)
		u.era, u.shared = p.facts.era, false
	}
	p.drop()
	if err != nil {
		if u != nil {
			u.release()
		}
		return nil, err
	}
	return u, nil
}

// drop empties the packer; buffers are kept for the next unit.
func (p *packer) drop() {
	for _, pp := range p.dirty {
		if len(p.idle) < idleBuffers && cap(pp.buf) <= 2*p.batchBytes {
			p.idle = append(p.idle, pp.buf[:0])
		}
		pp.buf, pp.count, pp.dirty = nil, 0, false
	}
	if p.unit != nil {
		p.unit.release()
		p.unit = nil
	}
	p.dirty, p.piece, p.firstErr = p.dirty[:0], nil, nil
}

// route finds what the packer knows of the route's topic.
func (p *packer) route(r *format.Route) (*packRoute, error) {
	if r.Index < len(p.routes) && p.routes[r.Index] != nil {
		return p.routes[r.Index], nil
	}
	t, err := p.topics.topic(r.Topic)
	if err != nil {
		return nil, err
	}
	rt := &packRoute{topic: t, keyless: partitionOf([]byte(t.name), t.partitions), parts: make([]packPart, t.partitions)}
	for i := range rt.parts {
		rt.parts[i].topic, rt.parts[i].id = t, int32(i)
	}
	for len(p.routes) <= r.Index {
		p.routes = append(p.routes, nil)
	}
	p.routes[r.Index] = rt
	return rt, nil
}

// refuse is the answer to a record that is too large for its topic. Nothing of it
// was taken; where its key says which row it is, the key will do.
func (p *packer) refuse(t *topic, r *format.Record, size int) error {
	err := p.tooLarge(t, r, size)
	if p.keyOnly && r.Ordinal > 0 && r.Oversize == 0 && r.Key != nil && r.Value != nil {
		return &format.Oversize{Bytes: size, Err: err}
	}
	p.firstErr = err
	return err
}

func (p *packer) tooLarge(t *topic, r *format.Record, size int) error {
	e := resilience.Errorf(resilience.Poison, "record_too_large", "pack record",
		"a record of %d bytes exceeds max.message.bytes = %d of topic %s", size, t.maxBytes, t.name)
	where := "topic " + t.name
	if p.piece != nil {
		where = "transaction " + p.piece.Tx.Key
		if tb := tableAt(p.piece, r.Ordinal); tb != nil {
			where = "table " + tb.Database + "." + tb.Name + ", row " + strconv.FormatUint(r.Ordinal, 10) + " of " + where
		}
	}
	return e.WithPlace("%s", where).WithHint("raise max.message.bytes of the topic to at least %d: "+
		"kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name %s --add-config max.message.bytes=%d, "+
		"or leave out the large column (columns.exclude)%s", size, t.name, size+size/8, p.orKeyOnly(r))
}

// orKeyOnly ends the hint at a record that is too large.
func (p *packer) orKeyOnly(r *format.Record) string {
	switch {
	case !p.keyOnly:
		return ", or let such rows leave with their key only (oversize_row: key_only)"
	case r.Key == nil:
		return "; oversize_row: key_only does not help a row without a primary key"
	case r.Oversize > 0:
		return "; it does not fit with its key only, either"
	}
	return ""
}

// tableAt finds the table of the row with that number, from 1.
func tableAt(p *event.Piece, ordinal uint64) *event.Table {
	for i := range p.Events {
		if ev := &p.Events[i]; ordinal > ev.Ordinal && ordinal <= ev.Ordinal+uint64(ev.Rows) {
			return ev.Table
		}
	}
	return nil
}
