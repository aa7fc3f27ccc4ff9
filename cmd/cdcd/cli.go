package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/cdcd-io/cdcd/internal/nearest"
)

// verb is one command of the command line.
type verb struct {
	name, args, brief string
	long              string // usage, flags, examples: what help prints
	// setup registers the flags and returns what to run with the arguments left.
	setup func(fs *flag.FlagSet) func(ctx context.Context, sys *system, args []string) error
}

// verbs in the order of the help.
func verbs() []verb {
	return []verb{runVerb(), checkVerb(), tailVerb(), statusVerb(), pauseVerb(), resumeVerb(), snapshotVerb(), verifyVerb(), versionVerb(), helpVerb()}
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, sys *system, args []string) int {
	err := dispatch(ctx, sys, args)
	printError(sys.err, err, sys.errTTY && sys.getenv("NO_COLOR") == "")
	return exitCode(err)
}

func dispatch(ctx context.Context, sys *system, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(sys.err, overview())
		return &exitError{code: exitUsage, err: errSilent}
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-v", "-version", "--version":
		name = "version"
	}
	v, ok := findVerb(name)
	if !ok {
		return usagef("cdcd help lists the commands", "there is no command %q%s", args[0], didYouMean(args[0]))
	}
	return v.execute(ctx, sys, args[1:])
}

func findVerb(name string) (verb, bool) {
	for _, v := range verbs() {
		if v.name == name {
			return v, true
		}
	}
	return verb{}, false
}

// didYouMean names the command nearest to a mistyped one.
func didYouMean(word string) string {
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	if near := nearest.Word(word, names); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ""
}

func (v verb) execute(ctx context.Context, sys *system, args []string) error {
	fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	run := v.setup(fs)
	rest, err := parseFlags(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(sys.out, v.long)
		return nil
	}
	if err != nil {
		return usagef("cdcd help "+v.name+" lists the flags", "%v", flagError(fs, err))
	}
	return run(ctx, sys, rest)
}

// flagError names the flag nearest to an unknown one.
func flagError(fs *flag.FlagSet, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return err
	}
	if near := nearest.Word(name, flagNames(fs)); near != "" {
		return fmt.Errorf("there is no flag --%s, did you mean --%s?", name, near)
	}
	return fmt.Errorf("there is no flag --%s", name)
}

func flagNames(fs *flag.FlagSet) (names []string) {
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

// parseFlags lets flags stand before and after arguments; "--" ends them.
func parseFlags(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		parsed := len(args) - fs.NArg()
		if parsed > 0 && args[parsed-1] == "--" {
			return append(rest, fs.Args()...), nil
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

// oneArg wants exactly one argument.
func oneArg(verb, what string, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	return "", usagef("cdcd help "+verb, "cdcd %s takes one argument, %s; %d were given", verb, what, len(args))
}

// noArgs wants none.
func noArgs(verb string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usagef("cdcd help "+verb, "cdcd %s takes no argument %q", verb, args[0])
}

// listFlag collects a flag that may be given several times.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }
