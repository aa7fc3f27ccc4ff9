package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/format/debezium"
	"github.com/cdcd-io/cdcd/format/text"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink/terminal"
	"github.com/cdcd-io/cdcd/source/mysql"
)

func tailVerb() verb {
	return verb{
		name: "tail", args: "mysql://USER@HOST/", brief: "print a server's changes as they happen", long: tailHelp,
		setup: func(fs *flag.FlagSet) func(context.Context, *system, []string) error {
			t := &tailFlags{}
			fs.StringVar(&t.tables, "tables", "", "")
			fs.StringVar(&t.passwordFile, "password-file", "", "")
			fs.BoolVar(&t.json, "json", false, "")
			return t.run
		},
	}
}

type tailFlags struct {
	tables, passwordFile string
	json                 bool
}

func (t *tailFlags) run(ctx context.Context, sys *system, args []string) error {
	arg, err := oneArg("tail", "the address of a server", args)
	if err != nil {
		return err
	}
	srv, err := parseServer(arg)
	if err != nil {
		return err
	}
	cfg := mysql.DefaultConfig()
	cfg.Hosts, cfg.User = []string{srv.addr}, srv.user
	if cfg.Tables.Include, err = tailTables(t.tables, srv); err != nil {
		return err
	}
	if cfg.Password, err = askPassword(sys, t.passwordFile, srv); err != nil {
		return err
	}
	return t.follow(ctx, sys, cfg)
}

// follow prints until it is interrupted, which is its good end. A server that
// is away or unfit from the start is an error; one that goes away later is
// waited for.
func (t *tailFlags) follow(ctx context.Context, sys *system, cfg mysql.Config) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	s := newStops(ctx, signals, tailGrace, quietLog())
	defer s.end()
	if err := fit(s.soft, sys, cfg); err != nil || s.soft.Err() != nil {
		return err
	}
	spill, err := os.MkdirTemp("", "cdcd-tail-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(spill)
	p, err := t.line(sys, cfg, spill)
	if err != nil {
		return err
	}
	return p.Run(s.soft, s.hard)
}

// fit looks at the server first: what would stop the reading sooner or later is
// told now, with its remedy.
func fit(ctx context.Context, sys *system, cfg mysql.Config) error {
	pt := patient{Kind: "server", Name: cfg.Hosts[0], doctor: doctorOf(mysql.New(cfg, "tail", uniqueName()))}
	pt.examine(ctx)
	pt.Findings = slices.DeleteFunc(pt.Findings, func(f resilience.Finding) bool { return f.Severity != resilience.Problem })
	if len(pt.Findings) == 0 || ctx.Err() != nil {
		return nil
	}
	fmt.Fprint(sys.err, pt.render(sys.errTTY))
	return &exitError{code: exitFailed, err: errSilent}
}

// tailGrace is how long an interrupted tail goes on printing what it has read.
const tailGrace = time.Second

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// line puts together server → format → terminal, with a checkpoint that is
// forgotten.
func (t *tailFlags) line(sys *system, cfg mysql.Config, spill string) (*pipeline.Pipeline, error) {
	pc := pipeline.DefaultConfig()
	pc.Name, pc.Installation, pc.Workers, pc.Buffer.SpillDir = "tail", "tail", 1, filepath.Join(spill, "spill")
	return pipeline.New(pc, pipeline.Deps{
		Source:  mysql.New(cfg, "tail", uniqueName()),
		Encoder: t.encoders(sys),
		Sink:    terminal.New(sys.out),
		Store:   &forgetful{},
		Log:     quietLog(),
		Observer: pipeline.Observer{
			LineStarted: func() { fmt.Fprintf(sys.err, "%s\n", dim.in("following "+cfg.Hosts[0]+", Ctrl-C ends", sys.errTTY)) },
			Retrying: func(_ string, s resilience.State) {
				fmt.Fprintf(sys.err, "%s %v\n", yellow.in("waiting:", sys.errTTY), s.LastError)
			},
		},
	})
}

// encoders are for a person, or for a program with --json.
func (t *tailFlags) encoders(sys *system) encoders {
	if t.json {
		return func(r *format.Routes, f event.Flavor) format.Encoder {
			return debezium.New(debezium.DefaultConfig(), debezium.Deps{Source: "tail", Flavor: f, Routes: r})
		}
	}
	c := text.DefaultConfig()
	c.Color, c.Location = sys.color(), time.Local
	return func(r *format.Routes, _ event.Flavor) format.Encoder { return text.New(c, r) }
}

// uniqueName keeps two tails of one server from taking the same server_id.
func uniqueName() string {
	host, _ := os.Hostname()
	return host + strconv.Itoa(os.Getpid())
}

// forgetful is a checkpoint store for one run: in memory.
type forgetful struct {
	mu   sync.Mutex
	last checkpoint.Checkpoint
}

// Load implements checkpoint.Store.
func (f *forgetful) Load(context.Context, string) (checkpoint.Checkpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last.IsZero() {
		return f.last, checkpoint.ErrNone
	}
	return f.last, nil
}

// Save implements checkpoint.Store.
func (f *forgetful) Save(_ context.Context, c checkpoint.Checkpoint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = c
	return nil
}
