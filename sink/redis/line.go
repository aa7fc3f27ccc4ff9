package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

const (
	// queued is how many batches wait for the line; their bytes are bounded by the
	// pipeline's budget.
	queued = 64
	// groupKeys ends a group of batches that leave together.
	groupKeys = 50_000
	// resumeEvery is how often the beacon's position is renewed. In between only
	// its seq is: a position a little before seq repeats some deletes.
	resumeEvery = 50 * time.Millisecond
	// renewEvery is how often the beacon is renewed while the source is idle.
	renewEvery = time.Second
)

// item is one batch on its way.
type item struct {
	unit   *unit
	ends   []event.Coord
	commit time.Time // of its last transaction
	done   func(sink.Ack, error)
}

// line is one line of the sink: a goroutine that owns the connection from start
// to end.
type line struct {
	cfg   *Config
	obs   *Observer
	pool  *units
	conn  *conn
	heard *heard
	key   string // of the beacon
	cp    checkpoint.Checkpoint
	term  uint64
	marks marks
	// delivered and broken are those of the sink.
	delivered *atomic.Bool
	broken    *atomic.Pointer[error]

	mark    string // of the beacon as it stands
	floor   uint64 // seq of the beacon: it does not go back while deletes are repeated
	pos     event.Position
	told    time.Time // when the beacon was written last
	resumed time.Time // when its position was

	queue  chan item
	failed chan struct{} // closed at the first error
	ended  chan struct{} // closed when the goroutine is over
	ending bool          // queue is closed; only the goroutine of Send looks

	err    error  // the line's first error; read after failed is closed
	owed   []item // their keys are deleted, the beacon does not say so yet
	group  []item // on their way
	pipe   []goredis.Cmder
	commit time.Time // of the last transaction owed
}

// heard is the source's last sign of life that said it has nothing more.
type heard struct {
	mu  sync.Mutex
	seq uint64 // the last transaction it had
	at  time.Time
}

func (h *heard) set(seq uint64, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq, h.at = seq, at
}

func (h *heard) get() (uint64, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seq, h.at
}

// begin starts the goroutine.
func (l *line) begin() {
	l.queue, l.failed, l.ended = make(chan item, queued), make(chan struct{}), make(chan struct{})
	go l.run()
}

// send hands a batch over; a line that failed takes none.
func (l *line) send(ctx context.Context, it item) {
	if l.ending {
		it.done(sink.Ack{}, notConnected())
		return
	}
	select {
	case <-l.failed:
		it.done(sink.Ack{}, l.err)
		return
	case <-ctx.Done():
		l.giveUp(ctx, it)
		return
	default:
	}
	select {
	case l.queue <- it:
	case <-l.failed:
		it.done(sink.Ack{}, l.err)
	case <-ctx.Done():
		l.giveUp(ctx, it)
	}
}

// giveUp fails a batch whose context ended, and with it the line: what comes
// after must not be acknowledged behind a gap.
func (l *line) giveUp(ctx context.Context, it item) {
	l.stop()
	it.done(sink.Ack{}, &resilience.Error{
		Class: resilience.Transient, Code: "send_cancelled", Op: "delete keys", At: l.conn.addr, Err: context.Cause(ctx),
	})
}

// stop lets the goroutine finish what it has and end.
func (l *line) stop() {
	if !l.ending {
		l.ending = true
		close(l.queue)
	}
}

// end waits until every batch is done, and cuts the connection when ctx ends
// first: then they fail.
func (l *line) end(ctx context.Context) {
	l.stop()
	select {
	case <-l.ended:
	case <-ctx.Done():
		l.conn.cut()
		<-l.ended
	}
	l.conn.close()
}

// cutOff ends the line without waiting for replies.
func (l *line) cutOff() {
	l.stop()
	l.conn.cut()
	<-l.ended
	l.conn.close()
}

// run deletes until the queue is closed.
func (l *line) run() {
	defer close(l.ended)
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case it, ok := <-l.queue:
			if !ok {
				return
			}
			l.take(it)
		case now := <-tick.C:
			l.renew(now)
		}
	}
}

// take delivers a batch and all that comes in meanwhile. The beacon behind one
// group travels with the deletes of the next; behind the last it goes alone.
func (l *line) take(it item) {
	l.group = append(l.group, it)
	for l.err == nil {
		l.takeWaiting()
		if len(l.group) == 0 && len(l.owed) == 0 {
			return
		}
		if err := l.exchange(); err != nil {
			l.fail(err)
		}
	}
	l.refuse()
}

// takeWaiting takes what waits already.
func (l *line) takeWaiting() {
	keys := 0
	for i := range l.group {
		keys += l.group[i].unit.keys.len()
	}
	for keys < groupKeys {
		select {
		case it, ok := <-l.queue:
			if !ok {
				return // run sees it too
			}
			l.group = append(l.group, it)
			keys += it.unit.keys.len()
		default:
			return
		}
	}
}

// exchange is one round trip: the beacon behind the last group, and the deletes
// of this one.
func (l *line) exchange() error {
	began := time.Now()
	ctx := context.Background() // bounded by the time-outs of the connection
	pipe := l.conn.Pipeline()
	var written *goredis.Cmd
	var write beaconWrite
	if len(l.owed) > 0 && l.moved() {
		var err error
		if write, err = l.nextBeacon(began); err != nil {
			return err
		}
		written = writeBeacon.EvalSha(ctx, pipe, []string{l.key}, write.args...)
	}
	l.pipe = l.pipe[:0]
	keys, emitted := 0, 0
	for i := range l.group {
		u := l.group[i].unit
		keys, emitted = keys+u.keys.len(), emitted+u.emitted
		for _, args := range u.args {
			cmd := goredis.NewIntCmd(ctx, args...)
			_ = pipe.Process(ctx, cmd) // queues
			l.pipe = append(l.pipe, cmd)
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx) // each command has its own error
	}
	if written != nil {
		if err := l.beaconWritten(ctx, written, write); err != nil {
			return err
		}
	}
	l.settle()
	existed, err := l.deleted()
	if err != nil {
		return err
	}
	if keys > 0 && l.obs.Deleted != nil {
		l.obs.Deleted(emitted, keys, existed, time.Since(began))
	}
	l.advance()
	return nil
}

// deleted is how many of the keys were there.
func (l *line) deleted() (existed int, err error) {
	for _, cmd := range l.pipe {
		n, err := cmd.(*goredis.IntCmd).Result()
		if err != nil {
			return existed, classify(err, "delete keys", l.conn.addr)
		}
		existed += int(n)
	}
	return existed, nil
}

// advance makes the group the one whose beacon is owed.
func (l *line) advance() {
	for i := range l.group {
		it := &l.group[i]
		for _, end := range it.ends {
			l.pos.Advance(end)
		}
		if !it.commit.IsZero() {
			l.commit = it.commit
		}
		l.pool.put(it.unit)
		it.unit = nil
	}
	l.owed, l.group = append(l.owed, l.group...), l.group[:0]
}

// moved is false where all that is owed lies inside one transaction: there is no
// other place to go on from.
func (l *line) moved() bool {
	for i := range l.owed {
		if len(l.owed[i].ends) > 0 {
			return true
		}
	}
	return false
}

// settle acknowledges what is owed.
func (l *line) settle() {
	l.delivered.Store(true)
	for i := range l.owed {
		l.owed[i].done(sink.Ack{}, nil)
	}
	clear(l.owed)
	l.owed = l.owed[:0]
}

// fail notes the line's first error.
func (l *line) fail(err error) {
	if l.err == nil {
		l.err = patient(err, l.delivered.Load())
		l.broken.Store(&l.err)
		close(l.failed)
	}
}

// refuse gives every batch in hand the line's error.
func (l *line) refuse() {
	for _, items := range []*[]item{&l.owed, &l.group} {
		for i := range *items {
			(*items)[i].done(sink.Ack{}, l.err)
		}
		clear(*items)
		*items = (*items)[:0]
	}
}

// renew writes the beacon while the source is idle, so that readers can tell it
// from a dead daemon.
func (l *line) renew(now time.Time) {
	seq, at := l.heard.get()
	if l.err != nil || seq > l.pos.Seq || !at.After(l.told) {
		return
	}
	write, err := l.nextBeacon(now)
	if err == nil {
		write.setLag(now, at)
		ctx := context.Background()
		cmd := writeBeacon.EvalSha(ctx, l.conn, []string{l.key}, write.args...)
		err = l.beaconWritten(ctx, cmd, write)
	}
	if err != nil {
		l.fail(err)
	}
}
