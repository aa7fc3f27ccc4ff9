package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles the daemon, with failpoints and, if wanted, the race detector,
// into dir and returns its path.
func Build(ctx context.Context, dir string, race bool) (string, error) {
	bin := filepath.Join(dir, "cdcd")
	args := []string{"build", "-tags", "failpoints", "-o", bin}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/cdcd-io/cdcd/cmd/cdcd")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w\n%s", err, out)
	}
	return bin, nil
}

// Daemon runs the built binary as a process of its own, so that it can be
// killed like one.
type Daemon struct {
	Bin, Dir, Config string
	Env              []string

	cmd  *exec.Cmd
	done chan struct{}
	err  error
	log  *tail
}

// Start starts the process. Its output goes to daemon.log in Dir.
func (d *Daemon) Start(env ...string) error {
	logFile, err := os.OpenFile(filepath.Join(d.Dir, "daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	d.log = &tail{file: logFile}
	d.cmd = exec.Command(d.Bin, "run", d.Config)
	d.cmd.Dir = d.Dir
	d.cmd.Env = append(append(os.Environ(), d.Env...), env...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.done = make(chan struct{})
	started := make(chan error, 1)
	go d.run(started)
	return <-started
}

// run keeps its thread: the child dies with the thread that started it.
func (d *Daemon) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		started <- err
		close(d.done)
		return
	}
	started <- nil
	d.err = d.cmd.Wait()
	_ = d.log.file.Close()
	close(d.done)
}

// Done is closed when the process has ended.
func (d *Daemon) Done() <-chan struct{} { return d.done }

// Err is how it ended: an *exec.ExitError unless it ended with status 0.
func (d *Daemon) Err() error { <-d.done; return d.err }

// Killed reports whether a SIGKILL ended it.
func (d *Daemon) Killed() bool {
	var exit *exec.ExitError
	if !errors.As(d.Err(), &exit) {
		return false
	}
	ws, ok := exit.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// Kill ends it with SIGKILL and waits.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

// Signal sends a signal.
func (d *Daemon) Signal(s syscall.Signal) error { return d.cmd.Process.Signal(s) }

// Stop ends it softly and waits; an error when it had to be killed or failed.
func (d *Daemon) Stop(ctx context.Context) error {
	if err := d.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the daemon: %w\n%s", err, d.log)
	}
	select {
	case <-d.done:
	case <-ctx.Done():
		d.Kill()
		return fmt.Errorf("the daemon did not stop in time: %w\n%s", ctx.Err(), d.log)
	}
	if d.err != nil {
		return fmt.Errorf("the daemon ended with an error: %w\n%s", d.err, d.log)
	}
	return nil
}

// Pid is the process id.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Log is the end of what the process has written.
func (d *Daemon) Log() string { return d.log.String() }

// VmHWM is the process's peak resident memory in bytes.
func (d *Daemon) VmHWM() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			return kb << 10, nil
		}
	}
	return 0, errors.New("no VmHWM in the process's status")
}

// PipelineStatus is the part of the daemon's status a proof looks at.
type PipelineStatus struct {
	Name, State, Error, ErrorCode, Hint string
	Seq, ReadSeq                        uint64
	GTIDs, File                         string
	Offset                              uint64
	Snapshot                            []TableProgress
	Planning                            bool // there may be more tables to read
	Gap                                 Gap
}

// Gap is the last loss of changes; its Code is "" where there was none.
type Gap struct {
	Code   string
	Closed bool // every table was read anew since
}

// TableProgress is how far the snapshot of a table is.
type TableProgress struct {
	Table         string
	Held          string
	Reading, Done bool
	Rows          uint64
}

// Status asks the daemon over its socket.
func (d *Daemon) Status(ctx context.Context, socket string) ([]PipelineStatus, error) {
	resp, err := ask(ctx, socket, http.MethodGet, "", "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var out struct {
		Pipelines []struct {
			Name, State, Error, Hint, GTIDs, File string
			ErrorCode                             string `json:"error_code"`
			Seq, Offset                           uint64
			ReadSeq                               uint64 `json:"read_seq"`
			Snapshot                              []TableProgress
			Planning                              bool `json:"snapshot_planning"`
			Gap                                   Gap
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return nil, err
	}
	list := make([]PipelineStatus, len(out.Pipelines))
	for i, p := range out.Pipelines {
		list[i] = PipelineStatus{p.Name, p.State, p.Error, p.ErrorCode, p.Hint, p.Seq, p.ReadSeq, p.GTIDs, p.File, p.Offset, p.Snapshot, p.Planning, p.Gap}
	}
	return list, nil
}

// Command gives a pipeline a command over the daemon's socket: pause, resume, or
// snapshot with a body.
func (d *Daemon) Command(ctx context.Context, socket, pipeline, verb, body string) error {
	resp, err := ask(ctx, socket, http.MethodPost, "/"+pipeline+"/"+verb, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", verb, body, resp.Status, text)
	}
	return err
}

func ask(ctx context.Context, socket, method, path, body string) (*http.Response, error) {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://cdcd/api/v1/pipelines"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

// tail writes to a file and remembers the last lines for error messages.
type tail struct {
	mu   sync.Mutex
	file *os.File
	last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if n := len(t.last); n > 16<<10 {
		t.last = bytes.Clone(t.last[n-8<<10:])
	}
	return t.file.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

// Eventually polls until ok says that it is done, and returns the error given
// with that; an error given before only explains why it is not done yet. what
// names the condition.
func Eventually(ctx context.Context, what string, ok func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		done, err := ok()
		if done {
			return err
		}
		last = err
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %v)", what, context.Cause(ctx), last)
		}
	}
}
