package txbuffer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// badDisk is the real disk with a fault: op fails from its n-th call on.
type badDisk struct {
	osFS
	op    string
	left  int
	err   error // nil with op "write": a short write without an error
	calls map[string]int
}

func (d *badDisk) fails(op string) bool {
	d.calls[op]++
	if op != d.op {
		return false
	}
	d.left--
	return d.left < 0
}

func (d *badDisk) create(name string) (io.WriteCloser, error) {
	if d.fails("create") {
		return nil, d.err
	}
	f, err := d.osFS.create(name)
	return badFile{WriteCloser: f, disk: d}, err
}

func (d *badDisk) open(name string) (io.ReadCloser, error) {
	if d.fails("open") {
		return nil, d.err
	}
	f, err := d.osFS.open(name)
	return badFile{ReadCloser: f, disk: d}, err
}

func (d *badDisk) remove(name string) error {
	if d.fails("remove") {
		return d.err
	}
	return d.osFS.remove(name)
}

type badFile struct {
	io.WriteCloser
	io.ReadCloser
	disk *badDisk
}

func (f badFile) Write(b []byte) (int, error) {
	if f.disk.fails("write") {
		return len(b) / 2, f.disk.err
	}
	return f.WriteCloser.Write(b)
}

func (f badFile) Read(b []byte) (int, error) {
	if f.disk.fails("read") {
		return 0, f.disk.err
	}
	return f.ReadCloser.Read(b)
}

func (f badFile) Close() error {
	if f.ReadCloser != nil {
		return f.ReadCloser.Close()
	}
	if err := f.WriteCloser.Close(); err != nil || !f.disk.fails("close") {
		return err
	}
	return f.disk.err
}

// roundTrip spills one transaction through r and reads it back.
func roundTrip(r *Ring) error {
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	events := []event.Event{s.begin()}
	for i := range 24 {
		events = append(events, s.rows(table, body(1000, 1, uint64(i))))
	}
	events = append(events, s.end(event.EvCommit))
	for i := range events {
		if _, err := a.Step(context.Background(), &events[i]); err != nil {
			return err
		}
	}
	return readAll(r)
}

func readAll(r *Ring) error {
	for {
		p, err := r.TryNext()
		if err != nil {
			return err
		}
		last := p.Last
		p.Release()
		if last {
			return nil
		}
	}
}

// Every operation fails in turn, at every call of it.
func TestDiskFaultsAreNamed(t *testing.T) {
	for _, c := range []struct {
		op, code string
		err      error
	}{
		{"create", "spill_disk_full", syscall.ENOSPC},
		{"create", "spill_io", syscall.EIO},
		{"write", "spill_disk_full", syscall.ENOSPC},
		{"write", "spill_disk_full", syscall.EDQUOT},
		{"write", "spill_io", syscall.EIO},
		{"write", "spill_io", nil},
		{"close", "spill_io", syscall.EIO},
		{"open", "spill_io", syscall.EIO},
		{"read", "spill_io", syscall.EIO},
		{"remove", "spill_io", syscall.EIO},
	} {
		n := 0
		for ; ; n++ {
			err, reached := runOn(t, &badDisk{op: c.op, left: n, err: c.err, calls: map[string]int{}})
			if !reached {
				break
			}
			if resilience.CodeOf(err) != c.code || resilience.ClassOf(err) != resilience.Fatal || !strings.Contains(err.Error(), "nothing is lost") {
				t.Errorf("call %d of %s: got %v, want %s", n, c.op, err, c.code)
			}
		}
		if n == 0 {
			t.Errorf("%s is never called", c.op)
		}
	}
}

func runOn(t *testing.T, d *badDisk) (err error, reached bool) {
	r, err := newRing(smallConfig(t.TempDir()), d)
	if err != nil {
		t.Fatal(err)
	}
	err = roundTrip(r)
	if cerr := r.Close(err); cerr != nil {
		t.Errorf("close: %v", cerr)
	}
	if d.left >= 0 && err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	return err, d.left < 0
}

// Every damage to a segment must be found, wherever it is.
func TestDamagedSegmentsAreFound(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, files []string){
		"cut":       func(t *testing.T, f []string) { edit(t, f[1], func(b []byte) []byte { return b[:len(b)-1] }) },
		"empty":     func(t *testing.T, f []string) { edit(t, f[1], func(b []byte) []byte { return nil }) },
		"zeros":     func(t *testing.T, f []string) { edit(t, f[1], func(b []byte) []byte { return make([]byte, len(b)) }) },
		"exchanged": exchange,
		"doubled": func(t *testing.T, f []string) {
			copyFile(t, f[0], f[1])
		},
		"missing record": func(t *testing.T, f []string) {
			edit(t, f[0], func(b []byte) []byte { return b[headerBytes+1000:] })
		},
	} {
		t.Run(name, func(t *testing.T) { expectCorrupt(t, damage) })
	}
	for at := 0; at < 2*(headerBytes+1000); at += 97 {
		expectCorrupt(t, func(t *testing.T, f []string) {
			edit(t, f[2], func(b []byte) []byte { b[at] ^= 0x10; return b })
		})
	}
}

func expectCorrupt(t *testing.T, damage func(*testing.T, []string)) {
	t.Helper()
	r := mustRing(t, smallConfig(t.TempDir()))
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	step(t, a, s.begin())
	for i := range 40 {
		step(t, a, s.rows(table, body(1000, 1, uint64(i))))
	}
	step(t, a, s.end(event.EvCommit))
	files, err := filepath.Glob(filepath.Join(r.dir.path, "*.seg"))
	if err != nil || len(files) < 3 {
		t.Fatalf("segments: %v, %v", files, err)
	}
	damage(t, files)
	if err := readAll(r); resilience.CodeOf(err) != "spill_corrupt" || resilience.ClassOf(err) != resilience.Fatal {
		t.Errorf("got %v", err)
	}
}

func edit(t *testing.T, name string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	edit(t, from, func(b []byte) []byte {
		edit(t, to, func([]byte) []byte { return b })
		return b
	})
}

func exchange(t *testing.T, f []string) {
	edit(t, f[0], func(a []byte) []byte {
		b, err := os.ReadFile(f[1])
		if err != nil {
			t.Fatal(err)
		}
		edit(t, f[1], func([]byte) []byte { return a })
		return b
	})
}

func TestTransactionLargerThanTheDiskBound(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.MaxSpillBytes = 20 << 10
	if err := roundTrip(mustRing(t, cfg)); resilience.CodeOf(err) != "spill_limit" || resilience.ClassOf(err) != resilience.Fatal {
		t.Errorf("got %v", err)
	}
}

// Two rings may share a directory; a dead one's folder goes, a live one's stays.
func TestLeftoversOfTheDeadAreRemoved(t *testing.T) {
	root := t.TempDir()
	live := mustRing(t, smallConfig(root))
	dead := mustRing(t, smallConfig(t.TempDir()))
	leftover := filepath.Join(root, folderPrefix+"dead")
	half := filepath.Join(root, folderPrefix+"half") // died before it took its lock
	other := filepath.Join(root, "not-ours")
	for _, d := range []string{leftover, half, other} {
		if err := os.Mkdir(d, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{lockName, "00000001.seg"} {
		if err := os.WriteFile(filepath.Join(leftover, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := mustRing(t, smallConfig(root))
	for path, want := range map[string]bool{live.dir.path: true, second.dir.path: true, dead.dir.path: true, other: true, leftover: false, half: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
}

func TestCloseRemovesWhatIsOnDisk(t *testing.T) {
	root := t.TempDir()
	r := mustRing(t, smallConfig(root))
	s, a, table := newScript(), NewAssembler(start, r), fakeTable("a")
	large := body(20<<10, 1, 1)
	commitOne(t, a, s, table, large) // committed, not read
	commitOne(t, a, s, table, body(1000, 1, 1), large)
	next(t, r).Release() // the first is read
	next(t, r).Release() // the second is begun
	step(t, a, s.begin())
	step(t, a, s.rows(table, large)) // a third is being written
	if err := r.Close(nil); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(root, folderPrefix+"*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	ev := s.rows(table, large)
	if _, err := a.Step(context.Background(), &ev); !errors.Is(err, ErrClosed) {
		t.Errorf("producer after the close: %v", err)
	}
	if _, err := r.TryNext(); !errors.Is(err, ErrClosed) {
		t.Errorf("consumer after the close: %v", err)
	}
}

func TestUnusableSpillDirIsFoundAtStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRing(smallConfig(file)); resilience.CodeOf(err) != "spill_io" {
		t.Errorf("got %v", err)
	}
}
