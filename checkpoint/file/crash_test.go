package file

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"syscall"
	"testing"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/checkpoint/storetest"
	"github.com/cdcd-io/cdcd/resilience"
)

var errCrash = errors.New("the machine crashed")

// crashDisk is a disk in memory that keeps apart what is durable from what a
// crash may lose: data not synced, and each change of a name not synced on its
// own, since nothing promises their order.
type crashDisk struct {
	names, durable map[string]*inode
	pending        []func(map[string]*inode) // name changes that are not durable
	steps          int                       // left before failure
	fail           error
}

type inode struct {
	data   []byte
	synced bool
}

func newCrashDisk() *crashDisk {
	return &crashDisk{names: map[string]*inode{}, durable: map[string]*inode{}, steps: -1}
}

func (d *crashDisk) step() error {
	if d.steps == 0 {
		return d.fail
	}
	d.steps--
	return nil
}

func (d *crashDisk) change(f func(map[string]*inode)) {
	f(d.names)
	d.pending = append(d.pending, f)
}

func (d *crashDisk) ReadFile(name string) ([]byte, error) {
	if n := d.names[name]; n != nil {
		return append([]byte(nil), n.data...), nil
	}
	return nil, fs.ErrNotExist
}

func (d *crashDisk) Create(name string) (diskFile, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, fs.ErrExist
	}
	n := &inode{}
	d.change(func(m map[string]*inode) { m[name] = n })
	return &crashFile{d, n}, nil
}

func (d *crashDisk) Rename(from, to string) error {
	n := d.names[from]
	if err := d.need(n); err != nil {
		return err
	}
	d.change(func(m map[string]*inode) { m[to] = n; delete(m, from) })
	return nil
}

func (d *crashDisk) Link(from, to string) error {
	n := d.names[from]
	if err := d.need(n); err != nil {
		return err
	}
	if d.names[to] != nil {
		return fs.ErrExist
	}
	d.change(func(m map[string]*inode) { m[to] = n })
	return nil
}

func (d *crashDisk) Remove(name string) error {
	if err := d.need(d.names[name]); err != nil {
		return err
	}
	d.change(func(m map[string]*inode) { delete(m, name) })
	return nil
}

func (d *crashDisk) need(n *inode) error {
	if n == nil {
		return fs.ErrNotExist
	}
	return d.step()
}

func (d *crashDisk) SyncDir(string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.durable, d.pending = maps.Clone(d.names), nil
	return nil
}

type crashFile struct {
	d *crashDisk
	n *inode
}

func (f *crashFile) Write(b []byte) (int, error) {
	if err := f.d.step(); err != nil {
		f.n.data = append(f.n.data, b[:len(b)/2]...)
		return len(b) / 2, err
	}
	f.n.data = append(f.n.data, b...)
	return len(b), nil
}

func (f *crashFile) Sync() error {
	if err := f.d.step(); err != nil {
		return err
	}
	f.n.synced = true
	return nil
}

func (f *crashFile) Close() error { return nil }

// after returns the disk as the machine finds it after the crash: those name
// changes happened whose bit is set in kept, and data that was not synced is
// lost in one of several ways.
func (d *crashDisk) after(kept, loss int) *crashDisk {
	next := newCrashDisk()
	names := maps.Clone(d.durable)
	for i, change := range d.pending {
		if kept>>i&1 == 1 {
			change(names)
		}
	}
	for name, n := range names {
		next.names[name] = &inode{data: lose(n, loss), synced: true}
	}
	next.durable = maps.Clone(next.names)
	return next
}

func lose(n *inode, how int) []byte {
	switch {
	case n.synced:
		return n.data
	case how == 0:
		return nil
	case how == 1:
		return n.data[:len(n.data)/2]
	}
	return make([]byte, len(n.data)) // a hole of zeros
}

func onDisk(d disk) *Store {
	return newStore(Config{Dir: "d", Installation: storetest.Installation}, d, func(string) (*os.File, error) { return nil, nil })
}

// TestCrashAtEveryStep stores three checkpoints and crashes at each step of the
// way, losing each combination of what was not durable.
func TestCrashAtEveryStep(t *testing.T) {
	crashes, states := 0, 0
	for step := 0; ; step++ {
		d := newCrashDisk()
		d.steps, d.fail = step, errCrash
		s := onDisk(d)
		var stored uint64 // the last that Save said was stored
		var err error
		for seq := uint64(1); seq <= 3 && err == nil; seq++ {
			if err = s.Save(t.Context(), storetest.At(1, 1, seq)); err == nil {
				stored = seq
			}
		}
		if err == nil {
			break
		}
		crashes++
		for kept := range 1 << len(d.pending) {
			for loss := range 3 {
				states++
				restart(t, d.after(kept, loss), stored, fmt.Sprintf("step %d, kept %b, loss %d", step, kept, loss))
			}
		}
	}
	if crashes < 15 || states < 100 {
		t.Errorf("only %d crashes and %d states were tried", crashes, states)
	}
}

// restart asks that the old or the new checkpoint is there and work goes on.
func restart(t *testing.T, d *crashDisk, stored uint64, where string) {
	t.Helper()
	s := onDisk(d)
	c, err := s.Load(t.Context(), "p")
	if errors.Is(err, checkpoint.ErrNone) && stored == 0 {
		err = nil
	}
	if err != nil || c.Position.Seq != stored && c.Position.Seq != stored+1 {
		t.Fatalf("%s: read %d, %v; %d was stored", where, c.Position.Seq, err, stored)
	}
	if err := s.Save(t.Context(), storetest.At(1, 2, stored+1)); err != nil {
		t.Fatalf("%s: saving again: %v", where, err)
	}
}

// TestErrorAtEveryStep has the disk full at each step: what is stored stays, and
// the next try goes through.
func TestErrorAtEveryStep(t *testing.T) {
	for step := 0; step < 7; step++ {
		d := newCrashDisk()
		s := onDisk(d)
		save(t, s, storetest.At(1, 1, 1))
		save(t, s, storetest.At(1, 1, 2))
		d.steps, d.fail = step, syscall.ENOSPC
		err := s.Save(t.Context(), storetest.At(1, 1, 3))
		if resilience.CodeOf(err) != "disk_full" || resilience.ClassOf(err) != resilience.Transient {
			t.Fatalf("step %d: %v", step, err)
		}
		d.steps = -1
		if c, err := onDisk(d).Load(t.Context(), "p"); err != nil || c.Position.Seq < 2 {
			t.Errorf("step %d: then read %d, %v", step, c.Position.Seq, err)
		}
		save(t, s, storetest.At(1, 1, 3))
		if c, err := onDisk(d).Load(t.Context(), "p"); err != nil || c.Position.Seq != 3 {
			t.Errorf("step %d: in the end %d, %v", step, c.Position.Seq, err)
		}
	}
}
