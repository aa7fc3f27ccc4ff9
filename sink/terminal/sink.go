package terminal

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// Sink prints records. It implements sink.Sink.
type Sink struct {
	out  io.Writer
	line *line // nil when there is none
}

var _ sink.Sink = (*Sink)(nil)

// New returns a sink that prints to out, which it does not close. Colour is the
// encoder's business; Config.Colors decides about it.
func New(out io.Writer) *Sink { return &Sink{out: out} }

// Packer implements sink.Sink.
func (s *Sink) Packer() sink.Packer { return new(packer) }

// Connect implements sink.Sink.
func (s *Sink) Connect(ctx context.Context, _ uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	if err := s.Close(ctx); err != nil {
		return cp, err
	}
	s.line = startLine(s.out)
	return cp, nil
}

// Begin implements sink.Sink; there is nowhere to store a start.
func (s *Sink) Begin(ctx context.Context, _ checkpoint.Checkpoint) error { return context.Cause(ctx) }

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, b sink.Batch, _ bool, done func(sink.Ack, error)) {
	if s.line == nil {
		done(sink.Ack{}, resilience.Errorf(resilience.Transient, "output_closed", "print", "the sink is not connected"))
		return
	}
	s.line.send(ctx, item{text: b.Packed.(lines), done: done})
}

// Close implements sink.Sink.
func (s *Sink) Close(ctx context.Context) error {
	if s.line == nil {
		return nil
	}
	if err := s.line.end(ctx); err != nil {
		return err
	}
	s.line = nil
	return nil
}

// item is one batch on its way.
type item struct {
	text lines
	done func(sink.Ack, error)
}

// line owns the output from startLine to end.
type line struct {
	out    io.Writer
	queue  chan item
	failed chan struct{} // closed at the first error
	ended  chan struct{} // closed when the goroutine is over
	ending bool          // queue is closed; only the goroutine of Send looks
	err    error         // the first error; read after failed is closed
}

// queued is how many batches wait for the terminal.
const queued = 4

func startLine(out io.Writer) *line {
	l := &line{out: out, queue: make(chan item, queued), failed: make(chan struct{}), ended: make(chan struct{})}
	go l.run()
	return l
}

func (l *line) run() {
	defer close(l.ended)
	for it := range l.queue {
		if l.err == nil {
			l.print(it.text)
		}
		it.done(sink.Ack{}, l.err)
	}
}

func (l *line) print(text lines) {
	if len(text) == 0 {
		return
	}
	if _, err := l.out.Write(text); err != nil {
		l.err = outputError(err)
		close(l.failed)
	}
}

func (l *line) send(ctx context.Context, it item) {
	if ctx.Err() != nil || l.ending {
		l.giveUp(ctx, it)
		return
	}
	select {
	case l.queue <- it:
	case <-l.failed:
		it.done(sink.Ack{}, l.err)
	case <-ctx.Done():
		l.giveUp(ctx, it)
	}
}

// giveUp fails a batch, and with it the line: what comes after must not be
// printed behind a gap.
func (l *line) giveUp(ctx context.Context, it item) {
	l.stop()
	cause := context.Cause(ctx)
	if cause == nil {
		cause = errors.New("the line has ended")
	}
	it.done(sink.Ack{}, &resilience.Error{Class: resilience.Transient, Code: "send_cancelled", Op: "print", Err: cause})
}

func (l *line) stop() {
	if !l.ending {
		l.ending = true
		close(l.queue)
	}
}

func (l *line) end(ctx context.Context) error {
	l.stop()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return &resilience.Error{
			Class: resilience.Transient, Code: "output_hangs", Op: "close output", Err: context.Cause(ctx),
			Hint: "whoever reads the output does not go on reading",
		}
	}
}

// outputError says what an error of the output means: a reader that went away
// does not come back.
func outputError(err error) error {
	e := &resilience.Error{Class: resilience.Transient, Code: "output_io", Op: "print", Err: err}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
		e.Class, e.Code = resilience.Fatal, "output_gone"
		e.Hint = "whoever read the output has ended"
	}
	return e
}
