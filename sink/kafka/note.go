package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/internal/failpoint"
)

// note is the decision to commit what hangs, in the checkpoint topic before it
// is carried out. Between the first and the last request of that the brokers
// would abort it if we died; whoever comes next finishes it first.
type note struct {
	Pid     int64       `json:"producer_id"` // the session that carries it out, and does nothing else
	Epoch   int16       `json:"epoch"`
	Records []noted     `json:"records,omitempty"` // of the checkpoint topic, that must be stored afterwards
	Parts   []notedPart `json:"partitions"`
}

// noted is a record of the checkpoint topic; without a value it removes one.
type noted struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// notedPart is one partition in which our records up to Last are committed.
type notedPart struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Last      int64  `json:"last"`
}

func (n *note) session() session { return session{n.Pid, n.Epoch} }

func (p notedPart) place() place { return place{p.Topic, p.Partition} }

// covers tells that h was decided by the note. A nil note covers nothing.
func (n *note) covers(h *hang) bool {
	if n == nil {
		return false
	}
	for _, p := range n.Parts {
		if p.place() == h.place && h.first <= p.Last {
			return true
		}
	}
	return false
}

func (n *note) partitions() []*partition {
	parts := make([]*partition, len(n.Parts))
	for i, p := range n.Parts {
		parts[i] = &partition{topic: &topic{name: p.Topic}, id: p.Partition}
	}
	return parts
}

func parseNote(topic string, value []byte) (*note, error) {
	if value == nil {
		return nil, nil
	}
	n := &note{}
	if err := json.Unmarshal(value, n); err != nil {
		return nil, corrupt(topic, keySettle, err)
	}
	return n, nil
}

// newNote makes the note of a settlement. An earlier one lives on in it: its
// other partitions are to be looked after as well.
func newNote(f *facts, s settlement) *note {
	n := &note{Pid: f.us.pid, Epoch: f.us.epoch}
	if f.note != nil {
		n.Records = f.note.Records
		n.Parts = append(n.Parts, f.note.Parts...)
	}
	if f.sealed != nil && f.commitsSealed(s) {
		n.Records = nil
		for _, e := range f.sealed.entries {
			n.Records = append(n.Records, noted{e.key, e.value})
		}
	}
	for i := range s.commit {
		if h := &s.commit[i]; !n.covers(h) {
			n.Parts = append(n.Parts, notedPart{h.topic, h.part, h.last})
		}
	}
	return n
}

// writeNote stores the decision. The record is of no producer and so of no
// transaction: the one that hangs in the topic cannot take it along.
func (l *line) writeNote(ctx context.Context, n *note) error {
	value, err := json.Marshal(n)
	if err != nil {
		return err
	}
	b := encodeEntries(l.m.checkpoint.topic, time.Now(), []entry{{keySettle, value}})
	stamp(b.bytes(), noSession.pid, noSession.epoch, -1, false)
	failpoint.Hit("kafka.settle.note")
	return classify(l.writeBatch(ctx, b), "note settlement", l.log.topic)
}

// resume carries out a note that somebody left, with the session that the note
// names: a new one would abort it. That session is fenced once its owner went
// on, and then there is nothing to finish.
func (l *line) resume(ctx context.Context, n *note) error {
	if n == nil {
		return nil
	}
	p := *l.producer
	p.session = n.session()
	err := p.addPartitions(ctx, n.partitions())
	if err == nil || errors.Is(err, kafka.UnknownTopicOrPartition) { // a topic is gone: then only what was begun is ended
		err = p.endTxn(ctx, true)
	}
	if epochRefused(err) || errors.Is(err, kafka.InvalidTransactionState) {
		return nil
	}
	return err
}

// clearNote stores the records that the note demands, unless they are there,
// and removes it.
func (l *line) clearNote(ctx context.Context, n *note, stored checkpoint.Checkpoint) error {
	entries := []entry{{keySettle, nil}}
	for _, r := range n.Records {
		if r.Key != keyPosition || string(l.log.values[keyPosition]) == string(r.Value) {
			continue
		}
		cp, err := checkpoint.Decode(r.Value)
		if err != nil {
			return err
		}
		if !checkpoint.After(stored, cp) {
			entries = append(n.entries(), entries...)
		}
	}
	return l.write(ctx, entries...)
}

func (n *note) entries() []entry {
	entries := make([]entry, len(n.Records))
	for i, r := range n.Records {
		entries[i] = entry{r.Key, r.Value}
	}
	return entries
}
