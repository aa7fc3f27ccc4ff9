package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/cdcd-io/cdcd/resilience"
)

// place is the end of what was written: it is the sink's part of the checkpoint.
// Files are numbered from 1; the one at Config.Path has the highest number.
type place struct {
	Number uint64 `json:"file"`
	Bytes  int64  `json:"bytes"`
}

func (p place) state() []byte { return fmt.Appendf(nil, `{"file":%d,"bytes":%d}`, p.Number, p.Bytes) }

// placeOf reads the state of a checkpoint; without one nothing was written.
func placeOf(state []byte) (place, error) {
	if len(state) == 0 {
		return place{Number: 1}, nil
	}
	var p place
	if err := json.Unmarshal(state, &p); err != nil || p.Number == 0 || p.Bytes < 0 {
		return p, resilience.Errorf(resilience.Fatal, "output_state", "read the sink's part of the checkpoint",
			"%q is not that of a file sink", state).
			WithHint("the pipeline had another kind of sink before: give it a new name")
	}
	return p, nil
}

// output is the file being written and the full ones beside it.
type output struct {
	path string
	file *os.File // nil while closed
	at   place
}

// full is the name of a full file.
func full(path string, number uint64) string { return fmt.Sprintf("%s.%06d", path, number) }

// numbers lists the full files beside path, in order.
func numbers(path string) ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []uint64
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && n > 0 && len(digits) >= 6 {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

// empty reports whether nothing was written to path yet.
func empty(path string) (bool, error) {
	list, err := numbers(path)
	if err != nil || len(list) > 0 {
		return false, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && info.Size() == 0, err
}

// cutBack makes to the end of everything and returns the output there. Each
// step may be the last before a crash: doing it all again then has the same end.
func cutBack(path string, to place) (*output, error) {
	list, err := numbers(path)
	if err != nil {
		return nil, err
	}
	// Files below may have been removed, by keep or by a person, so the highest
	// of them says no more than a lower bound.
	current := to.Number
	if len(list) > 0 {
		current = max(current, list[len(list)-1]+1)
	}
	if current > to.Number {
		if to, err = reopen(path, to, list); err != nil {
			return nil, err
		}
	}
	return openAt(path, to)
}

// reopen removes what is newer than the file of the checkpoint, the newest
// first, puts that file back in place, and returns where to go on.
func reopen(path string, to place, list []uint64) (place, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return to, err
	}
	newer := list[sort.Search(len(list), func(i int) bool { return list[i] > to.Number }):]
	if !slices.Contains(list, to.Number) {
		return startOver(path, newer)
	}
	for _, n := range slices.Backward(newer) {
		if err := os.Remove(full(path, n)); err != nil {
			return to, err
		}
	}
	return to, os.Rename(full(path, to.Number), path)
}

// startOver serves when the file of the checkpoint was removed since, by keep
// or by a person: all that is left was written later and goes. The oldest of it
// stays, empty, so that after a crash the next start finds the same case.
func startOver(path string, newer []uint64) (place, error) {
	for _, n := range slices.Backward(newer[1:]) {
		if err := os.Remove(full(path, n)); err != nil {
			return place{}, err
		}
	}
	return place{Number: newer[0] + 1}, os.Truncate(full(path, newer[0]), 0)
}

// openAt opens path and cuts it to the length at which the checkpoint was taken.
func openAt(path string, at place) (*output, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	o := &output{path: path, file: f, at: at}
	if err := o.prepare(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return o, nil
}

func (o *output) prepare() error {
	info, err := o.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < o.at.Bytes {
		return resilience.Errorf(resilience.Fatal, "output_short", "open output", "it has %d bytes, the checkpoint was taken at %d", info.Size(), o.at.Bytes).
			WithPlace("%s", o.path).
			WithHint("lines were lost after they had been delivered: put the file back, or %s", resilience.StartOver)
	}
	if err := o.cut(o.at.Bytes); err != nil {
		return err
	}
	return syncDir(o.path)
}

// cut ends the file at n bytes, on disk too.
func (o *output) cut(n int64) error {
	if err := o.file.Truncate(n); err != nil {
		return err
	}
	if _, err := o.file.Seek(n, 0); err != nil {
		return err
	}
	o.at.Bytes = n
	return o.file.Sync()
}

// rotate closes the full file under its number and begins the next one.
func (o *output) rotate(keep int) error {
	if err := o.file.Sync(); err != nil {
		return err
	}
	if err := o.close(); err != nil {
		return err
	}
	if err := os.Rename(o.path, full(o.path, o.at.Number)); err != nil {
		return err
	}
	f, err := os.OpenFile(o.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	o.file, o.at = f, place{Number: o.at.Number + 1}
	if err := syncDir(o.path); err != nil {
		return err
	}
	return o.prune(keep)
}

// prune removes the oldest full files beyond keep.
func (o *output) prune(keep int) error {
	if keep == 0 {
		return nil
	}
	list, err := numbers(o.path)
	if err != nil {
		return err
	}
	for _, n := range list[:max(0, len(list)-keep)] {
		if err := os.Remove(full(o.path, n)); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) close() error {
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}

// syncDir makes the names beside path durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
