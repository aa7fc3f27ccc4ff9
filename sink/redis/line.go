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
	"github.com/cdcd-io/cdcd/source"
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
	commit time.Time             // of its last transaction
	open   bool                  // which goes on in the next one
	done   func(sink.Ack, error) // nil once it was called

	before  source.Shown // what was known to show when the first delete was issued
	deleted time.Time    // when that was acknowledged
	kept    int          // bytes of its keys, where it is acknowledged already
	dropped bool         // its keys were not kept
	known   bool         // whether they have to be deleted again is known:
	repeat  bool
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

	mark string // of the beacon as it stands
	// floor and lastFloor are seq and last of the beacon: they do not go back while
	// deletes are repeated.
	floor, lastFloor uint64
	pos              event.Position // behind the first deletes
	last             event.Position // behind the last ones
	told             time.Time      // when the beacon was written last
	toldSeq          uint64         // with which seq
	resumed          time.Time      // when its position was

	queue  chan item
	failed chan struct{} // closed at the first error
	ended  chan struct{} // closed when the goroutine is over
	ending bool          // queue is closed; only the goroutine of Send looks

	err    error  // the line's first error; read after failed is closed
	group  []item // on their way
	again  again  // deleted once
	owed   []item // deleted for the last time, the beacon does not say so yet
	pipe   []goredis.Cmder
	commit time.Time // of the last transaction deleted

	asker    *asker // nil: what is in the log shows
	asking   bool   // a question is under way
	askAt    time.Time
	askPause time.Duration
	asked    time.Time              // when the last answer was asked for
	answered bool                   // there was one since the beacon was written
	awaits   *atomic.Pointer[error] // why acknowledgements wait
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
	if l.cfg.Watermark != nil {
		l.asker = newAsker(l.cfg.Watermark)
	}
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
		l.breakOff()
		<-l.ended
	}
	l.close()
}

// breakOff ends every wait of the goroutine.
func (l *line) breakOff() {
	l.conn.cut()
	if l.asker != nil {
		l.asker.cancel()
	}
}

// close frees what the goroutine, which is over, has used.
func (l *line) close() {
	if l.asker != nil {
		l.asker.close()
	}
	l.awaits.Store(nil)
	l.conn.close()
}

// cutOff ends the line without waiting for replies.
func (l *line) cutOff() {
	l.stop()
	l.breakOff()
	<-l.ended
	l.close()
}

// run deletes until the queue is closed and everything is acknowledged.
func (l *line) run() {
	defer close(l.ended)
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	queue := l.queue
	for queue != nil || l.again.waits() {
		select {
		case it, ok := <-queue:
			if !ok {
				queue = nil
				continue
			}
			l.group = append(l.group, it)
		case a := <-l.answers():
			l.hear(a)
		case now := <-tick.C:
			l.renew(now)
		}
		l.work()
	}
}

// answers is where the source's answers come in, nil where it is not asked.
func (l *line) answers() <-chan answer {
	if l.asker == nil {
		return nil
	}
	return l.asker.told
}

// work delivers what is there and all that comes in meanwhile. The beacon behind
// one group travels with the deletes of the next; behind the last it goes alone.
func (l *line) work() {
	for l.err == nil {
		l.takeWaiting()
		if l.err != nil {
			break
		}
		l.wonder()
		if len(l.group) == 0 && len(l.owed) == 0 && l.again.ready == 0 && !l.untold() {
			return
		}
		if err := l.exchange(); err != nil {
			l.fail(err)
		}
	}
	l.refuse()
}

// untold reports whether the beacon does not say what was deleted for the first
// time, and nothing follows soon that would take the news along.
func (l *line) untold() bool { return l.answered && l.again.waits() && l.pos.Seq > l.toldSeq }

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
		case a := <-l.answers():
			l.hear(a)
		default:
			return
		}
	}
}

// exchange is one round trip: the beacon behind what was acknowledged before, the
// first deletes of this group, and the last ones of what shows by now.
func (l *line) exchange() error {
	began := time.Now()
	ctx := context.Background() // bounded by the time-outs of the connection
	pipe := l.conn.Pipeline()
	var written *goredis.Cmd
	var write beaconWrite
	if l.moved() || l.untold() {
		var err error
		if write, err = l.nextBeacon(began); err != nil {
			return err
		}
		written = writeBeacon.EvalSha(ctx, pipe, []string{l.key}, write.args...)
	}
	l.pipe = l.pipe[:0]
	keys, emitted := l.firsts(ctx, pipe)
	firsts := len(l.pipe)
	ready, repeated := l.repeats(ctx, pipe, keys)
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx) // each command has its own error
	}
	if written != nil {
		if err := l.beaconWritten(ctx, written, write); err != nil {
			return err
		}
	}
	l.settle()
	existed, err := l.deleted(l.pipe[:firsts])
	if err != nil {
		return err
	}
	refilled, err := l.deleted(l.pipe[firsts:])
	if err != nil {
		return err
	}
	if keys > 0 && l.obs.Deleted != nil {
		l.obs.Deleted(emitted, keys, existed, time.Since(began))
	}
	if repeated > 0 && l.obs.Repeated != nil {
		l.obs.Repeated(repeated, refilled)
	}
	l.over(ready)
	l.advance()
	return nil
}

// firsts queues the deletes of the group.
func (l *line) firsts(ctx context.Context, pipe goredis.Pipeliner) (keys, emitted int) {
	for i := range l.group {
		u := l.group[i].unit
		l.group[i].before = l.again.shown
		keys, emitted = keys+u.keys.len(), emitted+u.emitted
		l.unlink(ctx, pipe, u)
	}
	return keys, emitted
}

// repeats queues the last deletes of what need not wait, as many as go into one
// group. It returns how many items and how many keys that are.
func (l *line) repeats(ctx context.Context, pipe goredis.Pipeliner, keys int) (items, repeated int) {
	for items < l.again.ready && keys+repeated < groupKeys {
		if it := &l.again.items[items]; it.repeat {
			repeated += it.unit.keys.len()
			l.unlink(ctx, pipe, it.unit)
		}
		items++
	}
	return items, repeated
}

func (l *line) unlink(ctx context.Context, pipe goredis.Pipeliner, u *unit) {
	for _, args := range u.args {
		cmd := goredis.NewIntCmd(ctx, args...)
		_ = pipe.Process(ctx, cmd) // queues
		l.pipe = append(l.pipe, cmd)
	}
}

// deleted is how many of the keys were there.
func (l *line) deleted(cmds []goredis.Cmder) (existed int, err error) {
	for _, cmd := range cmds {
		n, err := cmd.(*goredis.IntCmd).Result()
		if err != nil {
			return existed, classify(err, "delete keys", l.conn.addr)
		}
		existed += int(n)
	}
	return existed, nil
}

// advance makes the group one that was deleted once. What showed before that is
// over at once.
func (l *line) advance() {
	for i := range l.group {
		it := &l.group[i]
		for _, end := range it.ends {
			l.pos.Advance(end)
		}
		if !it.commit.IsZero() {
			l.commit = it.commit
		}
		l.wait(*it)
	}
	clear(l.group)
	l.group = l.group[:0]
	l.sortOut()
	n := 0
	for n < l.again.ready && !l.again.items[n].repeat {
		n++
	}
	l.over(n)
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
		if done := l.owed[i].done; done != nil {
			done(ackNow())
		}
	}
	clear(l.owed)
	l.owed = l.owed[:0]
}

func ackNow() (sink.Ack, error) { return sink.Ack{}, nil }

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
	for _, items := range []*[]item{&l.owed, &l.again.items, &l.group} {
		for i := range *items {
			if done := (*items)[i].done; done != nil {
				done(sink.Ack{}, l.err)
			}
		}
		clear(*items)
		*items = (*items)[:0]
	}
	l.again.ready, l.again.kept = 0, 0
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
		l.setLag(&write, now, at)
		ctx := context.Background()
		cmd := writeBeacon.EvalSha(ctx, l.conn, []string{l.key}, write.args...)
		err = l.beaconWritten(ctx, cmd, write)
	}
	if err != nil {
		l.fail(err)
	}
}
