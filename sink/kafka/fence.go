package kafka

import (
	"context"
	"fmt"

	"github.com/cdcd-io/cdcd/resilience"
)

// confirmFence finds out why the brokers refuse our epoch: because somebody
// else took over, or because they ended a transaction of ours by time-out,
// which raises the epoch too.
func (l *line) confirmFence(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.RequestTimeout)
	defer cancel()
	if e := l.log.read(ctx, false); e != nil {
		return epochLost(err)
	}
	if o, e := l.log.owner(); e == nil && o.newerThan(l.me) {
		return fencedBy(o, l.producer.id, err)
	}
	return epochLost(err)
}

func fencedBy(o owner, id string, err error) error {
	return &resilience.Error{Class: resilience.Fenced, Code: "producer_fenced", Op: "deliver", At: id,
		Err: fmt.Errorf("term %d took over: %w", o.Term, err), Hint: "another process runs this pipeline; if none should, look for a second pipeline with this transactional.id"}
}

func epochLost(err error) error {
	return &resilience.Error{Class: resilience.Transient, Code: "producer_epoch_lost", Op: "deliver",
		Err: fmt.Errorf("the brokers refuse our epoch and nobody else claimed the pipeline: %w", err)}
}
