package txbuffer

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

const (
	folderPrefix = "ring-"
	lockName     = "lock"
)

// spillDir is the folder of one ring inside the spill directory. Its owner
// holds the lock file in it; a folder whose lock is free belongs to nobody.
type spillDir struct {
	fs   fileSystem
	path string
	lock io.Closer
}

// openSpillDir removes the folders of dead owners and makes a new one. It does
// both under the lock of the whole directory: between a folder and its lock
// there is a moment in which it looks like a leftover.
func openSpillDir(fsys fileSystem, root string) (*spillDir, error) {
	if err := fsys.makeDir(root); err != nil {
		return nil, diskError("create spill directory", root, err)
	}
	all, err := fsys.lock(filepath.Join(root, lockName), true)
	if err != nil {
		return nil, diskError("lock spill directory", root, err)
	}
	defer all.Close()
	if err := sweep(fsys, root); err != nil {
		return nil, err
	}
	path, err := fsys.makeTemp(root, folderPrefix)
	if err != nil {
		return nil, diskError("create spill folder", root, err)
	}
	lock, err := fsys.lock(filepath.Join(path, lockName), false)
	if err != nil {
		return nil, diskError("lock spill folder", path, err)
	}
	return &spillDir{fs: fsys, path: path, lock: lock}, nil
}

func sweep(fsys fileSystem, root string) error {
	names, err := fsys.list(root)
	if err != nil {
		return diskError("list spill directory", root, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, folderPrefix) {
			if err := sweepFolder(fsys, filepath.Join(root, name)); err != nil {
				return diskError("remove leftover spill folder", name, err)
			}
		}
	}
	return nil
}

// sweepFolder removes a folder whose owner is dead. What this user may not even
// lock was left by another one, who will remove it.
func sweepFolder(fsys fileSystem, path string) error {
	lock, err := fsys.lock(filepath.Join(path, lockName), false)
	if errors.Is(err, errLocked) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	return fsys.removeAll(path)
}

// close removes the folder and with it every file the ring still has.
func (d *spillDir) close() error {
	err := d.fs.removeAll(d.path)
	if cerr := d.lock.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return diskError("remove spill folder", d.path, err)
	}
	return nil
}
