package file

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/checkpoint/storetest"
	"github.com/cdcd-io/cdcd/resilience"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir, Installation: storetest.Installation})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func save(t *testing.T, s *Store, c checkpoint.Checkpoint) {
	t.Helper()
	if err := s.Save(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() checkpoint.Store {
		dir := filepath.Join(t.TempDir(), "made", "here")
		var last *Store
		return func() checkpoint.Store {
			if last != nil {
				if err := errors.Join(last.Close(), last.Close()); err != nil {
					t.Fatal(err)
				}
			}
			last = open(t, dir)
			return last
		}
	})
}

func TestFilesBelongToTheirOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	save(t, s, storetest.At(1, 1, 1))
	save(t, s, storetest.At(1, 1, 2))
	for _, name := range []string{"p.checkpoint", "p.checkpoint.previous", "p.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "p.checkpoint.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestSecondProcessIsToldWhoHoldsTheLock(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	save(t, first, storetest.At(1, 1, 1))
	_, err := open(t, dir).Load(t.Context(), "p")
	pid := "process " + strconv.Itoa(os.Getpid()) + " holds it"
	if resilience.CodeOf(err) != "checkpoint_locked" || !strings.Contains(err.Error(), pid) {
		t.Errorf("got %v, want %s", err, pid)
	}
	first.Close()
	if _, err := open(t, dir).Load(t.Context(), "p"); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestRefusesWithTheWayBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(path string) error
		code   string
		hint   string
	}{
		{"torn", func(p string) error { return os.Truncate(p, 100) }, "checkpoint_corrupt", "mv "},
		{"empty", func(p string) error { return os.Truncate(p, 0) }, "checkpoint_corrupt", "transaction 1,"},
		{"gone", os.Remove, "checkpoint_missing", "mv "},
		{"both torn", func(p string) error {
			return errors.Join(os.Truncate(p, 100), os.Truncate(p+".previous", 100))
		}, "checkpoint_corrupt", "cannot be read either"},
		{"torn, no copy", func(p string) error {
			return errors.Join(os.Truncate(p, 100), os.Remove(p+".previous"))
		}, "checkpoint_corrupt", "restore it from a copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			save(t, s, storetest.At(1, 1, 1))
			save(t, s, storetest.At(1, 1, 2))
			s.Close()
			path := filepath.Join(dir, "p.checkpoint")
			if err := c.damage(path); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			_, err := s.Load(t.Context(), "p")
			if resilience.CodeOf(err) != c.code || !strings.Contains(err.Error(), path) || !strings.Contains(resilience.HintOf(err), c.hint) {
				t.Errorf("load: %v", err)
			}
			if err := s.Save(t.Context(), storetest.At(1, 1, 3)); resilience.CodeOf(err) != c.code {
				t.Errorf("save over it: %v", err)
			}
		})
	}
}

func TestForeignCheckpointIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	save(t, s, storetest.At(1, 1, 1))
	s.Close()
	other, err := Open(Config{Dir: dir, Installation: "other"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Load(t.Context(), "p"); resilience.CodeOf(err) != "checkpoint_foreign" {
		t.Errorf("got %v", err)
	}
}

func TestNamesStayInTheDirectory(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"", "../p", "a/b", ".hidden", "a b"} {
		if _, err := s.Load(t.Context(), name); resilience.CodeOf(err) != "bad_name" {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestOpenRefusesAFileForADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: path})
	if resilience.CodeOf(err) != "checkpoint_forbidden" || resilience.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := Open(Config{}); resilience.CodeOf(err) != "bad_config" {
		t.Errorf("no dir: %v", err)
	}
}
