package testenv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// run executes a helper program (apt-get, mvn, cp) to its end. Its output goes to a log file next to its work, and the last
// lines of it into the error, because that is where such programs say what went wrong.
func run(ctx context.Context, dir string, stdin io.Reader, argv ...string) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, stdin, &out, &out
	// Programs that are asked to speak the language of the person make messages nobody can search for.
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("run %s in %s: %w; its last output was:\n%s", commandName(argv), dir, err, lastLines(out.String(), 15))
	}
	return nil
}

// commandName shortens a command line for a message.
func commandName(argv []string) string {
	s := filepath.Base(argv[0]) + " " + strings.Join(argv[1:], " ")
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return strings.TrimSpace(s)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// need finds a program the machine must have, or says how to get it.
func need(program, hint string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: %s", program, hint)
	}
	return path, nil
}
