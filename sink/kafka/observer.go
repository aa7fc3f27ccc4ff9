package kafka

import "time"

// Observer is told what the sink does. Every field may be nil. The functions
// are called on the sink's goroutines and must return at once.
type Observer struct {
	// Retry tells that requests are being repeated, and with Attempts 0 that
	// all is well again.
	Retry func(Retry)
	// Txn tells of a committed Kafka transaction: how long it was open, how
	// long EndTxn took, and what it held.
	Txn func(open, end time.Duration, items, bytes int)
	// Split tells that the transaction ended inside a source transaction.
	Split func()
	// KeyOnly tells of a row that was too large for its topic and leaves with the
	// columns of its key only. It is called on the encoders' goroutines.
	KeyOnly func()
	// Produced tells of an acknowledged produce request.
	Produced func(took time.Duration, batches, records, bytes int)
	// Settled tells of transactions that Connect is about to end because the
	// brokers had forgotten to.
	Settled func(Settlement)
}

// Retry is the visible state of an error that is being waited out.
type Retry struct {
	Op       string    // "produce"
	At       string    // topic and partition
	Since    time.Time // of the first failure
	Attempts int
	Err      error
}

func (o *Observer) retry(r Retry) {
	if o.Retry != nil {
		o.Retry(r)
	}
}

func (o *Observer) txn(open, end time.Duration, items, bytes int) {
	if o.Txn != nil {
		o.Txn(open, end, items, bytes)
	}
}

func (o *Observer) split() {
	if o.Split != nil {
		o.Split()
	}
}

func (o *Observer) keyOnly() {
	if o.KeyOnly != nil {
		o.KeyOnly()
	}
}

func (o *Observer) produced(took time.Duration, batches, records, bytes int) {
	if o.Produced != nil {
		o.Produced(took, batches, records, bytes)
	}
}

func (o *Observer) settled(s settlement) {
	if o.Settled != nil {
		o.Settled(Settlement{placesOf(s.commit), placesOf(s.abort), s.reason})
	}
}

func placesOf(hangs []hang) []string {
	var names []string
	for i := range hangs {
		names = append(names, hangs[i].place.String())
	}
	return names
}
