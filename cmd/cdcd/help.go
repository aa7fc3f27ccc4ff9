package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/cdcd-io/cdcd/configs"
)

const overviewHead = `cdcd reads the binary log of MySQL and MariaDB and delivers every committed
transaction, whole and in order, to Kafka topics.

usage: cdcd COMMAND [flags] [arguments]

`

const overviewTail = `
To look at a server without any set-up:
  cdcd tail mysql://root@127.0.0.1/

To deliver for good:
  cdcd help config > cdcd.yaml     every key with its meaning and default
  cdcd check cdcd.yaml             what is still missing, and how to mend it
  cdcd run cdcd.yaml

More: cdcd help COMMAND, cdcd help config

exit codes:
  0  done
  1  failed; the error says why
  2  the command line or the configuration is wrong; trying again will not help
  3  check found problems, or verify differences
  4  no daemon answers (status, pause, resume, snapshot, verify --repair)
`

func overview() string {
	var b strings.Builder
	b.WriteString(overviewHead + "commands:\n")
	for _, v := range verbs() {
		fmt.Fprintf(&b, "  %-26s %s\n", strings.TrimSpace(v.name+" "+v.args), v.brief)
	}
	return b.String() + overviewTail
}

func helpVerb() verb {
	return verb{
		name: "help", args: "[COMMAND]", brief: "explain a command, or the configuration",
		long: `usage: cdcd help [COMMAND | config]

Explains a command. "cdcd help config" prints a configuration with every key,
its meaning and its default, ready to be edited.

examples:
  cdcd help run
  cdcd help config > cdcd.yaml
`,
		setup: func(*flag.FlagSet) func(context.Context, *system, []string) error { return help },
	}
}

func help(_ context.Context, sys *system, args []string) error {
	switch {
	case len(args) == 0:
		fmt.Fprint(sys.out, overview())
		return nil
	case len(args) > 1:
		return usagef("cdcd help", "cdcd help takes one command; %d were given", len(args))
	case args[0] == "config":
		fmt.Fprint(sys.out, configs.Reference)
		return nil
	}
	v, ok := findVerb(args[0])
	if !ok {
		return usagef("cdcd help lists the commands", "there is no command %q%s", args[0], didYouMean(args[0]))
	}
	fmt.Fprint(sys.out, v.long)
	return nil
}

func versionVerb() verb {
	return verb{
		name: "version", brief: "print the version of this program",
		long: `usage: cdcd version

Prints the version, the revision it was built from, and the Go version.
`,
		setup: func(*flag.FlagSet) func(context.Context, *system, []string) error { return printVersion },
	}
}

func printVersion(_ context.Context, sys *system, args []string) error {
	if err := noArgs("version", args); err != nil {
		return err
	}
	fmt.Fprintf(sys.out, "cdcd %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// version is what the build recorded about itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	if v == "" || v == "(devel)" {
		return "devel"
	}
	return v
}
