package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/pipeline"
)

const snapshotHelp = `usage: cdcd snapshot list   [flags] [PIPELINE]
       cdcd snapshot start  [flags] PIPELINE [TABLE...]
       cdcd snapshot pause  [flags] PIPELINE
       cdcd snapshot resume [flags] PIPELINE
       cdcd snapshot cancel [flags] PIPELINE [TABLE...]

Reads tables of a running pipeline, beside its changes and without a lock: each
row leaves once more, as "op":"r", or as a change that comes meanwhile. With
start, the tables named (as database.table) are read from their beginning, or
all that the pipeline captures. Progress is stored with the rows: a daemon that
is started anew goes on where it was. Pause holds back all reading of tables of
the pipeline and is not stored; cancel gives tables up, and what left stays.

flags:
  --where CONDITION  with start: an SQL condition that rows must meet
  --watch            with list: print anew every second until all is read
` + socketHelp + `
examples:
  cdcd snapshot start shop-events shop.orders
  cdcd snapshot start shop-events shop.orders --where "placed > '2026-01-01'"
  cdcd snapshot list --watch
`

func snapshotVerb() verb {
	return verb{
		name: "snapshot", args: "VERB PIPELINE...",
		brief: "read tables of a running pipeline, and see how far that is", long: snapshotHelp,
		setup: func(fs *flag.FlagSet) func(context.Context, *system, []string) error {
			s := &snapshotFlags{}
			s.register(fs)
			fs.StringVar(&s.where, "where", "", "")
			fs.BoolVar(&s.watch, "watch", false, "")
			return s.run
		},
	}
}

type snapshotFlags struct {
	socketFlags
	where string
	watch bool
}

func (s *snapshotFlags) run(ctx context.Context, sys *system, args []string) error {
	if len(args) == 0 {
		return usagef("cdcd help snapshot tells more", "say what to do: list, start, pause, resume or cancel")
	}
	verb, args := args[0], args[1:]
	c, err := s.client(sys)
	if err != nil {
		return err
	}
	switch verb {
	case "list":
		return s.list(ctx, sys, c, args)
	case "start", "pause", "resume", "cancel":
	default:
		return usagef("cdcd help snapshot tells more", "there is no %q: list, start, pause, resume and cancel are", verb)
	}
	if len(args) == 0 {
		return usagef("cdcd status lists the pipelines", "name the pipeline")
	}
	info, err := c.Snapshot(ctx, args[0], pipeline.SnapshotRequest{Verb: verb, Tables: args[1:], Where: s.where})
	if err != nil {
		return daemonError(err)
	}
	fmt.Fprintf(sys.out, "%s: %s\n", info.Name, done[verb])
	return nil
}

var done = map[string]string{
	"start": "the tables are being read; cdcd snapshot list --watch shows how far", "pause": "no table is read until cdcd snapshot resume",
	"resume": "tables are read again", "cancel": "given up; what has left stays",
}

// list prints a line for each table, once or until all are read.
func (s *snapshotFlags) list(ctx context.Context, sys *system, c *admin.Client, args []string) error {
	for {
		rep, err := c.Report(ctx)
		if err != nil {
			return daemonError(err)
		}
		text, open := renderSnapshots(rep, args, time.Now())
		if s.watch && sys.outTTY {
			text = "\x1b[H\x1b[J" + text
		}
		fmt.Fprint(sys.out, text)
		if !s.watch || !open {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// renderSnapshots draws the tables of the pipelines named, or of all, and tells
// whether any is not read to its end.
func renderSnapshots(rep admin.Report, names []string, now time.Time) (text string, open bool) {
	var b strings.Builder
	for _, p := range rep.Pipelines {
		if len(names) > 0 && names[0] != p.Name {
			continue
		}
		fmt.Fprintf(&b, "%s\n", p.Name)
		if len(p.Snapshot) == 0 {
			b.WriteString("  no table was read since the pipeline began to run\n")
		}
		for _, t := range p.Snapshot {
			fmt.Fprintf(&b, "  %s\n", tableProgress(t, now))
			open = open || !t.Done
		}
	}
	return b.String(), open
}

const barWidth = 24

// tableProgress is one table as a line: a bar, how much, and how long still.
func tableProgress(t pipeline.TableProgress, now time.Time) string {
	full := int(t.Fraction() * barWidth)
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
	s := fmt.Sprintf("%s %3.0f%% %s, %d rows, %s", bar, t.Fraction()*100, t.Table, t.Rows, size(t.Bytes))
	if t.Done {
		return s
	}
	if left, ok := t.Left(now); ok {
		s += ", about " + ago(left) + " left"
	}
	return s
}
