package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/source"
)

// Sink deletes keys of a cache. It implements sink.Sink and resilience.Doctor.
type Sink struct {
	cfg   Config
	obs   Observer
	pool  units
	heard heard
	marks marks
	// delivered says that this process has deleted something: see patient.
	delivered atomic.Bool
	// ended is what ended the line, for those who wait for no batch.
	ended atomic.Pointer[error]

	// awaits is why acknowledgements wait for the source.
	awaits atomic.Pointer[error]
	// shown is what the source was known to show when the last line ended.
	shown source.Shown

	line *line // connected; nil when there is none
	open *line // waits for Begin
}

var (
	_ sink.Sink         = (*Sink)(nil)
	_ resilience.Doctor = (*Sink)(nil)
)

// New returns a sink that is not connected yet. cfg must be valid.
func New(cfg Config, obs Observer) *Sink {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Sink{cfg: cfg, obs: obs, marks: marks{instance: hex.EncodeToString(id[:]), n: new(uint64)}}
}

// Packer implements sink.Sink.
func (s *Sink) Packer() sink.Packer { return &packer{pool: &s.pool, perCommand: s.cfg.CommandKeys} }

// SourceIdle tells that the source had nothing after the transaction seq at that
// time. It is called from any goroutine.
func (s *Sink) SourceIdle(seq uint64, at time.Time) { s.heard.set(seq, at) }

// Ended is the error that ended the line, nil while it goes on: Redis may lose
// deletes while the source has nothing to say. It is called from any goroutine.
func (s *Sink) Ended() error {
	if err := s.ended.Load(); err != nil {
		return *err
	}
	return nil
}

// Connect implements sink.Sink.
func (s *Sink) Connect(ctx context.Context, term uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	s.endLine(cutOff)
	s.ended.Store(nil)
	c, err := dialPrimary(ctx, &s.cfg)
	if err != nil {
		return cp, s.patient(err)
	}
	got, err := s.connect(ctx, c, term, cp)
	if err != nil {
		c.close()
		return cp, s.patient(err)
	}
	return got, nil
}

func (s *Sink) connect(ctx context.Context, c *conn, term uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	l := s.newLine(c, term)
	b, err := l.readBeacon(ctx)
	if err != nil {
		return cp, err
	}
	from, err := decide(term, cp, b)
	if err != nil {
		return cp, err
	}
	if from.cp.IsZero() {
		s.open = l
		return from.cp, nil
	}
	if from.gap {
		err = s.closeGap(ctx, c, s.cfg.Keys, false)
	} else {
		err = s.closeGap(ctx, c, added(b.Rules, s.cfg.Keys), true)
	}
	if err != nil {
		return cp, err
	}
	l.adopt(b, from.cp)
	if err := l.claim(ctx); err != nil {
		return cp, err
	}
	if from.rewound && s.obs.Rewound != nil {
		s.obs.Rewound(cp.Position.Seq, from.cp.Position.Seq)
	}
	l.begin()
	s.line = l
	return from.cp, nil
}

func (s *Sink) newLine(c *conn, term uint64) *line {
	return &line{
		cfg: &s.cfg, obs: &s.obs, pool: &s.pool, conn: c, heard: &s.heard, delivered: &s.delivered, broken: &s.ended, awaits: &s.awaits,
		again: again{shown: s.shown},
		key:   BeaconKey(s.cfg.Installation, s.cfg.Pipeline), term: term, marks: s.marks,
	}
}

// closeGap deals with entries that concern rules; first says that no pipeline has
// looked after those before.
func (s *Sink) closeGap(ctx context.Context, c *conn, rules []cachekey.Rule, first bool) error {
	if len(rules) == 0 {
		return nil
	}
	cfg := s.cfg
	cfg.Keys = rules
	policy, keys, err := closeGap(ctx, c, &cfg, first)
	if err == nil && policy != "" && s.obs.Gap != nil {
		s.obs.Gap(policy, keys)
	}
	return err
}

func (s *Sink) patient(err error) error { return patient(err, s.delivered.Load()) }

// Begin implements sink.Sink: entries that are there already may be older than
// the start.
func (s *Sink) Begin(ctx context.Context, cp checkpoint.Checkpoint) error {
	l := s.open
	if l == nil {
		return notConnected()
	}
	s.shown, l.again.shown = nil, nil // of another log, perhaps
	if err := s.awaitStart(ctx, &cp.Position); err != nil {
		return err
	}
	if err := s.closeGap(ctx, l.conn, s.cfg.Keys, true); err != nil {
		return err
	}
	l.adopt(beacon{}, cp)
	if err := l.claim(ctx); err != nil {
		return err
	}
	l.begin()
	s.open, s.line = nil, l
	return nil
}

// startWithin is how long a start waits for the source to show where it begins.
const startWithin = 10 * time.Second

// awaitStart waits until the source shows the position: an entry that is filled
// after a flush must not be older than that.
func (s *Sink) awaitStart(ctx context.Context, p *event.Position) error {
	if s.cfg.Watermark == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for wait := askEvery; ; wait = min(2*wait, askSlow) {
		shown, err := s.cfg.Watermark.Ask(ctx)
		switch {
		case ctx.Err() != nil:
			return notShown(err)
		case err != nil:
			return err
		case shown.Position(p):
			return nil
		}
		if err := pause(ctx, wait); err != nil {
			return notShown(nil)
		}
	}
}

// Retrying says that the source does not show what it has in its log, for long:
// keys wait to be deleted again. It is nil else, and called from any goroutine.
func (s *Sink) Retrying() error {
	if err := s.awaits.Load(); err != nil {
		return *err
	}
	return nil
}

// readBeacon reads what the server says of the deletes it has.
func (l *line) readBeacon(ctx context.Context) (beacon, error) {
	values, err := l.conn.HMGet(ctx, l.key, beaconFields...).Result()
	if err != nil {
		return beacon{}, classify(err, "read beacon", l.conn.addr)
	}
	return parseBeacon(values)
}

// adopt takes over the beacon that was found, or none, to go on from cp.
func (l *line) adopt(b beacon, cp checkpoint.Checkpoint) {
	l.cp, l.pos, l.last, l.mark = cp, cp.Position.Clone(), cp.Position.Clone(), b.Mark
	l.floor, l.lastFloor = max(b.Seq, cp.Position.Seq), max(b.Last, cp.Position.Seq)
}

// claim makes this line the one that writes the beacon.
func (l *line) claim(ctx context.Context) error {
	w, err := l.nextBeacon(time.Now())
	if err != nil {
		return err
	}
	rules, err := writeRules(l.cfg.Keys)
	if err != nil {
		return err
	}
	w.set("keys", rules)
	return l.beaconWritten(ctx, writeBeacon.EvalSha(ctx, l.conn, []string{l.key}, w.args...), w)
}

// Send implements sink.Sink. Batches that wait leave together, so it needs not to
// know whether more are coming.
func (s *Sink) Send(ctx context.Context, b sink.Batch, _ bool, done func(sink.Ack, error)) {
	if s.line == nil {
		done(sink.Ack{}, notConnected())
		return
	}
	s.line.send(ctx, item{unit: b.Packed.(*unit), ends: b.Ends, commit: b.Newest, open: b.Open, done: done})
}

// Close implements sink.Sink.
func (s *Sink) Close(ctx context.Context) error {
	s.endLine(func(l *line) { l.end(ctx) })
	if s.cfg.Watermark != nil {
		_ = s.cfg.Watermark.Close() // nothing was written
	}
	return nil
}

func cutOff(l *line) { l.cutOff() }

// endLine ends the line there is and joins its goroutine.
func (s *Sink) endLine(how func(*line)) {
	if s.open != nil {
		s.open.conn.close()
		s.open = nil
	}
	if s.line != nil {
		how(s.line)
		s.shown = s.line.again.shown
		s.line = nil
	}
}
