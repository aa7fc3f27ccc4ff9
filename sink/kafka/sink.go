package kafka

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// Options are what a sink gets besides its configuration.
type Options struct {
	Observer Observer
	Dial     DialFunc // nil: plain TCP
}

// Sink is the Kafka sink. It implements sink.Sink and resilience.Doctor.
type Sink struct {
	cfg      Config
	opts     Options
	instance string
	pool     *unitPool
	retrying atomic.Bool
	facts    atomic.Pointer[lineFacts]
	current  atomic.Pointer[topics]

	line    *line
	started bool // the line's goroutine runs
	term    uint64
	session session // of this term; noSession before its first Connect
	era     uint64
}

var (
	_ sink.Sink         = (*Sink)(nil)
	_ resilience.Doctor = (*Sink)(nil)
)

// New returns a sink that is not connected yet. cfg must be valid.
func New(cfg Config, opts Options) *Sink {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &Sink{cfg: cfg, opts: opts, instance: hex.EncodeToString(id[:]), pool: &unitPool{}, session: noSession}
	s.facts.Store(&lineFacts{})
	return s
}

// Packer implements sink.Sink.
func (s *Sink) Packer() sink.Packer {
	return &packer{
		topics: s, line: &s.facts, pool: s.pool, codec: s.cfg.Compression, compress: newCompressor(s.cfg.Compression),
		batchBytes: s.cfg.BatchBytes, facts: s.facts.Load(),
	}
}

// topic implements topicSource with the topics of the current line.
func (s *Sink) topic(name string) (*topic, error) {
	ts := s.current.Load()
	if ts == nil {
		return nil, notConnected()
	}
	return ts.topic(name)
}

func notConnected() error {
	return resilience.Errorf(resilience.Transient, "not_connected", "deliver", "the sink is not connected")
}

// Retrying tells that batches are being repeated in place: silence is no stall
// then. Safe for concurrent use.
func (s *Sink) Retrying() bool { return s.retrying.Load() }

// Connect implements sink.Sink. The steps and their order are explained in
// DESIGN.md.
func (s *Sink) Connect(ctx context.Context, term uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	if err := s.endLine(ctx, cutOff); err != nil {
		return checkpoint.Checkpoint{}, err
	}
	if term != s.term {
		s.term, s.session = term, noSession
	}
	l, err := s.newLine()
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	got, err := s.connect(ctx, l, cp)
	if err != nil {
		l.cluster.close()
		return checkpoint.Checkpoint{}, err
	}
	s.line, s.started = l, false
	s.current.Store(l.topics)
	s.facts.Store(&lineFacts{era: l.era, term: term})
	return got, nil
}

func (s *Sink) newLine() (*line, error) {
	c, err := newCluster(&s.cfg, s.opts.Dial)
	if err != nil {
		return nil, resilience.Errorf(resilience.Fatal, "bad_config", "connect", "%w", err)
	}
	s.era++
	return &line{
		cfg: &s.cfg, obs: &s.opts.Observer, waits: &s.retrying, me: owner{s.term, s.instance}, era: s.era, cluster: c,
		producer: &producer{c: c, id: s.cfg.transactionalID(), timeout: s.cfg.TransactionTimeout, transactional: s.cfg.exactlyOnce()},
		log:      newCheckpointLog(c, s.cfg.checkpointTopic()),
	}, nil
}

func (s *Sink) connect(ctx context.Context, l *line, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	var none checkpoint.Checkpoint
	if err := l.checkVersions(ctx); err != nil {
		return none, err
	}
	t, err := l.checkpointTopic(ctx, cp)
	if err != nil {
		return none, err
	}
	if err := l.refuseNewer(ctx, false); err != nil {
		return none, err
	}
	if err := s.takeOver(ctx, l); err != nil {
		return none, err
	}
	s.session = l.producer.session
	if err := l.refuseNewer(ctx, true); err != nil {
		return none, err
	}
	l.m = newMachine(s.cfg.exactlyOnce(), s.cfg.GroupBytes, s.cfg.GroupDelay, partKey{t, 0})
	if err := l.restore(cp); err != nil {
		return none, err
	}
	return clone(l.cp), l.claim(ctx)
}

// takeOver gets a session: whatever it takes the first time in a term, later
// only if nobody newer came. Brokers also raise the epoch when they end a
// transaction by time-out; then nobody claimed the pipeline and it is ours.
func (s *Sink) takeOver(ctx context.Context, l *line) error {
	err := l.producer.init(ctx, s.session)
	if !epochRefused(err) {
		return classify(err, "get producer id", l.producer.id)
	}
	if e := l.refuseNewer(ctx, false); e != nil {
		return e
	}
	if err = l.producer.init(ctx, noSession); epochRefused(err) {
		return epochLost(err) // somebody else is taking over at this moment
	}
	return classify(err, "get producer id", l.producer.id)
}

func epochRefused(err error) bool {
	return err != nil && (verdictOf(err) == fenced || errors.Is(err, kafka.InvalidProducerIDMapping))
}

// refuseNewer reads the checkpoint topic and stops if a newer term claimed it.
func (l *line) refuseNewer(ctx context.Context, settled bool) error {
	if err := l.log.read(ctx, settled); err != nil {
		return err
	}
	o, err := l.log.owner()
	if err == nil && o.newerThan(l.me) {
		err = fencedBy(o, l.producer.id, errors.New("its claim is in the checkpoint topic"))
	}
	return err
}

// checkVersions refuses brokers that cannot tell an old owner from a new one.
func (l *line) checkVersions(ctx context.Context) error {
	ctx, cancel := l.cluster.withTimeout(ctx)
	defer cancel()
	res, err := l.cluster.client.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return classify(l.cluster.explain(ctx, err), "connect", l.cluster.String())
	}
	for _, k := range res.ApiKeys {
		if k.ApiKey == int(protocol.InitProducerId) && k.MaxVersion >= 3 {
			return nil
		}
	}
	return resilience.Errorf(resilience.Fatal, "broker_too_old", "connect", "the brokers do not know InitProducerId version 3").
		WithHint("%s", codes[kafka.UnsupportedVersion].hint)
}

// checkpointTopic finds the checkpoint topic, or makes it at a first start.
func (l *line) checkpointTopic(ctx context.Context, mirror checkpoint.Checkpoint) (*topic, error) {
	name := l.log.topic
	m, err := describe(ctx, l.cluster, name)
	if err == nil && m == nil {
		if !mirror.IsZero() {
			return nil, resilience.Errorf(resilience.Fatal, "checkpoint_topic_missing", "connect",
				"the checkpoint topic %s is gone, and this pipeline ran before (seq %d)", name, mirror.Position.Seq).
				WithHint("restore the topic; if its cluster is a new one, start over with a new pipeline or a rewind")
		}
		r := l.cfg.CreateTopics.Replication
		if err = l.cluster.create(ctx, name, 1, r, checkpointTopicConfig); err == nil {
			m, err = describe(ctx, l.cluster, name)
		}
	}
	if err == nil && m == nil {
		err = kafka.UnknownTopicOrPartition
	}
	if err != nil {
		return nil, classify(err, "find checkpoint topic", name)
	}
	if n := len(m.Partitions); n != 1 {
		return nil, resilience.Errorf(resilience.Fatal, "checkpoint_topic_partitions", "connect", "topic %s has %d partitions", name, n).
			WithHint("it must have one: then its records have an order")
	}
	t := &topic{name: name, partitions: 1, maxBytes: defaultMaxMessage, pinned: true, leaders: make([]int32, 1)}
	t.setLeaders(m)
	return t, nil
}

// restore takes over what the topic holds and compares it with the mirror.
func (l *line) restore(mirror checkpoint.Checkpoint) error {
	cp, err := l.log.checkpoint()
	if err != nil {
		return err
	}
	pins, err := l.log.partitions()
	if err != nil {
		return err
	}
	if !cp.IsZero() {
		if err := checkpoint.Verify(cp, l.cfg.Installation, l.cfg.Pipeline); err != nil {
			return err
		}
	}
	if !mirror.IsZero() && checkpoint.After(mirror, cp) {
		if cp, err = l.behind(cp, mirror); err != nil {
			return err
		}
	}
	l.cp = cp
	l.cp.Term = l.me.Term
	l.topics = newTopics(l.cfg, l.cluster, pins)
	return nil
}

// behind decides what a mirror ahead of the topic means. In at_least_once both
// are written after the data and either may be the later one; in exactly_once
// the topic is written first, so it lost something.
func (l *line) behind(cp, mirror checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	if !l.cfg.exactlyOnce() && !cp.IsZero() && mirror.Generation == cp.Generation {
		return clone(mirror), nil
	}
	return cp, resilience.Errorf(resilience.Fatal, "checkpoint_behind_mirror", "connect",
		"topic %s is at generation %d, seq %d, and the stored checkpoint at generation %d, seq %d: the topic lost records or is another one",
		l.log.topic, cp.Generation, cp.Position.Seq, mirror.Generation, mirror.Position.Seq).
		WithHint("if the records behind the topic's position are gone too, remove the stored checkpoint and go on from the topic")
}

// clone returns a copy whose position may be changed.
func clone(c checkpoint.Checkpoint) checkpoint.Checkpoint {
	c.Position = c.Position.Clone()
	return c
}

// claim writes down that this process in this term owns the pipeline, once.
func (l *line) claim(ctx context.Context) error {
	if o, _ := l.log.owner(); o == l.me {
		return nil
	}
	value, err := json.Marshal(l.me)
	if err != nil {
		return err
	}
	return l.write(ctx, entry{keyOwner, value})
}

// write stores entries in the checkpoint topic by themselves, while the loop
// does not run.
func (l *line) write(ctx context.Context, entries ...entry) error {
	err := l.writeTxn(ctx, entries)
	if resilience.ClassOf(err) == resilience.Fenced {
		err = l.confirmFence(err)
	}
	return err
}

func (l *line) writeTxn(ctx context.Context, entries []entry) error {
	p := l.m.partition(l.checkpointKey())
	b := encodeEntries(p.topic, time.Now(), entries)
	if l.producer.transactional {
		if err := l.producer.addPartitions(ctx, []*partition{p}); err != nil {
			return err
		}
	}
	stamp(b.bytes(), l.producer.session.pid, l.producer.session.epoch, p.seq, l.producer.transactional)
	if err := l.writeBatch(ctx, b); err != nil {
		return classify(err, "store checkpoint", place(p))
	}
	p.seq = nextSequence(p.seq, b.count)
	if l.producer.transactional {
		return l.producer.endTxn(ctx, true)
	}
	return nil
}

func (l *line) writeBatch(ctx context.Context, b *batch) error {
	for attempt := 1; ; attempt++ {
		err := l.producer.produce(ctx, []*batch{b})[0]
		if err == nil || verdictOf(err) == done {
			return nil
		}
		if attempt == 8 || verdictOf(err) != again || !sleep(ctx, backoff(attempt)) {
			return err
		}
		l.cluster.refresh()
	}
}

// Begin implements sink.Sink.
func (s *Sink) Begin(ctx context.Context, cp checkpoint.Checkpoint) error {
	l := s.line
	if l == nil || s.started {
		return notConnected()
	}
	cp.Term = s.term
	value, err := checkpoint.Encode(cp)
	if err != nil {
		return err
	}
	if err := l.write(ctx, entry{keyPosition, value}); err != nil {
		return err
	}
	l.cp = clone(cp)
	return nil
}

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, b sink.Batch, idle bool, done func(sink.Ack, error)) {
	l := s.line
	if l == nil {
		done(sink.Ack{}, notConnected())
		return
	}
	u, ok := b.Packed.(*unit)
	if !ok || u.era != l.era {
		err := resilience.Errorf(resilience.Transient, "stale_batch", "deliver", "the batch was packed for another line")
		done(sink.Ack{}, err)
		return
	}
	if !s.started {
		s.started = true
		l.start()
	}
	l.put(ctx, &item{unit: u, ends: b.Ends, open: b.Open, idle: idle, bytes: u.Bytes(), done: done})
}

// Close implements sink.Sink.
func (s *Sink) Close(ctx context.Context) error { return s.endLine(ctx, drain) }

// lineEnd is how a line ends: drain finishes what is under way, cutOff does not.
type lineEnd bool

const (
	drain  lineEnd = true
	cutOff lineEnd = false
)

// endLine ends the line there is and joins its goroutines.
func (s *Sink) endLine(ctx context.Context, how lineEnd) error {
	l := s.line
	if l == nil {
		return nil
	}
	s.line = nil
	s.current.Store(nil)
	defer s.retrying.Store(false)
	var err error
	if s.started && how == drain {
		err = l.drain(ctx)
	} else if s.started {
		l.cutOff()
	}
	if how == drain {
		l.abortOpen()
		s.session = l.producer.session
	}
	l.cluster.close()
	return err
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
