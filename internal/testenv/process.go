package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// spawner starts children from one operating system thread that lives until the last of them is gone. The kernel's
// "kill me when my parent dies" is tied to the thread that forked, not to the process: started from an ordinary goroutine, a
// server would be killed whenever the Go runtime retires that thread.
type spawner struct {
	starts chan func()
	quit   chan struct{}
	done   chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{starts: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
	go s.loop()
	return s
}

func (s *spawner) loop() {
	defer close(s.done)
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	for {
		select {
		case start := <-s.starts:
			start()
		case <-s.quit:
			return
		}
	}
}

func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	select {
	case s.starts <- func() { result <- cmd.Start() }:
		return <-result
	case <-s.done:
		return errors.New("the Env is closed; open a new one")
	}
}

// close ends the thread, and with it every child that is still there.
func (s *spawner) close() {
	close(s.quit)
	<-s.done
}

// process is one run of a server. Another run of the same server is another process.
type process struct {
	name    string
	cmd     *exec.Cmd
	logPath string
	exited  chan struct{}
	err     error // of Wait; valid once exited is closed

	mu     sync.Mutex
	frozen bool
}

// startProcess runs argv in its own process group with its output appended to logPath.
func (s *spawner) startProcess(name, dir, logPath string, argv []string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("testenv: open the log of %s: %w", name, err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	// Its own group: a Ctrl-C at the terminal reaches us alone, and we decide how the servers end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.start(cmd); err != nil {
		return nil, fmt.Errorf("testenv: start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, logPath: logPath, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("testenv: send %v to %s (pid %d): %w", sig, p.name, p.pid(), err)
	}
	return nil
}

// freeze stops every thread of the process where it is; its sockets stay open, as with a machine that hangs.
func (p *process) freeze() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return p.notRunning("freeze")
	}
	p.frozen = true
	return p.signal(syscall.SIGSTOP)
}

func (p *process) thaw() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return p.notRunning("thaw")
	}
	p.frozen = false
	return p.signal(syscall.SIGCONT)
}

func (p *process) notRunning(verb string) error {
	return fmt.Errorf("testenv: %s %s: it is not running (%w); call Restart first", verb, p.name, p.exitError())
}

// kill ends the process as a power cut would, and returns when it is gone.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return p.wait(context.Background(), 10*time.Second)
}

// stop asks the process to end and kills it if it takes longer than grace.
func (p *process) stop(ctx context.Context, grace time.Duration) error {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen {
		if err := p.thaw(); err != nil {
			return err
		}
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.wait(ctx, grace); err != nil {
		return errors.Join(err, p.kill())
	}
	return nil
}

func (p *process) wait(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("testenv: wait for %s (pid %d) to end: %w", p.name, p.pid(), context.Cause(ctx))
	case <-timer.C:
		return fmt.Errorf("testenv: %s (pid %d) did not end within %v; its log is %s", p.name, p.pid(), limit, p.logPath)
	}
}

// exitError says how the process ended, with the end of its log, which usually tells why.
func (p *process) exitError() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	text, _ := os.ReadFile(p.logPath)
	return fmt.Errorf("%s ended with %s; the end of its log %s:\n%s", p.name, how, p.logPath, lastLines(string(text), 15))
}

// awaitReady polls probe until it succeeds, and gives up at once if the process ends.
func (p *process) awaitReady(ctx context.Context, limit time.Duration, probe func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not ready after %v", limit))
	defer cancel()
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-p.exited:
			gone(p.exitError())
		case <-ctx.Done():
		}
	}()
	err := poll(ctx, 25*time.Millisecond, func() error { return probe(ctx) })
	gone(nil)
	<-watched
	if err != nil {
		return fmt.Errorf("testenv: wait for %s to answer: %w (its log is %s)", p.name, err, p.logPath)
	}
	return nil
}
