package kafka

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"

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
	retrying atomic.Pointer[error]
	// delivered says that this process has written something: see patient.
	delivered atomic.Bool
	facts     atomic.Pointer[lineFacts]
	current   atomic.Pointer[topics]

	line     *line
	started  bool // the line's goroutine runs
	term     uint64
	session  session // of this term; noSession before its first Connect
	era      uint64
	told     checkpoint.Checkpoint // newest position of an ended line that was reported as durable
	suspects []string              // topics in which an ended line met what was undecided
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
		batchBytes: s.cfg.BatchBytes, keyOnly: s.cfg.KeyOnly(), obs: &s.opts.Observer, facts: s.facts.Load(),
	}
}

// topic implements topicSource with the topics of the current line.
func (s *Sink) topic(name string) (*topic, error) {
	ts := s.current.Load()
	if ts == nil {
		return nil, notConnected()
	}
	t, err := ts.topic(name)
	return t, s.patient(err)
}

func notConnected() error {
	return resilience.Errorf(resilience.Transient, "not_connected", "deliver", "the sink is not connected")
}

// Retrying is the error for which batches are being repeated in place, nil for
// none: silence is no stall then. Safe for concurrent use.
func (s *Sink) Retrying() error {
	if err := s.retrying.Load(); err != nil {
		return *err
	}
	return nil
}

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
		return checkpoint.Checkpoint{}, s.patient(err)
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
		cfg: &s.cfg, obs: &s.opts.Observer, waits: &s.retrying, delivered: &s.delivered, me: owner{s.term, s.instance}, era: s.era, cluster: c,
		producer: &producer{c: c, id: s.cfg.transactionalID(), timeout: s.cfg.TransactionTimeout, transactional: s.cfg.exactlyOnce()},
		log:      newCheckpointLog(c, s.cfg.checkpointTopic()),
		clean:    map[place]bool{}, suspects: s.suspects,
	}, nil
}

func (s *Sink) connect(ctx context.Context, l *line, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	var none checkpoint.Checkpoint
	if _, err := l.reach(ctx); err != nil {
		return none, err
	}
	t, err := l.checkpointTopic(ctx, cp)
	if err != nil {
		return none, err
	}
	if err := l.refuseNewer(ctx, false); err != nil {
		return none, err
	}
	l.m = newMachine(s.cfg.exactlyOnce(), s.cfg.GroupBytes, s.cfg.GroupDelay, partKey{t, 0})
	l.m.splitAfter = s.cfg.splitAfter()
	l.m.known = func(at place) bool { return l.clean[at] }
	if err := s.takeOverAndSettle(ctx, l, cp); err != nil {
		return none, err
	}
	if err := l.refuseNewer(ctx, true); err != nil {
		return none, err
	}
	if err := l.restore(cp); err != nil {
		return none, err
	}
	l.dropLedgers()
	return clone(l.cp), l.claim(ctx)
}

// Begin implements sink.Sink.
func (s *Sink) Begin(ctx context.Context, cp checkpoint.Checkpoint) error {
	l := s.line
	if l == nil || s.started {
		return notConnected()
	}
	cp.Term = s.term
	value, err := encodePosition(cp)
	if err != nil {
		return err
	}
	if err := l.write(ctx, append(changedMarks(l.cp.Position.Marks, cp.Position.Marks), entry{keyPosition, value})...); err != nil {
		return err
	}
	l.cp, l.told = clone(cp), true
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
	l.put(ctx, &item{unit: u, ends: b.Ends, open: b.Open, part: b.Part, idle: idle, bytes: u.Bytes(), done: done})
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
	defer s.retrying.Store(nil)
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
	s.suspects = l.suspects
	if l.told {
		s.told = l.cp
	}
	return err
}
