package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// system is what the command line sees of the world.
type system struct {
	in       *os.File
	out, err io.Writer
	env      func(string) (string, bool)
	// outTTY and errTTY tell whether a person reads the stream; color whether
	// it may be coloured.
	outTTY, errTTY bool
}

func osSystem() *system {
	return &system{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv,
		outTTY: term.IsTerminal(int(os.Stdout.Fd())),
		errTTY: term.IsTerminal(int(os.Stderr.Fd())),
	}
}

// color reports whether the output may be coloured: a terminal, and nobody
// asked for none (see no-color.org).
func (s *system) color() bool {
	_, no := s.env("NO_COLOR")
	dumb, _ := s.env("TERM")
	return s.outTTY && !no && dumb != "dumb"
}

// getenv returns a variable, "" when it is not set.
func (s *system) getenv(name string) string {
	v, _ := s.env(name)
	return v
}

// paint is a colour of the terminal.
type paint string

// The colours in use: few, so that each keeps a meaning.
const (
	red    paint = "\x1b[31m"
	green  paint = "\x1b[32m"
	yellow paint = "\x1b[33m"
	bold   paint = "\x1b[1m"
	dim    paint = "\x1b[2m"
	reset        = "\x1b[0m"
)

// in wraps s in the colour when on.
func (p paint) in(s string, on bool) string {
	if !on || s == "" {
		return s
	}
	return string(p) + s + reset
}
