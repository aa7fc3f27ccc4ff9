package file

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/cdcd-io/cdcd/resilience"
)

// diskError says what an error of the disk means: a full or failing one may
// heal, a forbidden one does not by itself.
func diskError(op, at string, err error) error {
	e := &resilience.Error{Class: resilience.Transient, Code: "checkpoint_io", Op: op, At: at, Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Code, e.Hint = "disk_full", "free some space; the pipeline goes on by itself"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		e.Class, e.Code, e.Hint = resilience.Fatal, "checkpoint_forbidden", "let the user that runs cdcd write there, or set checkpoint.file.dir to another directory"
	case errors.Is(err, syscall.EIO):
		e.Hint = "the disk reports errors: look at the system's log"
	}
	return e
}
