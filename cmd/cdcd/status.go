package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cdcd-io/cdcd/admin"
)

const socketHelp = `  --socket PATH      the daemon's socket (default: $CDCD_SOCKET, ./data/cdcd.sock,
                     $XDG_RUNTIME_DIR/cdcd.sock: the first there is)
  --config CONFIG    find the socket in this configuration
`

const statusHelp = `usage: cdcd status [flags]

Shows how each pipeline of the running daemon is: what it does and since when,
how far behind, how fast, where in the source's log, and the last error with
its remedy.

flags:
` + socketHelp + `  --json             print all there is to know, as JSON
  --watch            print anew every second, until interrupted

states:
  starting   has not read anything yet
  running    delivers, or has nothing to deliver
  retrying   waits for a server or broker to come back; goes on by itself
  paused     by cdcd pause; goes on after cdcd resume
  stopped    by an error that waiting does not heal; mend it, then cdcd resume

examples:
  cdcd status
  cdcd status --watch --socket /var/lib/cdcd/cdcd.sock
  cdcd status --json | jq '.pipelines[] | {name, lag_seconds}'
`

func statusVerb() verb {
	return verb{
		name: "status", brief: "show how the pipelines of the running daemon are", long: statusHelp,
		setup: func(fs *flag.FlagSet) func(context.Context, *system, []string) error {
			s := &statusFlags{}
			s.register(fs)
			fs.BoolVar(&s.json, "json", false, "")
			fs.BoolVar(&s.watch, "watch", false, "")
			return s.run
		},
	}
}

// socketFlags are the flags of the verbs that talk to the daemon.
type socketFlags struct{ socket, config string }

func (s *socketFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&s.socket, "socket", "", "")
	fs.StringVar(&s.config, "config", "", "")
}

// client finds the daemon.
func (s *socketFlags) client(sys *system) (*admin.Client, error) {
	path := s.socket
	if path == "" && s.config != "" {
		p, err := readPlan(sys, s.config, &configFlags{})
		if err != nil {
			return nil, err
		}
		path = p.socket()
	}
	if path == "" {
		path = sys.getenv("CDCD_SOCKET")
	}
	if path == "" {
		path = usualSocket(sys)
	}
	return admin.NewClient(path), nil
}

// usualSocket is the first of the usual places that has a socket, or the first.
func usualSocket(sys *system) string {
	places := []string{filepath.Join("data", defaultSocket)}
	if dir := sys.getenv("XDG_RUNTIME_DIR"); dir != "" {
		places = append(places, filepath.Join(dir, defaultSocket))
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return places[0]
}

// daemonError gives an error of the client its exit code and hint.
func daemonError(err error) error {
	var refused *admin.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, admin.ErrNoDaemon):
		return &exitError{code: exitNoDaemon, err: err,
			hint: "start one with cdcd run CONFIG, or name its socket with --socket PATH or --config CONFIG"}
	case errors.As(err, &refused):
		return &exitError{code: exitFailed, err: err, hint: refused.Hint}
	}
	return err
}

type statusFlags struct {
	socketFlags
	json, watch bool
}

func (s *statusFlags) run(ctx context.Context, sys *system, args []string) error {
	if err := noArgs("status", args); err != nil {
		return err
	}
	c, err := s.client(sys)
	if err != nil {
		return err
	}
	if !s.watch {
		return daemonError(s.once(ctx, sys, c))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return daemonError(s.loop(ctx, sys, c))
}

func (s *statusFlags) once(ctx context.Context, sys *system, c *admin.Client) error {
	rep, err := c.Report(ctx)
	if err != nil {
		return err
	}
	if s.json {
		enc := json.NewEncoder(sys.out)
		enc.SetIndent("", "  ")
		return enc.Encode(rep)
	}
	_, err = io.WriteString(sys.out, renderReport(rep, time.Now(), sys.color()))
	return err
}

// loop prints anew every second; on a terminal over the last print.
func (s *statusFlags) loop(ctx context.Context, sys *system, c *admin.Client) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if sys.outTTY && !s.json {
			fmt.Fprint(sys.out, "\x1b[H\x1b[2J")
		}
		if err := s.once(ctx, sys, c); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
