package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/pipeline"
)

const pauseHelp = `usage: cdcd pause [flags] [PIPELINE...]

Pauses the pipelines, or all of them: what is in hand is delivered, the place is
stored, and nothing more is read. A paused pipeline keeps its checkpoint and
goes on from there after cdcd resume. The pause is not stored: a daemon that is
started anew runs every pipeline.

Mind that the source's log must outlive the pause: cdcd status shows for how
long the source keeps what is needed.

flags:
` + socketHelp + `
examples:
  cdcd pause
  cdcd pause shop-events
`

const resumeHelp = `usage: cdcd resume [flags] [PIPELINE...]

Lets paused pipelines go on, all of them if none is named. A pipeline that an
error has stopped is started again from its checkpoint.

flags:
` + socketHelp + `
examples:
  cdcd resume
  cdcd resume shop-events
`

func pauseVerb() verb {
	return commandVerb("pause", "stop delivering, and keep the place", pauseHelp)
}

func resumeVerb() verb {
	return commandVerb("resume", "go on after a pause, or after an error was mended", resumeHelp)
}

func commandVerb(name, brief, long string) verb {
	return verb{
		name: name, args: "[PIPELINE...]", brief: brief, long: long,
		setup: func(fs *flag.FlagSet) func(context.Context, *system, []string) error {
			s := &socketFlags{}
			s.register(fs)
			return func(ctx context.Context, sys *system, args []string) error {
				c, err := s.client(sys)
				if err != nil {
					return err
				}
				return command(ctx, sys, c, name, args)
			}
		},
	}
}

// How long a command waits to see its effect, and how often it looks.
const (
	effectTimeout = 30 * time.Second
	effectEvery   = 50 * time.Millisecond
)

// command sends the verb to each pipeline and tells how each is then. One that
// refuses does not keep the others from being asked.
func command(ctx context.Context, sys *system, c *admin.Client, name string, pipelines []string) error {
	if len(pipelines) == 0 {
		rep, err := c.Report(ctx)
		if err != nil {
			return daemonError(err)
		}
		for _, p := range rep.Pipelines {
			pipelines = append(pipelines, p.Name)
		}
	}
	var failed []error
	for _, p := range pipelines {
		info, err := commandOne(ctx, c, name, p)
		if err != nil {
			failed = append(failed, daemonError(err))
			continue
		}
		fmt.Fprintf(sys.out, "%s: %s%s\n", p, info.State, at(info))
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

// commandOne sends the verb to one pipeline and waits for its effect.
func commandOne(ctx context.Context, c *admin.Client, name, p string) (admin.PipelineInfo, error) {
	before, err := c.Pipeline(ctx, p)
	if err != nil {
		return before, err
	}
	info, err := c.Command(ctx, name, p)
	if err != nil {
		return info, err
	}
	info, err = awaitEffect(ctx, c, name, before, info)
	if err == nil && name == "resume" && info.State == pipeline.Stopped {
		return info, &exitError{code: exitFailed, hint: info.Hint, err: fmt.Errorf("%s was resumed and stopped again: %s", p, info.Error)}
	}
	return info, err
}

// at tells the stored position, where there is one.
func at(info admin.PipelineInfo) string {
	if info.File == "" {
		return ""
	}
	return " at " + position(info)
}

// awaitEffect looks until the pipeline is as the command wants it, or has
// stopped since. A pause takes as long as what is in hand takes to be delivered.
func awaitEffect(ctx context.Context, c *admin.Client, name string, before, info admin.PipelineInfo) (admin.PipelineInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, effectTimeout)
	defer cancel()
	tick := time.NewTicker(effectEvery)
	defer tick.Stop()
	for !effective(name, before, info) {
		select {
		case <-ctx.Done():
			return info, fmt.Errorf("%s was told, and is still %s after %s", info.Name, info.State, effectTimeout)
		case <-tick.C:
		}
		var err error
		if info, err = c.Pipeline(ctx, info.Name); err != nil {
			return info, err
		}
	}
	return info, nil
}

func effective(command string, before, now admin.PipelineInfo) bool {
	switch now.State {
	case pipeline.Paused:
		return command == "pause"
	case pipeline.Stopped:
		return command == "pause" || now.Since.After(before.Since)
	}
	return command == "resume"
}
