package kafka

import (
	"context"
	"strconv"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// place names a partition.
type place struct {
	topic string
	part  int32
}

func (p place) String() string { return p.topic + "/" + strconv.Itoa(int(p.part)) }

// Special timestamps of ListOffsets.
const (
	atEnd   int64 = -1
	atStart int64 = -2
)

// offset is one answer of ListOffsets.
type offset struct {
	at  int64
	err error
}

// offsets asks the leaders of the partitions for an offset each. With
// readCommitted the end is the last stable offset: everything before it is
// decided. An error concerns all; what is wrong with one partition is with it.
func (c *cluster) offsets(ctx context.Context, isolation int8, at int64, places []place) (map[place]offset, error) {
	res, err := c.roundTrip(ctx, newOffsetsRequest(isolation, at, places))
	if err != nil {
		return nil, err
	}
	out := make(map[place]offset, len(places))
	for _, t := range res.(*listoffsets.Response).Topics {
		for _, p := range t.Partitions {
			o := offset{at: p.Offset}
			if p.ErrorCode != 0 {
				o.err = c.denied(kafka.Error(p.ErrorCode), t.Topic)
			}
			out[place{t.Topic, p.Partition}] = o
		}
	}
	for _, p := range places {
		if _, ok := out[p]; !ok {
			out[p] = offset{err: kafka.NetworkException} // its leader did not answer
		}
	}
	return out, nil
}

// offsetsRequest is ListOffsets with all partitions of a leader in one request;
// the library's own sends one request a partition.
type offsetsRequest struct {
	ReplicaID      int32                      `kafka:"min=v1,max=v5"`
	IsolationLevel int8                       `kafka:"min=v2,max=v5"`
	Topics         []listoffsets.RequestTopic `kafka:"min=v1,max=v5"`
}

// offsetsOverride tells the library which of its two types a message has.
const offsetsOverride protocol.OverrideTypeKey = 1

func init() {
	protocol.RegisterOverride(&offsetsRequest{}, &listoffsets.Response{}, offsetsOverride)
}

func newOffsetsRequest(isolation int8, at int64, places []place) *offsetsRequest {
	r := &offsetsRequest{ReplicaID: -1, IsolationLevel: isolation}
	index := map[string]int{}
	for _, p := range places {
		i, ok := index[p.topic]
		if !ok {
			i = len(r.Topics)
			index[p.topic] = i
			r.Topics = append(r.Topics, listoffsets.RequestTopic{Topic: p.topic})
		}
		part := listoffsets.RequestPartition{Partition: p.part, CurrentLeaderEpoch: -1, Timestamp: at}
		r.Topics[i].Partitions = append(r.Topics[i].Partitions, part)
	}
	return r
}

// ApiKey implements protocol.Message.
func (r *offsetsRequest) ApiKey() protocol.ApiKey { return protocol.ListOffsets }

// TypeKey implements protocol.OverrideTypeMessage.
func (r *offsetsRequest) TypeKey() protocol.OverrideTypeKey { return offsetsOverride }

// Broker implements protocol.BrokerMessage, for the parts that Split made.
func (r *offsetsRequest) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	t := &r.Topics[0]
	leader := cluster.Topics[t.Topic].Partitions[t.Partitions[0].Partition].Leader
	return cluster.Brokers[leader], nil
}

// Split implements protocol.Splitter: a part for each leader. Partitions
// without one are left out, of the answer too.
func (r *offsetsRequest) Split(cluster protocol.Cluster) ([]protocol.Message, protocol.Merger, error) {
	places := map[int32][]place{}
	var leaders []int32
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			known, ok := cluster.Topics[t.Topic].Partitions[p.Partition]
			if _, up := cluster.Brokers[known.Leader]; !ok || !up {
				continue
			}
			if places[known.Leader] == nil {
				leaders = append(leaders, known.Leader)
			}
			places[known.Leader] = append(places[known.Leader], place{t.Topic, p.Partition})
		}
	}
	parts := make([]protocol.Message, len(leaders))
	for i, l := range leaders {
		parts[i] = newOffsetsRequest(r.IsolationLevel, r.Topics[0].Partitions[0].Timestamp, places[l])
	}
	return parts, offsetsMerger{}, nil
}

// offsetsMerger puts the answers together; one that is missing takes only its
// partitions along.
type offsetsMerger struct{}

// Merge implements protocol.Merger.
func (offsetsMerger) Merge(_ []protocol.Message, results []any) (protocol.Message, error) {
	all := &listoffsets.Response{}
	for _, r := range results {
		if m, err := protocol.Result(r); err == nil {
			all.Topics = append(all.Topics, m.(*listoffsets.Response).Topics...)
		}
	}
	return all, nil
}
