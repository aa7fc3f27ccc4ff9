package main

import (
	"context"
	"flag"
	"fmt"
)

const checkHelp = `usage: cdcd check [flags] CONFIG

Reads the configuration, connects to every source and sink it names, and prints
one line for everything it looked at, with the remedy where something is
missing. It changes nothing.

flags:
  --effective        print the configuration as it is understood, every default
                     filled in and every secret masked, and connect to nothing
` + setHelp + `
examples:
  cdcd check cdcd.yaml
  cdcd check --effective cdcd.yaml
`

func checkVerb() verb {
	return verb{
		name: "check", args: "CONFIG", brief: "find what is missing, in the configuration and on the servers",
		long: checkHelp,
		setup: func(fs *flag.FlagSet) func(context.Context, *system, []string) error {
			c := &checkFlags{}
			c.register(fs)
			fs.BoolVar(&c.effective, "effective", false, "")
			return c.run
		},
	}
}

type checkFlags struct {
	configFlags
	effective bool
}

func (c *checkFlags) run(ctx context.Context, sys *system, args []string) error {
	path, err := oneArg("check", "the configuration file", args)
	if err != nil {
		return err
	}
	p, err := readPlan(sys, path, &c.configFlags)
	if err != nil {
		return err
	}
	fmt.Fprint(sys.out, p.file.Effective())
	return nil
}
