package file

import (
	"context"
	"os"
	"path/filepath"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/sink"
)

// Sink writes JSON lines to a file. It implements sink.Sink.
type Sink struct {
	cfg   Config
	pool  buffers
	write func(f *os.File, b []byte) (int, error) // (*os.File).Write, but for tests

	lock   *os.File // held from the first Connect to Close
	owner  owner
	writer *writer // of the line, nil when there is none
}

var _ sink.Sink = (*Sink)(nil)

// New returns a sink that is not connected yet. cfg must be valid.
func New(cfg Config) *Sink { return &Sink{cfg: cfg, write: (*os.File).Write} }

// Packer implements sink.Sink.
func (s *Sink) Packer() sink.Packer { return &packer{pool: &s.pool, text: s.cfg.Text} }

// Connect implements sink.Sink: it cuts the output back to cp.
func (s *Sink) Connect(ctx context.Context, term uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	if err := s.endLine(ctx); err != nil {
		return cp, err
	}
	if err := s.own(); err != nil {
		return cp, err
	}
	if err := s.owner.admit(s.cfg.Path, term, cp); err != nil {
		return cp, err
	}
	s.owner.Term = term
	if !cp.IsZero() {
		s.owner.Installation, s.owner.Pipeline = cp.Installation, cp.Pipeline
	}
	if err := writeOwner(s.lock, s.owner); err != nil {
		return cp, diskError("write owner of output", s.lock.Name(), err)
	}
	to, err := placeOf(cp.Sink)
	if err != nil {
		return cp, err
	}
	out, err := cutBack(s.cfg.Path, to)
	if err != nil {
		return cp, diskError("cut output back", s.cfg.Path, err)
	}
	s.writer = startWriter(s.cfg, out, &s.pool, s.write)
	return cp, nil
}

// own locks the output, once.
func (s *Sink) own() error {
	if s.lock != nil {
		return nil
	}
	dir := filepath.Dir(s.cfg.Path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return diskError("make directory of output", dir, err)
	}
	var err error
	s.lock, s.owner, err = lockOutput(s.cfg.Path)
	return err
}

// Begin implements sink.Sink: the empty output is this pipeline's from now on.
func (s *Sink) Begin(ctx context.Context, cp checkpoint.Checkpoint) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.lock == nil {
		return errClosed
	}
	s.owner.Installation, s.owner.Pipeline = cp.Installation, cp.Pipeline
	if err := writeOwner(s.lock, s.owner); err != nil {
		return diskError("write owner of output", s.lock.Name(), err)
	}
	return nil
}

// Send implements sink.Sink. Batches that wait are written together, so it
// needs not to know whether more are coming.
func (s *Sink) Send(ctx context.Context, b sink.Batch, _ bool, done func(sink.Ack, error)) {
	if s.writer == nil {
		done(sink.Ack{}, errClosed)
		return
	}
	s.writer.send(ctx, item{lines: b.Packed.(*lines), open: b.Open, done: done})
}

// Close implements sink.Sink.
func (s *Sink) Close(ctx context.Context) error {
	if err := s.endLine(ctx); err != nil {
		return err
	}
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close()
	s.lock = nil
	return err
}

func (s *Sink) endLine(ctx context.Context) error {
	if s.writer == nil {
		return nil
	}
	if err := s.writer.end(ctx); err != nil {
		return err
	}
	s.writer = nil
	return nil
}
