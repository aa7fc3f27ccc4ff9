package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// marker is how a control batch ends a transaction.
type marker uint8

const (
	noMarker marker = iota // a batch of records
	abortMarker
	commitMarker
)

// logBatch is one batch of a partition as it lies there, decided or not.
type logBatch struct {
	base, last    int64 // offsets
	writer        session
	transactional bool
	marker        marker
	seq           int32   // sequence number of its first record
	entries       []entry // in a checkpoint topic; in others nil
}

// contents is what of its records is kept.
type contents bool

const (
	offsetsOnly contents = false
	withEntries contents = true
)

// fetchLog reads batches from an offset on, whatever became of their
// transactions, and returns the offset behind them: the given one when there
// was nothing. The first batch may begin before that offset.
func (c *cluster) fetchLog(ctx context.Context, at place, from int64, size int32, what contents) ([]logBatch, int64, error) {
	res, err := c.roundTrip(ctx, &fetch.Request{
		ReplicaID: -1, MaxWaitTime: 50, MinBytes: 1, MaxBytes: size, IsolationLevel: readUncommitted, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{{Topic: at.topic, Partitions: []fetch.RequestPartition{{
			Partition: at.part, CurrentLeaderEpoch: -1, FetchOffset: from, LogStartOffset: -1, PartitionMaxBytes: size,
		}}}},
	})
	if err != nil {
		return nil, from, err
	}
	p, err := onlyPartition(res.(*fetch.Response))
	if err != nil {
		return nil, from, c.unreadable(err, at.topic)
	}
	stream, _ := p.RecordSet.Records.(*protocol.RecordStream)
	if stream == nil {
		return nil, from, nil
	}
	batches := make([]logBatch, 0, len(stream.Records))
	next := from
	for _, r := range stream.Records {
		b, err := readLogBatch(r, what)
		if err != nil {
			return nil, from, fmt.Errorf("%s behind offset %d: %w", at, next, err)
		}
		batches = append(batches, b)
		next = max(next, b.last+1)
	}
	if next == from {
		next++ // only the empty shell of a cleaned batch lies here
	}
	return batches, next, nil
}

// errUnreadable is wrapped by the refusal to let us read a topic. For most
// topics that right is needed only when something hangs.
var errUnreadable = errors.New("it cannot be seen whose transaction is undecided")

func (c *cluster) unreadable(err error, topic string) error {
	if !errors.Is(err, kafka.TopicAuthorizationFailed) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnreadable, c.denied(err, topic))
}

// onlyPartition is the answer for the one partition that was asked for.
func onlyPartition(f *fetch.Response) (*fetch.ResponsePartition, error) {
	if f.ErrorCode != 0 {
		return nil, kafka.Error(f.ErrorCode)
	}
	if len(f.Topics) == 0 || len(f.Topics[0].Partitions) == 0 {
		return nil, errors.New("the broker left the partition out of its answer")
	}
	p := &f.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return nil, kafka.Error(p.ErrorCode)
	}
	return p, nil
}

func readLogBatch(r protocol.RecordReader, what contents) (logBatch, error) {
	switch b := r.(type) {
	case *protocol.ControlBatch:
		return readMarker(b)
	case *protocol.RecordBatch:
		out := logBatch{base: b.BaseOffset, last: b.BaseOffset, writer: session{b.ProducerID, b.ProducerEpoch}, seq: b.BaseSequence,
			transactional: b.Attributes.Transactional()}
		err := out.readRecords(b, what)
		return out, err
	}
	return logBatch{}, fmt.Errorf("records of an old format (%T)", r)
}

func readMarker(b *protocol.ControlBatch) (logBatch, error) {
	out := logBatch{base: b.BaseOffset, last: b.BaseOffset, writer: session{b.ProducerID, b.ProducerEpoch}, transactional: true, marker: commitMarker}
	c, err := b.ReadControlRecord()
	if errors.Is(err, io.EOF) { // cleaned: it ended something long ago
		err = nil
	} else if err == nil && c.Type == 0 {
		out.marker = abortMarker
	}
	return out, err
}

func (b *logBatch) readRecords(r *protocol.RecordBatch, what contents) error {
	for {
		rec, err := r.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		b.last = max(b.last, rec.Offset)
		if what == offsetsOnly {
			continue
		}
		key, err := protocol.ReadAll(rec.Key)
		if err != nil {
			return err
		}
		value, err := protocol.ReadAll(rec.Value)
		if err != nil {
			return err
		}
		b.entries = append(b.entries, entry{string(key), value})
	}
}
