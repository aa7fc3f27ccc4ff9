package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cdcd-io/cdcd/internal/config"
	"github.com/cdcd-io/cdcd/resilience"
)

// Exit codes. They are part of the interface: scripts and service managers
// decide by them. The help of cdcd lists them.
const (
	exitOK       = 0
	exitFailed   = 1 // what was asked for failed
	exitUsage    = 2 // the command line or the configuration is wrong: do not try again
	exitFindings = 3 // check found problems, or verify differences
	exitNoDaemon = 4 // status, pause, resume, snapshot, verify --repair: no daemon answers
)

// exitError is an error with an exit code and a hint of its own.
type exitError struct {
	code int
	hint string
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// errSilent ends with its code and prints nothing: all was said.
var errSilent = errors.New("")

func usagef(hint, format string, args ...any) error {
	return &exitError{code: exitUsage, hint: hint, err: fmt.Errorf(format, args...)}
}

// exitCode is the code that an error ends the process with.
func exitCode(err error) int {
	var e *exitError
	var ps config.Problems
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &ps):
		return exitUsage
	}
	return exitFailed
}

// printError tells a person what went wrong and what to do about it.
func printError(w io.Writer, err error, color bool) {
	if err == nil || errors.Is(err, errSilent) {
		return
	}
	text, hint := textAndHint(err)
	fmt.Fprintf(w, "%s %s\n", red.in("error:", color), text)
	var ps config.Problems
	if errors.As(err, &ps) {
		for _, p := range ps {
			fmt.Fprintf(w, "  %s\n", p)
		}
	}
	if hint != "" {
		fmt.Fprintf(w, "%s %s\n", yellow.in("hint:", color), hint)
	}
}

// textAndHint takes apart what Error() of a resilience.Error puts together.
func textAndHint(err error) (text, hint string) {
	var ps config.Problems
	if errors.As(err, &ps) {
		return countProblems(ps), "every key with its meaning and default: cdcd help config"
	}
	var own *exitError
	if errors.As(err, &own) && own.hint != "" {
		return err.Error(), own.hint
	}
	var e *resilience.Error
	if errors.As(err, &e) && e.Hint != "" {
		return strings.Replace(err.Error(), " ("+e.Hint+")", "", 1), e.Hint
	}
	return err.Error(), ""
}

func countProblems(ps config.Problems) string {
	if len(ps) == 1 {
		return "the configuration has a problem"
	}
	return fmt.Sprintf("the configuration has %d problems", len(ps))
}
