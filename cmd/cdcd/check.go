package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

const checkHelp = `usage: cdcd check [flags] CONFIG

Reads the configuration, connects to every source and sink it names, and prints
one line for everything it looked at: ✓ good, ! works but deserves a look,
✗ keeps a pipeline from working or from keeping its promises. Under a line
stands what to run or to change. It changes nothing itself.

The exit code is 0 when there is no ✗, 3 when there is one, and 2 when the
configuration itself is wrong.

flags:
  --effective        print the configuration as it is understood, every default
                     filled in and every secret masked, and connect to nothing
  --json             print the findings as JSON
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
			fs.BoolVar(&c.json, "json", false, "")
			return c.run
		},
	}
}

type checkFlags struct {
	configFlags
	effective, json bool
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
	if c.effective {
		_, err := io.WriteString(sys.out, p.file.Effective())
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return c.look(ctx, sys, p)
}

// patient is something that can be asked what ails it.
type patient struct {
	Kind     string               `json:"kind"` // source, sink or checkpoint
	Name     string               `json:"name"`
	Findings []resilience.Finding `json:"findings"`
	doctor   func(context.Context) []resilience.Finding
}

// doctorTimeout bounds the look at one server.
const doctorTimeout = 20 * time.Second

func (c *checkFlags) look(ctx context.Context, sys *system, p *plan) error {
	patients := p.patients()
	worst := resilience.Good
	for i := range patients {
		pt := &patients[i]
		pt.examine(ctx)
		for _, f := range pt.Findings {
			worst = max(worst, f.Severity)
		}
		if !c.json {
			fmt.Fprint(sys.out, pt.render(sys.color()))
		}
	}
	if c.json {
		enc := json.NewEncoder(sys.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"verdict": worst, "checked": patients}); err != nil {
			return err
		}
	} else {
		fmt.Fprint(sys.out, summary(patients, sys.color()))
	}
	if worst == resilience.Problem {
		return &exitError{code: exitFindings, err: errSilent}
	}
	return nil
}

func (p *patient) examine(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	p.Findings = p.doctor(ctx)
}

var marks = map[resilience.Severity]struct {
	sign string
	paint
}{
	resilience.Good:    {"✓", green},
	resilience.Warning: {"!", yellow},
	resilience.Problem: {"✗", red},
}

func (p *patient) render(color bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", bold.in(p.Kind+" "+p.Name, color))
	for _, f := range p.Findings {
		m := marks[f.Severity]
		fmt.Fprintf(&b, "  %s %s\n", m.in(m.sign, color), f.Text)
		for _, line := range strings.Split(f.Fix, "\n") {
			if line != "" {
				fmt.Fprintf(&b, "      %s\n", line)
			}
		}
	}
	return b.String()
}

func summary(ps []patient, color bool) string {
	count := map[resilience.Severity]int{}
	for _, p := range ps {
		for _, f := range p.Findings {
			count[f.Severity]++
		}
	}
	switch problems, warnings := count[resilience.Problem], count[resilience.Warning]; {
	case problems > 0:
		return "\n" + red.in(resilience.Count(problems, "problem"), color) + andWarnings(warnings) + "\n"
	case warnings > 0:
		return "\n" + green.in("no problem", color) + ", " + resilience.Count(warnings, "warning") + "\n"
	}
	return "\n" + green.in("all good", color) + "\n"
}

func andWarnings(n int) string {
	if n == 0 {
		return ""
	}
	return " and " + resilience.Count(n, "warning")
}
