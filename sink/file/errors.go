package file

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/cdcd-io/cdcd/resilience"
)

// errClosed is what a batch gets that comes while there is no line.
var errClosed = resilience.Errorf(resilience.Transient, "output_closed", "write output", "the sink is not connected")

// diskError says what an error of the disk means. A full disk heals when
// somebody makes room: the pipeline waits for it in view, and what was torn is
// cut off first.
func diskError(op, at string, err error) error {
	if resilience.ClassOf(err) != resilience.Unclassified {
		return err
	}
	e := &resilience.Error{Class: resilience.Transient, Code: "output_io", Op: op, At: at, Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		e.Code, e.Hint = "disk_full", "free some space; the pipeline goes on by itself"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		e.Class, e.Code, e.Hint = resilience.Fatal, "output_forbidden", "let the user that runs cdcd write there, or set another path"
	case errors.Is(err, syscall.EIO):
		e.Hint = "the disk reports errors: look at the system's log"
	}
	return e
}
