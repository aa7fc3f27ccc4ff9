package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

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
	partitionReader
	values map[string][]byte
	epochs map[int64]int16 // newest epoch of each
	note   *note           // what somebody began to settle
	sealed *lostEnd        // nil: the newest position is committed
	hang   *hang           // what is undecided, as of readTail
}

func newCheckpointLog(c *cluster, topic string) *checkpointLog {
	l := &checkpointLog{partitionReader: partitionReader{c: c, topic: topic}, values: map[string][]byte{}, epochs: map[int64]int16{}}
	l.visit = l.takeRecords
	return l
}

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

// fetch reads on. Where the cleaner has removed what comes next, it goes to the
// first record there is.
func (l *checkpointLog) fetch(ctx context.Context) error {
	err := l.partitionReader.fetch(ctx)
	if errors.Is(err, kafka.OffsetOutOfRange) {
		return l.rewind(ctx)
	}
	return err
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
