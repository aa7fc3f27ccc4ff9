package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/cdcd-io/cdcd/resilience"
)

// lockFile takes the lock of a pipeline, which ends with the process at the
// latest. The file stays: if it were removed, a second process could lock a new
// file of the same name while the first holds the old one.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, diskError("lock checkpoint", name, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = note(f)
	}
	if err == nil {
		return f, nil
	}
	defer f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, resilience.Errorf(resilience.Fatal, "checkpoint_locked", "lock checkpoint", "process %s holds it", holder(f)).
			WithPlace("%s", name).WithHint("another cdcd runs this pipeline: stop it, or give this one a directory or name of its own")
	}
	return nil, diskError("lock checkpoint", name, err)
}

// note writes down who holds the lock.
func note(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}
