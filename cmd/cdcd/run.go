package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/cdcd-io/cdcd/pipeline"
)

const runHelp = `usage: cdcd run [flags] CONFIG

Runs every pipeline of the configuration until it is told to stop. A server or
broker that goes away is waited for, for ever: cdcd status shows since when and
why. An error that waiting cannot heal stops the pipeline it happened in; when
none is left running the process ends with code 1.

The first SIGTERM or SIGINT stops softly: no more is read, what is in hand is
delivered and the place is stored, within shutdown_grace; the exit code is 0.
A second one stops at once; the next start goes on from the checkpoint. So it
does after a crash or a kill -9.

flags:
  --socket PATH      where status, pause and resume reach this daemon
                     (default: admin.socket, or cdcd.sock beside the checkpoints)
  --log-level LEVEL  debug, info, warn or error (default: log.level, info)
` + setHelp + `
examples:
  cdcd run cdcd.yaml
  cdcd run --log-level debug --set shutdown_grace=5s cdcd.yaml

Logs go to standard error: text on a terminal, JSON otherwise.
`

func runVerb() verb {
	return verb{
		name: "run", args: "CONFIG", brief: "run the daemon", long: runHelp,
		setup: func(fs *flag.FlagSet) func(context.Context, *system, []string) error {
			r := &runFlags{}
			r.register(fs)
			fs.StringVar(&r.socket, "socket", "", "")
			fs.StringVar(&r.logLevel, "log-level", "", "")
			return r.run
		},
	}
}

type runFlags struct {
	configFlags
	socket, logLevel string
}

func (r *runFlags) run(ctx context.Context, sys *system, args []string) error {
	path, err := oneArg("run", "the configuration file", args)
	if err != nil {
		return err
	}
	if r.socket != "" {
		r.set = append(r.set, "admin.socket="+strconv.Quote(r.socket))
	}
	if r.logLevel != "" {
		r.set = append(r.set, "log.level="+strconv.Quote(r.logLevel))
	}
	p, err := readPlan(sys, path, &r.configFlags)
	if err != nil {
		return err
	}
	log := newLogger(sys, p.file.Log)
	doors, err := openDoors(p.socket(), p.file.Admin)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	d, err := assemble(sys, p, log)
	if err != nil {
		doors.close()
		return err
	}
	limitMemory(sys, p)
	log.Info("cdcd runs", "version", version(), "config", path, "pipelines", len(p.lines), "socket", p.socket())
	err = d.run(newStops(ctx, signals, p.file.ShutdownGrace, log), doors)
	return logEnd(sys, p, log, err)
}

// logEnd tells how the daemon ended. Where logs are JSON the error is part of
// them and not printed once more.
func logEnd(sys *system, p *plan, log *slog.Logger, err error) error {
	if err == nil {
		log.Info("cdcd ends")
		return nil
	}
	if !jsonLogs(sys, p.file.Log) {
		return err
	}
	text, hint := textAndHint(err)
	log.Error("cdcd ends", "err", text, "hint", hint, "exit_code", exitCode(err))
	return &exitError{code: exitCode(err), err: errSilent}
}

// limitMemory tells the garbage collector how much is meant to be in use, so
// that it runs before the heap has doubled over full buffers. It is no hard
// limit. GOMEMLIMIT, where it is set, wins.
func limitMemory(sys *system, p *plan) {
	if sys.getenv("GOMEMLIMIT") != "" {
		return
	}
	var lines []pipeline.Config
	for _, l := range p.lines {
		lines = append(lines, l.Line)
	}
	debug.SetMemoryLimit(pipeline.MemoryLimit(lines...))
}

// defaultSocket is the name of the socket in the folder of the checkpoints.
const defaultSocket = "cdcd.sock"

// socket is where the daemon of this configuration listens.
func (p *plan) socket() string {
	if s := p.file.Admin.Socket; s != "" {
		return s
	}
	return filepath.Join(p.checkpoint.Dir, defaultSocket)
}
