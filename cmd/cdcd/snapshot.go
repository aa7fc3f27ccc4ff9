package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/cdcd-io/cdcd/internal/nearest"
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
the pipeline and is not stored; cancel gives tables up that are being read, or
wait for that, and what left stays. List shows all tables that were read, are or
will be: each of which the checkpoint tells how far it is.

flags:
  --where CONDITION  with start: an SQL condition that rows of the tables named
                     must meet
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

var snapshotVerbs = []string{"list", "start", "pause", "resume", "cancel"}

// snapshotDone is what is said when the daemon has taken a request.
var snapshotDone = map[string]string{
	"start":  "the tables are being read; cdcd snapshot list --watch shows how far",
	"pause":  "no table is read until cdcd snapshot resume",
	"resume": "tables are read again",
	"cancel": "given up; what has left stays",
}

func (s *snapshotFlags) run(ctx context.Context, sys *system, args []string) error {
	verb, args, err := s.parse(args)
	if err != nil {
		return err
	}
	c, err := s.client(sys)
	if err != nil {
		return err
	}
	if verb == "list" {
		l := snapshotList{client: c, sys: sys, names: args}
		if s.watch {
			return l.watch(ctx)
		}
		return l.once(ctx)
	}
	info, err := c.Snapshot(ctx, args[0], pipeline.SnapshotRequest{Verb: verb, Tables: args[1:], Where: s.where})
	if err != nil {
		return daemonError(err)
	}
	fmt.Fprintf(sys.out, "%s: %s\n", info.Name, snapshotDone[verb])
	return nil
}

// parse says what is wrong with the command line before anybody is asked.
func (s *snapshotFlags) parse(args []string) (verb string, rest []string, err error) {
	const hint = "cdcd help snapshot tells more"
	all := strings.Join(snapshotVerbs, ", ")
	if len(args) == 0 {
		return "", nil, usagef(hint, "say what to do: %s", all)
	}
	verb, rest = args[0], args[1:]
	takes := map[string]int{"list": 1, "pause": 1, "resume": 1}
	most, few := takes[verb]
	switch {
	case verb != "list" && snapshotDone[verb] == "":
		return "", nil, usagef(hint, "cdcd snapshot has no %q%s", verb, meant(verb, snapshotVerbs))
	case len(rest) == 0 && verb != "list":
		return "", nil, usagef("cdcd status lists the pipelines", "name the pipeline: cdcd snapshot %s PIPELINE", verb)
	case few && len(rest) > most:
		return "", nil, usagef(hint, "cdcd snapshot %s takes a pipeline and no tables", verb)
	case s.watch && verb != "list":
		return "", nil, usagef(hint, "--watch is for cdcd snapshot list")
	case s.where != "" && (verb != "start" || len(rest) < 2):
		return "", nil, usagef(hint, "--where is for cdcd snapshot start with the tables it is about")
	}
	return verb, rest, nil
}

// meant names the nearest of the words, or all of them.
func meant(word string, known []string) string {
	if near := nearest.Word(word, known); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return "; there are " + strings.Join(known, ", ")
}
