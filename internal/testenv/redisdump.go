package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Files in a server's folder, by the names Redis gives them.
const (
	dumpFile      = "dump.rdb"
	appendOnlyDir = "appendonlydir"
	baseFile      = "appendonly.aof.1.base.rdb"
	manifestFile  = "appendonly.aof.manifest"
)

// Dump makes the server write all it has into a file, and returns that file, which stays as it is: RestartFrom brings the
// server back to that moment, as an operator's restore from last night's backup does.
func (r *Redis) Dump(ctx context.Context) (string, error) {
	if err := r.client.Save(ctx).Err(); err != nil {
		return "", fmt.Errorf("testenv: dump %s: %w", r.name, err)
	}
	r.dumps++
	copied := filepath.Join(r.dir, fmt.Sprintf("kept-%d.rdb", r.dumps))
	if err := os.Rename(filepath.Join(r.dir, dumpFile), copied); err != nil {
		return "", fmt.Errorf("testenv: keep the dump of %s: %w", r.name, err)
	}
	return copied, nil
}

// RestartFrom kills the server if it runs and starts it with what a dump holds and nothing else; with "", empty.
func (r *Redis) RestartFrom(ctx context.Context, dump string) error {
	if r.Running() {
		if err := r.Kill(); err != nil {
			return err
		}
	}
	if err := r.replaceData(dump); err != nil {
		return fmt.Errorf("testenv: put a dump in the place of the data of %s: %w", r.name, err)
	}
	return r.start(ctx)
}

// replaceData leaves the dump as the only data there is. A server that keeps an append-only file reads nothing else: there
// the dump becomes that file's base.
func (r *Redis) replaceData(dump string) error {
	aof := filepath.Join(r.dir, appendOnlyDir)
	if err := errors.Join(os.RemoveAll(aof), os.RemoveAll(filepath.Join(r.dir, dumpFile))); err != nil || dump == "" {
		return err
	}
	data, err := os.ReadFile(dump)
	if err != nil {
		return err
	}
	if !r.opts.AppendOnly {
		return os.WriteFile(filepath.Join(r.dir, dumpFile), data, 0o644)
	}
	manifest := fmt.Sprintf("file %s seq 1 type b\n", baseFile)
	return errors.Join(
		os.Mkdir(aof, 0o755),
		os.WriteFile(filepath.Join(aof, baseFile), data, 0o644),
		os.WriteFile(filepath.Join(aof, manifestFile), []byte(manifest), 0o644))
}
