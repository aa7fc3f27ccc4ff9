package redis

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/source"
)

const (
	// askEvery is how often the source is asked for what it shows, while keys wait
	// for that and each answer lets some go; a source whose answers take long is
	// asked less often. An answer that lets none go doubles the pause, up to askSlow.
	askEvery = 5 * time.Millisecond
	askSlow  = 80 * time.Millisecond
	// askAgain is the pause after an error.
	askAgain = 500 * time.Millisecond
	// askWithin bounds one question.
	askWithin = 10 * time.Second
)

// asker is the goroutine of a line that asks the source what it shows, one
// question at a time, so that no delete waits for an answer.
type asker struct {
	mark   source.Watermark
	ask    chan time.Time // not before which to ask
	told   chan answer
	cancel context.CancelFunc
	ended  chan struct{}
}

// answer is what the source said.
type answer struct {
	shown source.Shown
	err   error
	began time.Time // when it was asked
	took  time.Duration
}

func newAsker(mark source.Watermark) *asker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &asker{mark: mark, ask: make(chan time.Time, 1), told: make(chan answer, 1), cancel: cancel, ended: make(chan struct{})}
	go w.run(ctx)
	return w
}

// run answers each question, also once it is cancelled.
func (w *asker) run(ctx context.Context) {
	defer close(w.ended)
	for at := range w.ask {
		a := answer{err: pause(ctx, time.Until(at))}
		if a.err == nil {
			a.began = time.Now()
			asking, end := context.WithTimeout(ctx, askWithin)
			a.shown, a.err = w.mark.Ask(asking)
			end()
			a.took = time.Since(a.began)
		}
		w.told <- a
	}
}

// close joins the goroutine. No question may follow.
func (w *asker) close() {
	w.cancel()
	close(w.ask)
	<-w.ended
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
