package main

import (
	"context"
	"flag"
	"fmt"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cdcd-io/cdcd/internal/verify"
)

const verifyHelp = `usage: cdcd verify [flags] CONFIG [PIPELINE] [TABLE...]

Compares the rows of each captured table with what its topic folds to: with what
a consumer has that keeps the last value of each key. Writers and the pipeline go
on meanwhile; the pipeline must run, since the topic is looked at once it has
passed what was read. Keys that differ are named: missing in the topic, extra in
the topic, or different, with the columns. Only what differs twice is told.

For pipelines to Kafka with the format debezium. It writes nothing (but the row
of the source's watermark, where GTIDs are off), has no consumer group and takes
nobody's place; the account needs SELECT on the tables and Read on the topics.
Tables are read where snapshots read them. Without PIPELINE it is that of the
configuration if there is one; without TABLE (database.table) all captured
tables are verified.

With --repair the running daemon is asked to read the keys again that are missing
or different. What is extra in the topic stays and is told: no row is there that
could be read, and nothing else emits a delete.

The exit code is 0 when all is equal, 3 when something differs, 1 when a table
could not be verified, 2 when command line or configuration are wrong, and 4 when
no daemon answers that could repair.

flags:
  --repair           read keys that differ again, and verify them once more
  --json             print what was found as JSON
  --limit N          name that many differences of a table (default 100)
  --rate N           read at most that many rows and records a second (default
                     50000; 0: as fast as possible)
  --dir PATH         where to keep hashes and keys meanwhile, about 30 bytes and
                     the key for each row and record (default: $TMPDIR or /tmp)
  --wait DURATION    how long the pipeline may stand still, or a server be away,
                     before this gives up (default 1m)
  --socket PATH      the daemon's socket for --repair (default: by CONFIG)
` + setHelp + `
examples:
  cdcd verify cdcd.yaml
  cdcd verify cdcd.yaml shop-events shop.orders --repair
`

func verifyVerb() verb {
	return verb{
		name: "verify", args: "CONFIG...", brief: "compare tables with their topics, and mend what differs", long: verifyHelp,
		setup: func(fs *flag.FlagSet) func(context.Context, *system, []string) error {
			v := &verifyFlags{tune: verify.DefaultConfig()}
			v.register(fs)
			fs.BoolVar(&v.repair, "repair", false, "")
			fs.BoolVar(&v.json, "json", false, "")
			fs.IntVar(&v.tune.Named, "limit", v.tune.Named, "")
			fs.IntVar(&v.tune.Rate, "rate", v.tune.Rate, "")
			fs.StringVar(&v.tune.Dir, "dir", "", "")
			fs.DurationVar(&v.wait, "wait", time.Minute, "")
			fs.StringVar(&v.socket, "socket", "", "")
			return v.run
		},
	}
}

type verifyFlags struct {
	configFlags
	repair, json bool
	socket       string
	wait         time.Duration
	tune         verify.Config
}

func (v *verifyFlags) run(ctx context.Context, sys *system, args []string) error {
	if len(args) == 0 {
		return usagef("cdcd help verify", "cdcd verify takes the configuration file, and maybe a pipeline and tables")
	}
	p, err := readPlan(sys, args[0], &v.configFlags)
	if err != nil {
		return err
	}
	l, tables, err := p.verifiable(args[1:])
	if err != nil {
		return err
	}
	if v.socket == "" {
		v.socket = p.socket()
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r, err := v.open(ctx, sys, p, l)
	if err != nil {
		return err
	}
	defer r.close()
	found, err := r.tables(ctx, tables)
	r.progress.end()
	if err != nil {
		return err
	}
	return v.report(sys, found)
}

// verifiable finds the pipeline that arguments name, and the tables.
func (p *plan) verifiable(args []string) (*linePlan, []string, error) {
	var names []string
	for _, l := range p.lines {
		names = append(names, l.Name)
	}
	at := 0
	switch {
	case len(args) > 0 && slices.Contains(names, args[0]):
		at, args = slices.Index(names, args[0]), args[1:]
	case len(args) > 0 && !strings.Contains(args[0], "."):
		return nil, nil, usagef("", "there is no pipeline %s: %s", args[0], strings.Join(names, ", "))
	case len(names) > 1:
		return nil, nil, usagef("", "name one of the pipelines %s", strings.Join(names, ", "))
	}
	l := p.lines[at]
	if l.sink.kafka == nil || l.format.debezium == nil {
		return nil, nil, usagef("", "pipeline %s cannot be verified: only those to Kafka with the format debezium can", l.Name)
	}
	return l, args, nil
}

// tableFound is what became of one table.
type tableFound struct {
	verify.Result
	Problem *problemFound `json:"problem,omitempty"` // why it could not be verified
}

type problemFound struct {
	Code string `json:"code,omitempty"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// report prints what was found and returns the error with the exit code.
func (v *verifyFlags) report(sys *system, found []tableFound) error {
	verdict, code := "equal", exitOK
	for _, t := range found {
		switch {
		case t.Count() > 0:
			verdict, code = "different", exitFindings
		case t.Problem != nil && code == exitOK:
			verdict, code = "unknown", exitFailed
		}
	}
	if v.json {
		if err := writeJSON(sys.out, map[string]any{"verdict": verdict, "tables": found}); err != nil {
			return err
		}
	} else {
		fmt.Fprint(sys.out, renderVerified(found, v.repair, sys.color()))
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, err: errSilent}
}
