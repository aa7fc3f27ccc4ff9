package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// fakeLine runs until it is stopped or made to fail.
type fakeLine struct {
	fail   chan error
	mu     sync.Mutex
	paused bool
}

func newFakeLine() *fakeLine { return &fakeLine{fail: make(chan error, 1)} }

func (f *fakeLine) Run(soft, hard context.Context) error {
	select {
	case err := <-f.fail:
		return err
	case <-soft.Done():
		return nil
	}
}

func (f *fakeLine) set(p bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = p
}
func (f *fakeLine) Pause()  { f.set(true) }
func (f *fakeLine) Resume() { f.set(false) }

func (f *fakeLine) Snapshot(context.Context, pipeline.SnapshotRequest) error { return nil }

func (f *fakeLine) Status() pipeline.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.paused {
		return pipeline.Status{State: pipeline.Paused}
	}
	return pipeline.Status{State: pipeline.Running}
}

// crew starts runners of fake lines and returns what ends them.
type crew struct {
	lines   map[string]*fakeLine
	runners map[string]*runner
	signals chan os.Signal
	result  chan error
}

func newCrew(names ...string) *crew {
	c := &crew{lines: map[string]*fakeLine{}, runners: map[string]*runner{}, signals: make(chan os.Signal, 2), result: make(chan error, 1)}
	d := &daemon{log: quiet()}
	for _, n := range names {
		r := newRunner(n, "shop", "events")
		r.log = quiet()
		r.build = func() (line, error) { return c.lines[n], nil }
		c.lines[n], c.runners[n] = newFakeLine(), r
		d.runners = append(d.runners, r)
	}
	s := newStops(context.Background(), c.signals, time.Minute, quiet())
	go func() { c.result <- d.runLines(s) }()
	return c
}

var errLost = &resilience.Error{Class: resilience.Fatal, Code: "binlog_purged", Op: "read", Err: errors.New("gone"), Hint: "start anew"}

func TestAnErrorStopsItsPipelineOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew("a", "b")
		synctest.Wait()
		c.lines["a"].fail <- errLost
		synctest.Wait()
		st := c.runners["a"].Status()
		if st.State != pipeline.Stopped || st.ErrorCode != "binlog_purged" || st.Hint != "start anew" || strings.Contains(st.Error, "start anew") {
			t.Errorf("a: %+v", st)
		}
		if st := c.runners["b"].Status(); st.State != pipeline.Running {
			t.Errorf("b: %+v", st)
		}
		if err := c.runners["a"].Pause(); err == nil {
			t.Error("a stopped pipeline was paused")
		}
		// Resumed, it runs again; stopped with the daemon, it ends well.
		if err := c.runners["a"].Resume(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if st := c.runners["a"].Status(); st.State != pipeline.Running {
			t.Errorf("a resumed: %+v", st)
		}
		c.signals <- syscall.SIGTERM
		if err := <-c.result; err != nil {
			t.Errorf("end: %v", err)
		}
	})
}

func TestTheLastStoppedPipelineEndsTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew("a", "b")
		c.lines["a"].fail <- errLost
		c.lines["b"].fail <- errLost
		err := <-c.result
		if exitCode(err) != exitFailed || !strings.Contains(err.Error(), "pipeline a") || !strings.Contains(err.Error(), "pipeline b") {
			t.Errorf("%v", err)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew("a")
		synctest.Wait()
		r := c.runners["a"]
		if err := r.Pause(); err != nil || r.Status().State != pipeline.Paused {
			t.Errorf("pause: %v, %+v", err, r.Status())
		}
		if err := r.Resume(); err != nil || r.Status().State != pipeline.Running {
			t.Errorf("resume: %v, %+v", err, r.Status())
		}
		c.signals <- syscall.SIGTERM
		<-c.result
	})
}

// oneCheckpoint is a store that holds one position.
type oneCheckpoint struct {
	checkpoint.Store
	pos event.Position
}

func (o oneCheckpoint) Load(context.Context, string) (checkpoint.Checkpoint, error) {
	return checkpoint.Checkpoint{Pipeline: "a", Position: o.pos}, nil
}

type fakeSurveyor struct{ err error }

func (f *fakeSurveyor) Survey(_ context.Context, at event.Position) (source.Survey, error) {
	return source.Survey{BehindBytes: 100 - at.Offset}, f.err
}

func TestAFailedSurveyLeavesNone(t *testing.T) {
	r, s := newRunner("a", "shop", "events"), &fakeSurveyor{}
	r.log, r.surveyor = quiet(), s
	r.store = oneCheckpoint{pos: event.Position{File: event.LogFile{Name: "binlog.000001"}, Offset: 40}}
	r.look(context.Background())
	if sv, ok := r.Survey(); !ok || sv.BehindBytes != 60 {
		t.Errorf("%+v, %v", sv, ok)
	}
	s.err = errors.New("away")
	r.look(context.Background())
	if _, ok := r.Survey(); ok {
		t.Error("an old view is shown")
	}
}

func TestEffective(t *testing.T) {
	at := func(s pipeline.State, sec int64) admin.PipelineInfo {
		return admin.PipelineInfo{Status: pipeline.Status{State: s, Since: time.Unix(sec, 0)}}
	}
	for _, c := range []struct {
		command     string
		before, now admin.PipelineInfo
		want        bool
	}{
		{"pause", at(pipeline.Running, 1), at(pipeline.Running, 1), false},
		{"pause", at(pipeline.Running, 1), at(pipeline.Paused, 2), true},
		{"pause", at(pipeline.Running, 1), at(pipeline.Stopped, 2), true},
		{"resume", at(pipeline.Paused, 1), at(pipeline.Paused, 1), false},
		{"resume", at(pipeline.Paused, 1), at(pipeline.Starting, 2), true},
		{"resume", at(pipeline.Stopped, 1), at(pipeline.Stopped, 1), false},
		{"resume", at(pipeline.Stopped, 1), at(pipeline.Stopped, 2), true}, // and again
		{"resume", at(pipeline.Stopped, 1), at(pipeline.Retrying, 2), true},
	} {
		if got := effective(c.command, c.before, c.now); got != c.want {
			t.Errorf("%s: %s → %s: %v", c.command, c.before.State, c.now.State, got)
		}
	}
}

// TestHangingPipelineIsNotResumed: what hangs may still write, so nothing runs
// beside it in this process.
func TestHangingPipelineIsNotResumed(t *testing.T) {
	r := newRunner("p", "s", "k")
	r.setStopped(resilience.Errorf(resilience.Fatal, pipeline.CodeHangs, "end line", "it hangs"))
	if err := r.Resume(); err == nil || r.alive() {
		t.Errorf("resumed: %v", err)
	}
}
