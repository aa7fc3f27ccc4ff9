package txbuffer

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// fileSystem is what spilling needs of a disk; tests put a failing one here.
type fileSystem interface {
	makeDir(name string) error                      // with its parents; an existing one is fine
	makeTemp(parent, prefix string) (string, error) // a new folder with an unused name
	list(dir string) ([]string, error)              // names of its entries
	create(name string) (io.WriteCloser, error)
	open(name string) (io.ReadCloser, error)
	remove(name string) error
	removeAll(name string) error
	// lock takes the exclusive lock of a file, which is created where missing,
	// until it is closed or the process dies. Without wait it may fail with
	// errLocked.
	lock(name string, wait bool) (io.Closer, error)
}

var errLocked = errors.New("locked by another process")

// osFS is the disk.
type osFS struct{}

func (osFS) makeDir(name string) error { return os.MkdirAll(name, 0o750) }

func (osFS) makeTemp(parent, prefix string) (string, error) { return os.MkdirTemp(parent, prefix) }

func (osFS) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (osFS) create(name string) (io.WriteCloser, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (osFS) open(name string) (io.ReadCloser, error) { return os.Open(name) }

func (osFS) remove(name string) error { return os.Remove(name) }

func (osFS) removeAll(name string) error { return os.RemoveAll(name) }

func (osFS) lock(name string, wait bool) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, wait); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func flock(f *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		switch err := syscall.Flock(int(f.Fd()), how); err {
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return errLocked
		default:
			return err
		}
	}
}
