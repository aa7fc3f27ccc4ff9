package file

import (
	"io"
	"os"
	"path/filepath"

	"github.com/cdcd-io/cdcd/checkpoint"
)

// disk is what the store asks of a file system, one step at a time, so that a
// test can crash it between any two.
type disk interface {
	// ReadFile returns the whole file, or its first checkpoint.MaxBytes+1 bytes.
	ReadFile(name string) ([]byte, error)
	// Create makes a new file that only its owner may read.
	Create(name string) (diskFile, error)
	Rename(from, to string) error
	Link(from, to string) error
	Remove(name string) error
	// SyncDir makes what happened to the names in the directory durable.
	SyncDir(dir string) error
}

type diskFile interface {
	io.Writer
	Sync() error
	Close() error
}

// osDisk is the disk of the operating system.
type osDisk struct{}

func (osDisk) ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, checkpoint.MaxBytes+1))
}

func (osDisk) Create(name string) (diskFile, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Link(from, to string) error   { return os.Link(from, to) }
func (osDisk) Remove(name string) error     { return os.Remove(name) }

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// makeDir makes the directory and makes its own name durable.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return osDisk{}.SyncDir(filepath.Dir(dir))
}
