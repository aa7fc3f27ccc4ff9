package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// line is a pipeline as the runner sees it: a pipeline.Pipeline.
type line interface {
	Run(soft, hard context.Context) error
	Pause()
	Resume()
	Snapshot(ctx context.Context, r pipeline.SnapshotRequest) error
	Status() pipeline.Status
}

// runner keeps one pipeline of the configuration: it builds it, runs it, and
// builds it anew when an operator resumes one that an error stopped. It is the
// admin.Pipeline.
type runner struct {
	name, source, sink string
	build              func() (line, error)
	surveyor           source.Surveyor
	store              checkpoint.Store
	log                *slog.Logger

	mu      sync.Mutex
	current line
	stopped error         // why it does not run; nil while it does
	again   chan struct{} // holds a token between Resume of a stopped pipeline and its start
	survey  *source.Survey
}

func newRunner(name, sourceName, sinkName string) *runner {
	return &runner{name: name, source: sourceName, sink: sinkName, again: make(chan struct{}, 1)}
}

// run runs the pipeline until a stop. An error that waiting does not heal stops
// this pipeline only, until it is resumed or the daemon ends: because of a
// signal, or because stopped() found none left that runs. Then the error is
// returned.
func (r *runner) run(s *stops, ends context.Context, stopped func()) error {
	for {
		err := r.runOnce(s)
		if err == nil || s.soft.Err() != nil {
			return err
		}
		r.logStopped(err)
		r.setStopped(err)
		stopped()
		select {
		case <-r.again:
			r.log.Info("pipeline resumed")
		case <-ends.Done():
			return err
		}
	}
}

func (r *runner) logStopped(err error) {
	f := resilience.Found(err)
	r.log.Error("pipeline stopped", "err", f.Text, "class", resilience.ClassOf(err), "code", f.Code, "hint", f.Fix)
}

func (r *runner) runOnce(s *stops) error {
	p, err := r.build()
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.current, r.stopped = p, nil
	r.mu.Unlock()
	return p.Run(s.soft, s.hard)
}

func (r *runner) setStopped(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = err
}

// alive reports whether the pipeline was not stopped by an error.
func (r *runner) alive() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped == nil
}

// Status implements admin.Pipeline.
func (r *runner) Status() pipeline.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := pipeline.Status{Name: r.name, State: pipeline.Starting}
	if r.current != nil {
		st = r.current.Status()
	}
	if r.stopped != nil {
		f := resilience.Found(r.stopped)
		st.State, st.Ready, st.Error, st.ErrorCode, st.Hint = pipeline.Stopped, false, f.Text, f.Code, f.Fix
	}
	return st
}

// Ends implements admin.Pipeline.
func (r *runner) Ends() (string, string) { return r.source, r.sink }

// Pause implements admin.Pipeline.
func (r *runner) Pause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped != nil:
		return errors.New("an error has stopped it already; resume starts it again")
	case r.current == nil:
		return errors.New("it is only starting")
	}
	r.current.Pause()
	return nil
}

// Resume implements admin.Pipeline.
func (r *runner) Resume() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if resilience.CodeOf(r.stopped) == pipeline.CodeHangs {
		return errors.New("a stage of it still hangs and may still write: restart the process")
	}
	if r.stopped != nil {
		r.stopped = nil // no longer: run is about to build it anew
		r.again <- struct{}{}
		return nil
	}
	if r.current != nil {
		r.current.Resume()
	}
	return nil
}

// Snapshot implements admin.Pipeline.
func (r *runner) Snapshot(ctx context.Context, q pipeline.SnapshotRequest) error {
	r.mu.Lock()
	current, stopped := r.current, r.stopped
	r.mu.Unlock()
	switch {
	case stopped != nil:
		return notRunning("an error has stopped pipeline %s", r.name).WithHint("cdcd status says which; mend it, then cdcd resume %s", r.name)
	case current == nil:
		return notRunning("pipeline %s is only starting", r.name).WithHint("ask again in a moment")
	case current.Status().State == pipeline.Paused:
		return notRunning("pipeline %s is paused", r.name).WithHint("cdcd resume %s", r.name)
	}
	return current.Snapshot(ctx, q)
}

// notRunning is the error of a request to a pipeline that takes none now.
func notRunning(format string, args ...any) *resilience.Error {
	return resilience.Errorf(resilience.Transient, "not_running", "ask for a snapshot", format, args...)
}

// Survey implements admin.Pipeline.
func (r *runner) Survey() (source.Survey, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.survey == nil {
		return source.Survey{}, false
	}
	return *r.survey, true
}

// How often the log of a source is looked at, how soon again while there is no
// view of it, and how long a look may take.
const (
	surveyEvery   = 30 * time.Second
	surveySoon    = 2 * time.Second
	surveyTimeout = 10 * time.Second
)

// watchLog keeps the view of the source's log fresh until ctx ends.
func (r *runner) watchLog(ctx context.Context) {
	for {
		r.look(ctx)
		wait := surveyEvery
		if _, ok := r.Survey(); !ok {
			wait = surveySoon
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// look takes one view. When it fails there is none: an old one would mislead.
func (r *runner) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var view *source.Survey
	sv, err := r.surveyAt(ctx)
	if err == nil {
		view = &sv
	} else {
		r.log.Debug("the source's log could not be looked at", "err", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.survey = view
}

func (r *runner) surveyAt(ctx context.Context) (source.Survey, error) {
	cp, err := r.store.Load(ctx, r.name)
	if err != nil {
		return source.Survey{}, fmt.Errorf("load the position: %w", err)
	}
	if cp.Position.File == (event.LogFile{}) {
		return source.Survey{}, errors.New("no position is stored yet")
	}
	return r.surveyor.Survey(ctx, cp.Position)
}
