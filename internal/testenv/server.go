package testenv

import (
	"context"
	"fmt"
	"sync"
)

// server is what MySQL and a Kafka broker have in common: a process that may be ended and started again on the same data.
type server struct {
	name    string
	dir     string
	logPath string
	env     *Env
	argv    []string
	ready   func(ctx context.Context) error

	mu   sync.Mutex
	proc *process
}

// start runs the process and returns once the server answers.
func (s *server) start(ctx context.Context) error {
	p, err := s.spawn()
	if err != nil {
		return err
	}
	return p.awaitReady(ctx, startLimit, s.ready)
}

// spawn does not wait, so that a test may kill a server that is still coming up.
func (s *server) spawn() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && s.proc.running() {
		return nil, fmt.Errorf("testenv: start %s: it is running; Stop or Kill it first", s.name)
	}
	p, err := s.env.spawn.startProcess(s.name, s.dir, s.logPath, s.argv)
	if err == nil {
		s.proc = p
	}
	return p, err
}

func (s *server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Kill ends the server with SIGKILL, as a crash would. Restart brings it back.
func (s *server) Kill() error { return s.current().kill() }

// Freeze stops the server where it is (SIGSTOP): connections stay open and nothing answers.
func (s *server) Freeze() error { return s.current().freeze() }

// Thaw lets a frozen server run on.
func (s *server) Thaw() error { return s.current().thaw() }

// Stop ends the server in its own way and returns when it is gone.
func (s *server) Stop(ctx context.Context) error { return s.current().stop(ctx, stopLimit) }

// Restart starts the server again with the same port and data. A server that still runs is stopped in its own way first.
func (s *server) Restart(ctx context.Context) error {
	if s.current().running() {
		if err := s.Stop(ctx); err != nil {
			return err
		}
	}
	return s.start(ctx)
}

// Pid is the process id of the current run, for tests that trace the server or limit its resources.
func (s *server) Pid() int { return s.current().pid() }

// Running tells whether the process is there; a frozen one is.
func (s *server) Running() bool { return s.current().running() }

// LogPath is the file that holds what the server printed in all its runs.
func (s *server) LogPath() string { return s.logPath }

func (s *server) close() error {
	if p := s.current(); p != nil && p.running() {
		return p.kill()
	}
	return nil
}
