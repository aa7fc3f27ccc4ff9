package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

const (
	maxRequest        = 1 << 20 // bytes of one produce request, unless one batch is larger
	requestsPerLeader = 4       // produce requests to one broker at a time
	lookInterval      = 10 * time.Second
)

// line runs one machine from Connect to its first error: it carries out what
// the machine asks for and tells it what came of it. One goroutine, run, owns
// the machine; requests have goroutines of their own, which run joins.
type line struct {
	cfg       *Config
	obs       *Observer
	waits     *atomic.Pointer[error] // shown as Sink.Retrying
	delivered *atomic.Bool           // Sink.delivered
	me        owner
	era       uint64
	cluster   *cluster
	producer  *producer
	topics    *topics
	log       *checkpointLog
	m         *machine

	ctx     context.Context
	cancel  context.CancelCauseFunc
	results chan func() error // what came of a request, to be run by run
	wake    chan struct{}
	room    chan struct{}
	ended   chan struct{} // closed when run has returned
	wg      sync.WaitGroup

	compressors sync.Pool // for small batches

	mu       sync.Mutex
	inbox    []*item
	bytes    int // handed in and not acknowledged
	draining bool
	err      error // the line's first error

	// Owned by run, and by whoever calls before run starts or after it ended.
	cp       checkpoint.Checkpoint // as of the last sealed group
	moved    bool                  // cp is not stored yet (at_least_once)
	savedAt  time.Time             // when it was last
	stepAt   time.Time             // when the loop last ran
	lookAt   time.Time
	inflight map[int32]int // produce requests by leader
	retrying int           // partitions that wait for their repetition
	// disturbed says that since the last commit a batch had to be repeated: then
	// a transaction that runs out of time need not be too large.
	disturbed bool
	pins      []entry // partition counts and marks for the next checkpoint
	txnOpen   bool    // the broker may hold an open transaction of ours
	told      bool    // cp was reported as durable

	data     []place        // partitions that may hold records of ours, as of Connect
	allThere bool           // no topic was missing among them
	clean    map[place]bool // those that were looked at, and whether all is decided
	suspects []string       // topics to look at besides those the checkpoint names
}

func (l *line) checkpointKey() partKey { return l.m.checkpoint }

// start begins the loop.
func (l *line) start() {
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.results, l.wake, l.room, l.ended = make(chan func() error), make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	l.inflight = map[int32]int{}
	now := time.Now()
	l.savedAt, l.stepAt, l.lookAt = now, now, now.Add(lookInterval)
	l.m.seal = l.sealGroup
	go l.run()
}

// put hands in an item, waiting for room. The item's done is called, whatever
// happens.
func (l *line) put(ctx context.Context, it *item) {
	if err := l.waitForRoom(ctx, it.bytes); err != nil {
		l.fail(err)
		it.tell(l.firstError())
		return
	}
	l.mu.Lock()
	err := l.err
	if err == nil {
		l.inbox = append(l.inbox, it)
		l.bytes += it.bytes
	}
	l.mu.Unlock()
	if err != nil {
		it.tell(err)
		return
	}
	signal(l.wake)
}

// waitForRoom waits until the bytes fit, or nothing else is in flight.
func (l *line) waitForRoom(ctx context.Context, bytes int) error {
	for {
		l.mu.Lock()
		fits := l.err != nil || l.bytes == 0 || l.bytes+bytes <= l.cfg.InflightBytes
		l.mu.Unlock()
		if fits {
			return nil
		}
		select {
		case <-l.room:
		case <-l.ended:
		case <-ctx.Done():
			return canceled(ctx)
		}
	}
}

func canceled(ctx context.Context) error {
	return resilience.Errorf(resilience.Transient, "canceled", "deliver", "%w", context.Cause(ctx))
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fail ends the line with err unless it ended before.
func (l *line) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	l.mu.Unlock()
	l.cancel(err)
}

func (l *line) firstError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// run is the loop: take what is new, do what is to be done, wait.
func (l *line) run() {
	defer close(l.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		err := l.step()
		if err == nil && l.finishedDraining() {
			err = errClosed
		}
		if err != nil {
			l.finish(err)
			return
		}
		timer.Reset(time.Until(l.nextLook()))
		select {
		case f := <-l.results:
			err = f()
		case <-l.wake:
		case <-timer.C:
		case <-l.ctx.Done():
			err = context.Cause(l.ctx)
		}
		if err != nil {
			l.finish(err)
			return
		}
	}
}

var errClosed = errors.New("the sink is closed")

// step feeds the machine and carries out what it asks for.
func (l *line) step() error {
	now := time.Now()
	if err := l.takeInbox(now); err != nil {
		return err
	}
	if err := l.m.settle(now); err != nil {
		return err
	}
	if err := l.checkDeadline(now); err != nil {
		return err
	}
	if err := l.look(now); err != nil {
		return err
	}
	l.report()
	if err := l.savePosition(now); err != nil {
		return err
	}
	l.act()
	return nil
}

func (l *line) takeInbox(now time.Time) error {
	l.mu.Lock()
	items := l.inbox
	l.inbox = nil
	l.m.draining = l.draining
	l.mu.Unlock()
	for i, it := range items {
		l.pin(it)
		if err := l.m.put(it, now); err != nil {
			l.mu.Lock()
			l.inbox = append(items[i+1:], l.inbox...)
			l.mu.Unlock()
			return err
		}
	}
	return nil
}

// act starts the requests that may start.
func (l *line) act() {
	if parts := l.m.nextCheck(); parts != nil {
		l.spawn(func() func() error {
			err := l.confirm(l.ctx, parts)
			return func() error {
				if err != nil {
					l.suspect(parts...)
					return err
				}
				l.m.checked(parts)
				return nil
			}
		})
	}
	if parts := l.m.nextJoin(); parts != nil {
		l.txnOpen = true
		l.spawn(func() func() error {
			err := l.producer.addPartitions(l.ctx, parts)
			return func() error {
				if err == nil {
					l.m.joined(parts)
				}
				return err
			}
		})
	}
	room := func(leader int32) bool { return l.inflight[leader] < requestsPerLeader }
	for {
		leader, parts := l.m.nextProduce(maxRequest, room)
		if parts == nil {
			break
		}
		l.produce(leader, parts)
	}
	if l.m.nextEnd() {
		l.commit()
	}
}

// spawn does a request on a goroutine of its own and runs what it returns on
// the loop.
func (l *line) spawn(request func() func() error) {
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		then := request()
		select {
		case l.results <- then:
		case <-l.ctx.Done():
		}
	}()
}

// produce sends the first batch of each partition.
func (l *line) produce(leader int32, parts []*partition) {
	l.inflight[leader]++
	batches, fresh := make([]*batch, len(parts)), make([]bool, len(parts))
	for i, p := range parts {
		b := p.queue[0].batch
		if fresh[i] = !b.sent; fresh[i] {
			b.sent, b.seq = true, p.seq
			p.seq = nextSequence(p.seq, b.count)
		}
		batches[i] = b
	}
	l.spawn(func() func() error {
		began := time.Now()
		for i, b := range batches {
			if fresh[i] {
				if b.small {
					l.squeeze(b)
				}
				stamp(b.bytes(), l.producer.session.pid, l.producer.session.epoch, b.seq, l.producer.transactional)
			}
		}
		errs := l.producer.produce(l.ctx, batches)
		return func() error {
			l.inflight[leader]--
			return l.produced(parts, errs, time.Since(began))
		}
	})
}

// squeeze compresses a small batch before it leaves for the first time. One
// that resists stays plain.
func (l *line) squeeze(b *batch) {
	compress, ok := l.compressors.Get().(compressor)
	if !ok {
		compress = newCompressor(l.cfg.Compression)
	}
	_ = b.squeeze(l.cfg.Compression, compress)
	l.compressors.Put(compress)
}

// produced sorts out what became of each batch.
func (l *line) produced(parts []*partition, errs []error, took time.Duration) error {
	var failed []*partition
	var first error
	records, bytes := 0, 0
	for i, p := range parts {
		if errs[i] != nil && verdictOf(errs[i]) != done {
			if verdictOf(errs[i]) != again {
				if errors.Is(errs[i], kafka.InvalidTransactionState) {
					l.suspect(p) // at_least_once writes where a transaction hangs
				}
				return classify(errs[i], "produce", p.place().String())
			}
			p.queue[0].unit.shared = true // a connection may still hold on to the bytes
			if failed, first = append(failed, p), errs[i]; p.attempts == 0 {
				p.since = time.Now()
			}
			p.attempts++
			continue
		}
		if p.attempts > 0 {
			l.healed(p)
		}
		q := l.m.acked(p)
		records, bytes = records+int(q.count), bytes+q.size()
		l.acknowledged(q)
	}
	l.obs.produced(took, len(parts)-len(failed), records, bytes)
	if len(failed) > 0 {
		l.again(failed, first)
	}
	return nil
}

// acknowledged gives back the memory of items whose batches are all written.
// One that ends inside a source transaction is done with that: it becomes
// durable with the one that ends it, and a transaction larger than all budgets
// could not pass if it waited.
func (l *line) acknowledged(q *queued) {
	for _, it := range q.items {
		if it.pending > 0 || it.unit == nil {
			continue
		}
		it.unit.release()
		it.unit = nil
		l.giveBack(it)
		if it.open {
			it.tell(nil)
		}
	}
}

func (l *line) giveBack(it *item) {
	l.mu.Lock()
	l.bytes -= it.bytes
	l.mu.Unlock()
	signal(l.room)
}

// commit ends the transaction.
func (l *line) commit() {
	began, opened, items, bytes := time.Now(), l.m.opened, len(l.m.group), l.m.bytes
	part := l.m.group[items-1].open
	l.spawn(func() func() error {
		err := l.producer.endTxn(l.ctx, true)
		return func() error {
			if err != nil {
				return err
			}
			l.txnOpen, l.disturbed, l.told = false, false, true
			now := time.Now()
			l.obs.txn(now.Sub(opened), now.Sub(began), items, bytes)
			if part {
				failpoint.Hit("kafka.split.after")
				l.obs.split()
			}
			return l.m.ended(now)
		}
	})
}

// report tells the pipeline what is done.
func (l *line) report() {
	for _, it := range l.m.takeFinished() {
		if it.unit != nil { // it had no batches
			it.unit.release()
			it.unit = nil
			l.giveBack(it)
		}
		if !l.cfg.exactlyOnce() {
			l.advance(it.ends)
			l.moved = l.moved || len(it.ends) > 0
		}
		l.delivered.Store(true)
		it.tell(nil)
	}
}

// checkDeadline ends the line before the brokers end its transaction: after
// that they treat us like a writer that was replaced.
func (l *line) checkDeadline(now time.Time) error {
	limit, slept := l.cfg.deadline(), now.Sub(l.stepAt)
	l.stepAt = now
	if !l.cfg.exactlyOnce() || len(l.m.group) == 0 || now.Sub(l.m.opened) < limit {
		return nil
	}
	if l.disturbed || l.m.phase != filling || len(l.m.members) == 0 || slept > limit/4 {
		return resilience.Errorf(resilience.Transient, "transaction_timeout", "deliver",
			"the brokers did not take the transaction within %s, or this process stood still", limit).
			WithHint("see the brokers; the position is unchanged")
	}
	return resilience.Errorf(resilience.Fatal, "oversize_transaction", "deliver",
		"a source transaction does not fit into a Kafka transaction: %d MiB in %s were not all of it", l.m.bytes>>20, limit).
		WithHint("raise transaction_timeout of this sink (and transaction.max.timeout.ms of the brokers), " +
			"or let such transactions leave in parts (oversize_transaction: split)")
}

// look compares the partition counts of the topics in use with the cluster's,
// as the transport's cache shows them, from time to time.
func (l *line) look(now time.Time) error {
	if now.Before(l.lookAt) {
		return nil
	}
	l.lookAt = now.Add(lookInterval)
	l.spawn(func() func() error {
		err := l.topics.compare(l.ctx)
		return func() error { return err }
	})
	return nil
}

// nextLook is when the loop must run even if nothing happens.
func (l *line) nextLook() time.Time {
	next := l.lookAt
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	sooner(l.m.due())
	if len(l.m.group) > 0 && l.cfg.exactlyOnce() {
		sooner(l.m.opened.Add(l.cfg.deadline()))
	}
	if l.positionWaits() {
		sooner(l.savedAt.Add(l.cfg.CheckpointInterval))
	}
	return next
}

// finishedDraining tells that the last item is done and nothing is under way,
// or that a transaction was begun whose end does not come any more.
func (l *line) finishedDraining() bool {
	if !l.m.draining || l.positionWaits() || !l.m.quiet() && !l.m.stranded() || len(l.m.partition(l.checkpointKey()).queue) > 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inbox) == 0
}

// finish ends the loop: requests are joined, and every item that is not done
// gets the line's first error.
func (l *line) finish(err error) {
	err = patient(classify(err, "deliver", ""), l.delivered.Load())
	l.cancel(err) // ends the requests; what is put in meanwhile waits in the inbox
	l.wg.Wait()
	if resilience.ClassOf(err) == resilience.Fenced {
		err = l.confirmFence(err)
	}
	l.fail(err) // told once, when it is certain; keeps an earlier one
	l.mu.Lock()
	err = l.err
	items := append(l.m.abandon(), l.inbox...)
	l.inbox = nil
	l.mu.Unlock()
	for _, it := range items {
		it.tell(err)
	}
}

// cutOff ends the loop and waits for it.
func (l *line) cutOff() {
	l.fail(resilience.Errorf(resilience.Transient, "canceled", "deliver", "connecting anew"))
	<-l.ended
}

// drain lets the loop finish what it has, within ctx.
func (l *line) drain(ctx context.Context) error {
	l.mu.Lock()
	l.draining = true
	l.mu.Unlock()
	signal(l.wake)
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		l.fail(canceled(ctx))
		<-l.ended
		return context.Cause(ctx)
	}
}

// abortOpen frees readers from a transaction that we leave behind: until its
// time-out it would hide what comes after it. It does its best and no more.
func (l *line) abortOpen() {
	if !l.txnOpen || resilience.ClassOf(l.firstError()) == resilience.Fenced {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.producer.init(ctx, l.producer.session)
}
