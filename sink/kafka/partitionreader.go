package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

const (
	readUncommitted int8 = iota
	readCommitted
)

// partitionReader reads the records of one partition in order, as far as
// transactions are decided.
type partitionReader struct {
	c     *cluster
	topic string
	part  int32
	next  int64 // offset of the next record to read
	// visit is given the batches of records in order, with whether their
	// transaction was aborted. The first may begin before next.
	visit func(b *protocol.RecordBatch, aborted bool) error
}

// offset returns the end of the partition: of all records, or of the decided ones.
func (p *partitionReader) offset(ctx context.Context, isolation int8) (int64, error) {
	return p.listOffset(ctx, isolation, atEnd)
}

func (p *partitionReader) listOffset(ctx context.Context, isolation int8, at int64) (int64, error) {
	req := &listoffsets.Request{ReplicaID: -1, IsolationLevel: isolation, Topics: []listoffsets.RequestTopic{{
		Topic: p.topic, Partitions: []listoffsets.RequestPartition{{Partition: p.part, CurrentLeaderEpoch: -1, Timestamp: at}},
	}}}
	res, err := p.c.roundTrip(ctx, req)
	if err != nil {
		return 0, err
	}
	topics := res.(*listoffsets.Response).Topics
	if len(topics) == 0 || len(topics[0].Partitions) == 0 {
		return 0, errors.New("the broker left the partition out of its answer")
	}
	a := &topics[0].Partitions[0]
	if a.ErrorCode != 0 {
		return 0, p.c.denied(kafka.Error(a.ErrorCode), p.topic)
	}
	return a.Offset, nil
}

// fetch reads on from next. Where nothing is decided yet the broker holds the
// answer back for a moment. The error is kafka.OffsetOutOfRange where what comes
// next was removed.
func (p *partitionReader) fetch(ctx context.Context) error {
	const wait, size = 50, 4 << 20
	res, err := p.c.roundTrip(ctx, &fetch.Request{
		ReplicaID: -1, MaxWaitTime: wait, MinBytes: 1, MaxBytes: size, IsolationLevel: readCommitted, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{{Topic: p.topic, Partitions: []fetch.RequestPartition{{
			Partition: p.part, CurrentLeaderEpoch: -1, FetchOffset: p.next, LogStartOffset: -1, PartitionMaxBytes: size,
		}}}},
	})
	if err != nil {
		return err
	}
	a, err := onlyPartition(res.(*fetch.Response))
	if err != nil {
		return p.c.denied(err, p.topic)
	}
	return p.take(a)
}

// rewind goes to the first record there is.
func (p *partitionReader) rewind(ctx context.Context) error {
	first, err := p.listOffset(ctx, readUncommitted, atStart)
	if err == nil && first == p.next {
		err = errors.New("the broker serves no offset of the topic")
	}
	p.next = first
	return err
}

// take visits the batches of an answer, those of aborted transactions too: the
// broker only lists these, it does not leave them out.
func (p *partitionReader) take(a *fetch.ResponsePartition) error {
	stream, _ := a.RecordSet.Records.(*protocol.RecordStream)
	if stream == nil {
		return nil
	}
	aborts := newAborts(a.AbortedTransactions)
	before := p.next
	for _, r := range stream.Records {
		if err := p.takeBatch(r, aborts); err != nil {
			return err
		}
	}
	if p.next == before && a.LastStableOffset > before {
		p.next++ // only the empty shell of a cleaned batch lies here
	}
	return nil
}

func (p *partitionReader) takeBatch(r protocol.RecordReader, aborts *aborts) error {
	switch b := r.(type) {
	case *protocol.ControlBatch:
		p.next = max(p.next, b.BaseOffset+1)
		c, err := b.ReadControlRecord()
		if err == nil && c.Type == 0 {
			aborts.end(b.ProducerID)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	case *protocol.RecordBatch:
		err := p.visit(b, b.Attributes.Transactional() && aborts.covers(b.ProducerID, b.BaseOffset))
		p.next = max(p.next, b.BaseOffset+1)
		return err
	}
	return fmt.Errorf("topic %s holds records of an old format (%T)", p.topic, r)
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
