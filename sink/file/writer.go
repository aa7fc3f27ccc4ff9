package file

import (
	"context"
	"os"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// item is one batch on its way.
type item struct {
	lines *lines
	open  bool
	done  func(sink.Ack, error)
	at    place // behind it, once written
}

const (
	// queued is how many batches wait for the writer.
	queued = 16
	// heldBytes is how much is written before an fsync that is not due yet.
	heldBytes = 16 << 20
)

// writer is one line of the sink: a goroutine that owns the output from
// startWriter to end.
type writer struct {
	cfg   Config
	out   *output
	pool  *buffers
	write func(*os.File, []byte) (int, error)

	queue  chan item
	failed chan struct{} // closed at the first error
	ended  chan struct{} // closed when the goroutine is over
	ending bool          // queue is closed; only the goroutine of Send looks

	err     error  // the line's first error; read after failed is closed
	written []item // waits for the fsync
	bytes   int    // of written
	open    bool   // the last batch ended inside a transaction
}

func startWriter(cfg Config, out *output, pool *buffers, write func(*os.File, []byte) (int, error)) *writer {
	w := &writer{
		cfg: cfg, out: out, pool: pool, write: write,
		queue: make(chan item, queued), failed: make(chan struct{}), ended: make(chan struct{}),
	}
	go w.run()
	return w
}

// send hands a batch to the writer; a line that failed takes none.
func (w *writer) send(ctx context.Context, it item) {
	if w.ending {
		it.done(sink.Ack{}, errClosed)
		return
	}
	select {
	case <-w.failed:
		it.done(sink.Ack{}, w.err)
		return
	case <-ctx.Done():
		w.giveUp(ctx, it)
		return
	default:
	}
	select {
	case w.queue <- it:
	case <-w.failed:
		it.done(sink.Ack{}, w.err)
	case <-ctx.Done():
		w.giveUp(ctx, it)
	}
}

// giveUp fails a batch whose context ended, and with it the line: what comes
// after must not be written behind a gap.
func (w *writer) giveUp(ctx context.Context, it item) {
	w.stop()
	it.done(sink.Ack{}, &resilience.Error{
		Class: resilience.Transient, Code: "send_cancelled", Op: "write output", At: w.out.path, Err: context.Cause(ctx),
	})
}

// stop lets the writer finish what it has and end.
func (w *writer) stop() {
	if !w.ending {
		w.ending = true
		close(w.queue)
	}
}

// end waits until every batch is done and closes the output.
func (w *writer) end(ctx context.Context) error {
	w.stop()
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return &resilience.Error{
			Class: resilience.Transient, Code: "output_hangs", Op: "close output", At: w.out.path, Err: context.Cause(ctx),
			Hint: "the disk does not answer",
		}
	}
}

// run writes until the queue is closed.
func (w *writer) run() {
	defer close(w.ended)
	tick := time.NewTicker(w.cfg.FsyncInterval)
	defer tick.Stop()
	for {
		select {
		case it, ok := <-w.queue:
			if !ok {
				w.sync()
				_ = w.out.close() // nothing is owed any more
				return
			}
			w.take(it)
			w.takeWaiting()
			if w.due() {
				w.sync()
			}
		case <-tick.C:
			w.sync()
		}
	}
}

// takeWaiting takes what waits already: one fsync serves it all.
func (w *writer) takeWaiting() {
	for w.bytes < heldBytes {
		select {
		case it, ok := <-w.queue:
			if !ok {
				return // run sees it too
			}
			w.take(it)
		default:
			return
		}
	}
}

func (w *writer) due() bool {
	return w.cfg.Fsync != Interval || w.bytes >= heldBytes
}

// take writes one batch, or refuses it after an error.
func (w *writer) take(it item) {
	if w.err != nil {
		it.done(sink.Ack{}, w.err)
		return
	}
	if err := w.put(&it); err != nil {
		w.fail(diskError("write output", w.out.path, err))
		it.done(sink.Ack{}, w.err)
		return
	}
	w.written = append(w.written, it)
}

func (w *writer) put(it *item) error {
	b := it.lines.b
	if err := w.makeRoom(int64(len(b))); err != nil {
		return err
	}
	whole := w.out.at.Bytes
	if n, err := w.write(w.out.file, b); err != nil {
		if n > 0 {
			// A torn line must not stay for readers. If cutting it fails too,
			// Connect cuts.
			_ = w.out.cut(whole)
		}
		return err
	}
	w.out.at.Bytes += int64(len(b))
	w.bytes += len(b)
	w.open, it.at = it.open, w.out.at
	w.pool.put(it.lines)
	it.lines = nil
	return nil
}

// makeRoom begins a new file when the next batch would overfill this one and
// no transaction is open.
func (w *writer) makeRoom(next int64) error {
	size := w.out.at.Bytes
	if w.cfg.MaxBytes == 0 || size == 0 || next == 0 || w.open || size+next <= w.cfg.MaxBytes {
		return nil
	}
	return w.out.rotate(w.cfg.Keep)
}

// sync makes durable what was written and tells so.
func (w *writer) sync() {
	if len(w.written) == 0 {
		return
	}
	if w.err == nil && w.cfg.Fsync != Never && w.bytes > 0 {
		if err := w.out.file.Sync(); err != nil {
			w.fail(diskError("sync output", w.out.path, err))
		}
	}
	for i := range w.written {
		w.tell(&w.written[i])
	}
	clear(w.written)
	w.written, w.bytes = w.written[:0], 0
}

func (w *writer) tell(it *item) {
	if w.err != nil {
		it.done(sink.Ack{}, w.err)
		return
	}
	it.done(sink.Ack{State: it.at.state()}, nil)
}

// fail notes the line's first error.
func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
		close(w.failed)
	}
}
