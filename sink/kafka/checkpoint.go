package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/listoffsets"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// Keys of the checkpoint topic. The newest committed record of a key counts.
const (
	keyPosition   = "position"    // the checkpoint
	keyOwner      = "owner"       // who writes: term and process
	keyPartitions = "partitions/" // + topic: over how many partitions its keys are spread
	keySettle     = "settle"      // a note
	keyMark       = "mark/"       // + name: a named part of the position
	keyLine       = "line/"       // + session: the ledger of its newest transaction
)

// The segments of the topic are small because the cleaner leaves the newest one
// alone and all that is left is read at every start.
var checkpointTopicConfig = map[string]string{
	"cleanup.policy": "compact", "segment.bytes": "16777216", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1",
}

// owner is the claim of a process on the pipeline.
type owner struct {
	Term     uint64 `json:"term"`
	Instance string `json:"instance"` // random, of the process
}

// newerThan tells whether o keeps the process me from writing.
func (o owner) newerThan(me owner) bool {
	return o.Term > me.Term || o.Term == me.Term && o.Instance != me.Instance && o.Instance != ""
}

// checkpointLog reads the checkpoint topic.
type checkpointLog struct {
	c      *cluster
	topic  string
	next   int64 // offset of the next record to read
	values map[string][]byte
	epochs map[int64]int16 // newest epoch of each
	note   *note           // what somebody began to settle
	sealed *lostEnd        // nil: the newest position is committed
	hang   *hang           // what is undecided, as of readTail
}

func newCheckpointLog(c *cluster, topic string) *checkpointLog {
	return &checkpointLog{c: c, topic: topic, values: map[string][]byte{}, epochs: map[int64]int16{}}
}

const (
	readUncommitted int8 = iota
	readCommitted
)

// read takes in what is committed. With settled it waits until everything
// written before the call is decided; nothing newer can then be hidden behind
// an open transaction.
func (l *checkpointLog) read(ctx context.Context, settled bool) error {
	failpoint.Hit("kafka.connect.read")
	limit := 3 * l.c.timeout
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	isolation := readCommitted
	if settled {
		isolation = readUncommitted
	}
	var end int64
	err := l.c.patiently(ctx, func() (err error) {
		end, err = l.offset(ctx, isolation)
		return err
	})
	if err == nil && end == 0 && !settled {
		err = l.fetch(ctx) // that we may not read shall show at the first start, not at the second
	}
	for err == nil && l.next < end {
		err = l.c.patiently(ctx, func() error { return l.fetch(ctx) })
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("offset %d of %d within %s, as far as transactions are decided: %w", l.next, end, limit, err)
	}
	return classify(err, "read checkpoint topic", l.topic)
}

// offset returns the end of the topic: of all records, or of the decided ones.
func (l *checkpointLog) offset(ctx context.Context, isolation int8) (int64, error) {
	return l.listOffset(ctx, isolation, -1)
}

func (l *checkpointLog) listOffset(ctx context.Context, isolation int8, at int64) (int64, error) {
	req := &listoffsets.Request{ReplicaID: -1, IsolationLevel: isolation, Topics: []listoffsets.RequestTopic{{
		Topic: l.topic, Partitions: []listoffsets.RequestPartition{{Partition: 0, CurrentLeaderEpoch: -1, Timestamp: at}},
	}}}
	res, err := l.c.roundTrip(ctx, req)
	if err != nil {
		return 0, err
	}
	topics := res.(*listoffsets.Response).Topics
	if len(topics) == 0 || len(topics[0].Partitions) == 0 {
		return 0, errors.New("the broker left the partition out of its answer")
	}
	p := &topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return 0, l.c.denied(kafka.Error(p.ErrorCode), l.topic)
	}
	return p.Offset, nil
}

// fetch reads on from next. Where nothing is decided yet the broker holds the
// answer back for a moment.
func (l *checkpointLog) fetch(ctx context.Context) error {
	const wait, size = 50, 4 << 20
	res, err := l.c.roundTrip(ctx, &fetch.Request{
		ReplicaID: -1, MaxWaitTime: wait, MinBytes: 1, MaxBytes: size, IsolationLevel: readCommitted, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{{Topic: l.topic, Partitions: []fetch.RequestPartition{{
			Partition: 0, CurrentLeaderEpoch: -1, FetchOffset: l.next, LogStartOffset: -1, PartitionMaxBytes: size,
		}}}},
	})
	if err != nil {
		return err
	}
	f := res.(*fetch.Response)
	if f.ErrorCode != 0 {
		return kafka.Error(f.ErrorCode)
	}
	if len(f.Topics) == 0 || len(f.Topics[0].Partitions) == 0 {
		return errors.New("the broker left the partition out of its answer")
	}
	p := &f.Topics[0].Partitions[0]
	if kafka.Error(p.ErrorCode) == kafka.OffsetOutOfRange {
		return l.rewind(ctx)
	}
	if p.ErrorCode != 0 {
		return l.c.denied(kafka.Error(p.ErrorCode), l.topic)
	}
	return l.take(p)
}

// rewind goes to the first record there is.
func (l *checkpointLog) rewind(ctx context.Context) error {
	first, err := l.listOffset(ctx, readUncommitted, -2)
	if err == nil && first == l.next {
		err = errors.New("the broker serves no offset of the topic")
	}
	l.next = first
	return err
}

// take applies the records of an answer, without those of aborted
// transactions: the broker only lists these, it does not leave them out.
func (l *checkpointLog) take(p *fetch.ResponsePartition) error {
	stream, _ := p.RecordSet.Records.(*protocol.RecordStream)
	if stream == nil {
		return nil
	}
	aborts := newAborts(p.AbortedTransactions)
	before := l.next
	for _, r := range stream.Records {
		if err := l.takeBatch(r, aborts); err != nil {
			return err
		}
	}
	if l.next == before && p.LastStableOffset > before {
		l.next++ // only the empty shell of a cleaned batch lies here
	}
	return nil
}

func (l *checkpointLog) takeBatch(r protocol.RecordReader, aborts *aborts) error {
	switch b := r.(type) {
	case *protocol.ControlBatch:
		l.next = max(l.next, b.BaseOffset+1)
		c, err := b.ReadControlRecord()
		if err == nil && c.Type == 0 {
			aborts.end(b.ProducerID)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	case *protocol.RecordBatch:
		l.next = max(l.next, b.BaseOffset+1)
		return l.takeRecords(b, b.Attributes.Transactional() && aborts.covers(b.ProducerID, b.BaseOffset))
	}
	return fmt.Errorf("the checkpoint topic holds records of an old format (%T)", r)
}

func (l *checkpointLog) takeRecords(r *protocol.RecordBatch, aborted bool) error {
	b, err := readLogBatch(r, withEntries)
	if err != nil {
		return err
	}
	l.next = max(l.next, b.last+1)
	l.meet(b.writer)
	if aborted {
		return l.setAside(&b)
	}
	return l.apply(&b)
}

// meet notes who wrote: all that write to the topic are, or were, we.
func (l *checkpointLog) meet(s session) {
	if s.pid >= 0 {
		l.epochs[s.pid] = max(l.epochs[s.pid], s.epoch)
	}
}

// apply takes in committed records.
func (l *checkpointLog) apply(b *logBatch) error {
	for _, e := range b.entries {
		switch {
		case e.key == keySettle:
			if err := l.takeNote(e.value); err != nil {
				return err
			}
		case e.value == nil:
			delete(l.values, e.key)
		default:
			l.values[e.key] = e.value
		}
		if e.key == keyPosition {
			l.sealed = nil
		}
	}
	return nil
}

// aborts tells which batches of an answer belong to aborted transactions.
type aborts struct {
	list []fetch.ResponseTransaction // by first offset; those not reached yet
	open map[int64]bool              // producers inside an aborted transaction
}

func newAborts(list []fetch.ResponseTransaction) *aborts {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b fetch.ResponseTransaction) int { return int(a.FirstOffset - b.FirstOffset) })
	return &aborts{list: list, open: map[int64]bool{}}
}

// covers must be called in the order of offsets.
func (a *aborts) covers(pid, offset int64) bool {
	for len(a.list) > 0 && a.list[0].FirstOffset <= offset {
		a.open[a.list[0].ProducerID] = true
		a.list = a.list[1:]
	}
	return a.open[pid]
}

// end is the abort marker of the producer.
func (a *aborts) end(pid int64) { delete(a.open, pid) }

// owner returns the claim in force, zero when there is none.
func (l *checkpointLog) owner() (owner, error) {
	var o owner
	if v, ok := l.values[keyOwner]; ok {
		if err := json.Unmarshal(v, &o); err != nil {
			return o, corrupt(l.topic, keyOwner, err)
		}
	}
	return o, nil
}

// checkpoint returns the stored checkpoint, zero when there is none.
func (l *checkpointLog) checkpoint() (checkpoint.Checkpoint, error) {
	v, ok := l.values[keyPosition]
	if !ok {
		return checkpoint.Checkpoint{}, nil
	}
	cp, err := checkpoint.Decode(v)
	if err != nil {
		return cp, err
	}
	cp.Position.Marks = map[string][]byte{}
	for k, v := range l.values {
		if name, ok := strings.CutPrefix(k, keyMark); ok {
			cp.Position.Marks[name] = v
		}
	}
	return cp, nil
}

// partitions returns the pinned partition counts by topic.
func (l *checkpointLog) partitions() (map[string]int32, error) {
	pins := map[string]int32{}
	for k, v := range l.values {
		name, ok := strings.CutPrefix(k, keyPartitions)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(string(v), 10, 32)
		if err != nil || n < 1 {
			return nil, corrupt(l.topic, k, fmt.Errorf("%q is no number of partitions", v))
		}
		pins[name] = int32(n)
	}
	return pins, nil
}

func corrupt(topic, key string, err error) error {
	return resilience.Errorf(resilience.Fatal, "checkpoint_corrupt", "read checkpoint topic", "record %s: %w", key, err).
		WithPlace("topic %s", topic).WithHint("somebody else wrote to the topic: see who may; then %s", resilience.StartOver)
}

// entry is one record for the checkpoint topic.
type entry struct {
	key   string
	value []byte
}

// encodeEntries makes the batch that carries the entries.
func encodeEntries(t *topic, now time.Time, entries []entry) *batch {
	u := &unit{}
	u.arena = make([]byte, prefixSize+headerSize, 4096)
	var none headers
	for i, e := range entries {
		r := &format.Record{Key: []byte(e.key), Value: e.value}
		u.arena = appendRecord(u.arena, recordSize(r, 0, int64(i), &none, &none), r, 0, int64(i), &none, &none)
	}
	millis := now.UnixMilli()
	putHeader(u.arena, len(u.arena)-prefixSize, None, int32(len(entries)), millis, millis)
	u.batches = []batch{{unit: u, topic: t, count: int32(len(entries)), to: len(u.arena)}}
	return &u.batches[0]
}
