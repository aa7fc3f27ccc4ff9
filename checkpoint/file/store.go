package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// Store keeps one checkpoint a pipeline in a directory. The first use of a
// pipeline locks it against other processes until Close. Safe for concurrent use.
type Store struct {
	cfg  Config
	disk disk
	lock func(name string) (*os.File, error)

	mu    sync.Mutex
	lines map[string]*line
}

// line is what the store knows of one pipeline that it has locked.
type line struct {
	lock *os.File
	last checkpoint.Checkpoint // the stored one, zero when there is none
}

// Open makes the directory if it is missing.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, resilience.Errorf(resilience.Fatal, "bad_config", "open checkpoint store", "%w", err)
	}
	if err := makeDir(cfg.Dir); err != nil {
		return nil, diskError("open checkpoint store", cfg.Dir, err)
	}
	return newStore(cfg, osDisk{}, lockFile), nil
}

func newStore(cfg Config, d disk, lock func(string) (*os.File, error)) *Store {
	return &Store{cfg: cfg, disk: d, lock: lock, lines: make(map[string]*line)}
}

// Load implements checkpoint.Store.
func (s *Store) Load(ctx context.Context, pipeline string) (checkpoint.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.line(ctx, pipeline)
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	if l.last.IsZero() {
		return l.last, fmt.Errorf("load checkpoint of pipeline %s: %w", pipeline, checkpoint.ErrNone)
	}
	c := l.last
	c.Position = c.Position.Clone()
	return c, nil
}

// Save implements checkpoint.Store. When ctx ends first, the stored checkpoint
// stays as it is. A disk that hangs in a call holds Save; nothing can end that.
func (s *Store) Save(ctx context.Context, c checkpoint.Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.line(ctx, c.Pipeline)
	if err != nil {
		return err
	}
	if err := checkpoint.Verify(c, s.cfg.Installation, c.Pipeline); err != nil {
		return err
	}
	if err := checkpoint.Succeeds(l.last, c); err != nil {
		return err
	}
	b, err := checkpoint.Encode(c)
	if err != nil {
		return err
	}
	if err := s.replace(ctx, s.path(c.Pipeline), b, !l.last.IsZero()); err != nil {
		return err
	}
	c.Position = c.Position.Clone()
	l.last = c
	return nil
}

// Close unlocks all pipelines. Calling it twice is fine.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for name, l := range s.lines {
		if l.lock != nil {
			errs = append(errs, l.lock.Close())
		}
		delete(s.lines, name)
	}
	return errors.Join(errs...)
}

func (s *Store) path(pipeline string) string {
	return filepath.Join(s.cfg.Dir, pipeline+".checkpoint")
}

func previous(path string) string { return path + ".previous" }

// A name becomes part of a file name.
var validName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$`)

// line locks and reads a pipeline when it is used for the first time.
func (s *Store) line(ctx context.Context, pipeline string) (*line, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if l := s.lines[pipeline]; l != nil {
		return l, nil
	}
	if !validName.MatchString(pipeline) {
		return nil, resilience.Errorf(resilience.Fatal, "bad_name", "open checkpoint", "the pipeline is named %q", pipeline).
			WithHint("use letters, digits, _, . and -")
	}
	lock, err := s.lock(filepath.Join(s.cfg.Dir, pipeline+".lock"))
	if err != nil {
		return nil, err
	}
	last, err := s.read(pipeline)
	if err != nil {
		if lock != nil {
			lock.Close()
		}
		return nil, err
	}
	l := &line{lock: lock, last: last}
	s.lines[pipeline] = l
	return l, nil
}

// read returns the stored checkpoint, the zero one when there is none.
func (s *Store) read(pipeline string) (checkpoint.Checkpoint, error) {
	var none checkpoint.Checkpoint
	path := s.path(pipeline)
	b, err := s.disk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, s.missing(path)
	}
	if err != nil {
		return none, diskError("read checkpoint", path, err)
	}
	c, err := checkpoint.Decode(b)
	if err == nil {
		err = checkpoint.Verify(c, s.cfg.Installation, pipeline)
	}
	if err != nil {
		return none, s.explain(err, path)
	}
	return c, nil
}

// missing tells a first start from a lost file: no crash of ours leaves the
// copy without the original.
func (s *Store) missing(path string) error {
	if _, err := s.disk.ReadFile(previous(path)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.explain(resilience.Errorf(resilience.Fatal, "checkpoint_missing", "read checkpoint", "the file is gone"), path)
}

// explain adds the place and, where going back may help, how to.
func (s *Store) explain(err error, path string) error {
	var e *resilience.Error
	if !errors.As(err, &e) {
		return err
	}
	e.WithPlace("%s", path)
	if e.Code != "checkpoint_corrupt" && e.Code != "checkpoint_missing" {
		return e
	}
	b, readErr := s.disk.ReadFile(previous(path))
	if readErr != nil {
		return e
	}
	c, decodeErr := checkpoint.Decode(b)
	if decodeErr != nil {
		return e.WithHint("the copy %s cannot be read either; restore one of them from a backup", previous(path))
	}
	return e.WithHint("the copy before it is whole (transaction %d, saved %s); to go on from there, which sends what came since once more: mv %s %s",
		c.Position.Seq, c.Saved.Format("2006-01-02 15:04:05 MST"), previous(path), path)
}

// replace puts b in place of the file: whole or not at all, whatever happens.
func (s *Store) replace(ctx context.Context, path string, b []byte, keep bool) error {
	fresh := path + ".new"
	if err := s.write(fresh, b); err != nil {
		return diskError("write checkpoint", fresh, err)
	}
	if keep {
		if err := s.keep(path); err != nil {
			return diskError("keep previous checkpoint", previous(path), err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	failpoint.Hit("checkpoint.file.written")
	if err := s.disk.Rename(fresh, path); err != nil {
		return diskError("store checkpoint", path, err)
	}
	failpoint.Hit("checkpoint.file.renamed")
	if err := s.disk.SyncDir(s.cfg.Dir); err != nil {
		return diskError("store checkpoint", s.cfg.Dir, err)
	}
	return nil
}

// write makes a new file durable. Its content must be on disk before its name
// replaces the old one, or a crash could leave an empty checkpoint.
func (s *Store) write(name string, b []byte) error {
	if err := s.remove(name); err != nil {
		return err
	}
	f, err := s.disk.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// keep gives the file a second name, under which it stays when the first is
// taken by its successor.
func (s *Store) keep(path string) error {
	if err := s.remove(previous(path)); err != nil {
		return err
	}
	return s.disk.Link(path, previous(path))
}

func (s *Store) remove(name string) error {
	if err := s.disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
