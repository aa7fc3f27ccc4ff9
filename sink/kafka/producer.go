package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// session is a producer id with its epoch: the right to write, until somebody
// gets a newer epoch for the same transactional.id.
type session struct {
	pid   int64
	epoch int16
}

// noSession asks for a new epoch whoever holds the last one.
var noSession = session{-1, -1}

// producer speaks the producer protocol, one call a request. It keeps no state
// of a transaction.
type producer struct {
	c             *cluster
	id            string // transactional.id
	timeout       time.Duration
	transactional bool
	session       session
}

// Pauses between repetitions of an answered request. The first ones are short:
// a transaction's end takes the coordinator about a millisecond longer than its
// answer, and that is the cycle of an idle pipeline.
const (
	pauseMin = 200 * time.Microsecond
	pauseMax = 4 * time.Millisecond
)

// init gets the session that follows from. With noSession it fences whoever
// writes now; with our own it fails as Fenced when somebody newer took over. It
// ends what was left open, and waits until that is settled.
func (p *producer) init(ctx context.Context, from session) error {
	ctx, cancel := p.c.withTimeout(ctx)
	defer cancel()
	failpoint.Hit("kafka.connect.init")
	return p.repeat(ctx, initAgain, func() error {
		res, err := p.c.client.InitProducerID(ctx, &kafka.InitProducerIDRequest{
			TransactionalID: p.id, TransactionTimeoutMs: int(p.timeout / time.Millisecond),
			ProducerID: int(from.pid), ProducerEpoch: int(from.epoch),
		})
		if err == nil {
			err = res.Error
		}
		if err == nil {
			p.session = session{int64(res.Producer.ProducerID), int16(res.Producer.ProducerEpoch)}
		}
		return p.c.denied(err, "")
	})
}

// initAgain are the answers after which InitProducerId is asked again: the
// coordinator is not there yet, or an older transaction is being ended.
// Repeating it is safe; it is the one request that puts an end to doubt.
var initAgain = []kafka.Error{
	kafka.ConcurrentTransactions, kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup,
}

// inTxnAgain are the answers to requests inside a transaction that say that
// nothing was done. Others leave open what was done: those end the line.
var inTxnAgain = []kafka.Error{kafka.ConcurrentTransactions}

// repeat calls until the answer is none of codes, pausing longer each time. When
// time is up it tells the last answer.
func (p *producer) repeat(ctx context.Context, codes []kafka.Error, call func() error) error {
	var last error
	for pause := pauseMin; ; pause = min(pause*3/2, pauseMax) {
		err := call()
		if err != nil && last != nil && !errors.As(err, new(kafka.Error)) {
			err = fmt.Errorf("%w; then %w", last, err)
		}
		if !isOneOf(err, codes) || !sleep(ctx, pause) {
			return err
		}
		last = err
		if pause == pauseMax && !errors.Is(err, kafka.ConcurrentTransactions) {
			p.c.refresh()
		}
	}
}

func isOneOf(err error, codes []kafka.Error) bool {
	for _, c := range codes {
		if errors.Is(err, c) {
			return true
		}
	}
	return false
}

// sleep waits for d; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// addPartitions makes the partitions part of the open transaction, opening it
// if there is none. After a lost answer nobody knows: that ends the line.
func (p *producer) addPartitions(ctx context.Context, parts []*partition) error {
	ctx, cancel := p.c.withTimeout(ctx)
	defer cancel()
	byTopic := map[string][]kafka.AddPartitionToTxn{}
	for _, pt := range parts {
		byTopic[pt.topic.name] = append(byTopic[pt.topic.name], kafka.AddPartitionToTxn{Partition: int(pt.id)})
	}
	failpoint.Hit("kafka.partitions.before")
	err := p.repeat(ctx, inTxnAgain, func() error {
		res, err := p.c.client.AddPartitionsToTxn(ctx, &kafka.AddPartitionsToTxnRequest{
			TransactionalID: p.id, ProducerID: int(p.session.pid), ProducerEpoch: int(p.session.epoch), Topics: byTopic,
		})
		if err != nil {
			return err
		}
		topic, err := firstAddError(res)
		if err != nil && topic != "" {
			err = fmt.Errorf("topic %s: %w", topic, err)
		}
		return p.c.denied(err, topic)
	})
	failpoint.Hit("kafka.partitions.after")
	return outcomeUnknown(err, "add partitions to transaction", p.id)
}

// firstAddError returns what counts among the answers, and of which topic: the
// broker adds all partitions or none, and says of the innocent ones that they
// were not tried.
func firstAddError(res *kafka.AddPartitionsToTxnResponse) (topic string, first error) {
	for name, parts := range res.Topics {
		for _, pt := range parts {
			if pt.Error != nil && (first == nil || errors.Is(first, operationNotAttempted)) {
				first, topic = pt.Error, name
			}
		}
	}
	return topic, first
}

const operationNotAttempted kafka.Error = 55

// endTxn commits or aborts. An unknown outcome is never asked for again: a late
// request could end the next transaction of the same epoch.
func (p *producer) endTxn(ctx context.Context, commit bool) error {
	ctx, cancel := p.c.withTimeout(ctx)
	defer cancel()
	failpoint.Hit("kafka.end.before")
	err := p.repeat(ctx, inTxnAgain, func() error {
		res, err := p.c.client.EndTxn(ctx, &kafka.EndTxnRequest{
			TransactionalID: p.id, ProducerID: int(p.session.pid), ProducerEpoch: int(p.session.epoch), Committed: commit,
		})
		if err == nil {
			err = res.Error
		}
		return p.c.denied(err, "")
	})
	failpoint.Hit("kafka.end.after")
	return outcomeUnknown(err, "end transaction", p.id)
}

// outcomeUnknown names the error of a request inside a transaction whose
// answer does not say whether it was done.
func outcomeUnknown(err error, op, at string) error {
	var code kafka.Error
	if err == nil || errors.As(err, &code) && codes[code].verdict != endLine && codes[code].verdict != again {
		return classify(err, op, at)
	}
	return &resilience.Error{Class: resilience.Transient, Code: "txn_outcome_unknown", Op: op, At: at, Err: err}
}

// produce sends one batch each to partitions of one leader and returns what
// became of each. Batches are stamped already; the same bytes may be sent again.
func (p *producer) produce(ctx context.Context, batches []*batch) []error {
	out := make([]error, len(batches))
	failpoint.Hit("kafka.produce.before")
	res, err := p.c.roundTrip(ctx, p.request(batches))
	failpoint.Hit("kafka.produce.after")
	if err != nil {
		for i := range out {
			out[i] = err
		}
		return out
	}
	answers := res.(*produce.Response)
	for i, b := range batches {
		var at int64
		if at, out[i] = answerFor(answers, b); out[i] == nil && at >= 0 {
			b.end = at + int64(b.count)
		}
		out[i] = p.c.denied(out[i], b.topic.name)
	}
	return out
}

// request groups the batches by topic, as the protocol wants them.
func (p *producer) request(batches []*batch) *rawproduce.Request {
	req := &rawproduce.Request{Acks: -1, Timeout: int32(p.c.timeout / time.Millisecond * 4 / 5)}
	if p.transactional {
		req.TransactionalID = p.id
	}
	index := map[*topic]int{}
	for _, b := range batches {
		i, ok := index[b.topic]
		if !ok {
			i = len(req.Topics)
			index[b.topic] = i
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: b.topic.name})
		}
		part := rawproduce.RequestPartition{Partition: b.part}
		part.RecordSet.Reader = bytes.NewReader(b.bytes())
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, part)
	}
	return req
}

// answerFor finds the offset of a batch, and the answer to it. One without an answer
// counts as lost.
func answerFor(res *produce.Response, b *batch) (offset int64, err error) {
	for i := range res.Topics {
		t := &res.Topics[i]
		if t.Topic != b.topic.name {
			continue
		}
		for j := range t.Partitions {
			if a := &t.Partitions[j]; a.Partition == b.part {
				return a.BaseOffset, answerError(a)
			}
		}
	}
	return -1, errors.New("the broker left the partition out of its answer")
}

func answerError(a *produce.ResponsePartition) error {
	if a.ErrorCode == 0 {
		return nil
	}
	if code := kafka.Error(a.ErrorCode); codes[code].verdict != stop {
		return code
	}
	text := a.ErrorMessage
	if len(a.RecordErrors) > 0 && a.RecordErrors[0].BatchIndexErrorMessage != "" {
		text = a.RecordErrors[0].BatchIndexErrorMessage
	}
	return &answer{kafka.Error(a.ErrorCode), text}
}

// answer is an error code with the broker's own words.
type answer struct {
	code kafka.Error
	text string
}

func (a *answer) Error() string {
	if a.text == "" {
		return a.code.Error()
	}
	return a.code.Error() + ": " + a.text
}

func (a *answer) Unwrap() error { return a.code }
