package file

import (
	"errors"
	"fmt"
	"time"
)

// Fsync says when what was written is made durable.
type Fsync string

// The policies. With EachBatch and Interval a batch counts as delivered only
// once it is on disk. Never leaves that to the operating system: what was
// delivered survives the death of cdcd but not that of the machine, after
// which the pipeline stops if the file came back shorter than the checkpoint.
const (
	EachBatch Fsync = "each_batch"
	Interval  Fsync = "interval"
	Never     Fsync = "never"
)

// Config says where the lines go.
type Config struct {
	// Path is the file; its directory is made when it is missing. Full files
	// become PATH.000001, PATH.000002 and so on. Required.
	Path string `yaml:"path"`
	// MaxBytes is the size at which a file is full. A transaction is never
	// split over files, so a file may become larger. 0 never rotates. Default
	// 256 MiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// Keep is how many full files are kept; the oldest are removed. 0 keeps
	// all. Default 0.
	Keep int `yaml:"keep"`
	// Fsync is each_batch, interval or never. Default each_batch.
	Fsync Fsync `yaml:"fsync"`
	// FsyncInterval is the interval of the policy of that name. Default 200ms.
	FsyncInterval time.Duration `yaml:"fsync_interval"`

	// Text says that the encoder does not write JSON: keys and values become
	// JSON strings instead of being embedded as they are.
	Text bool `yaml:"-"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{MaxBytes: 256 << 20, Fsync: EachBatch, FsyncInterval: 200 * time.Millisecond}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Path == "" {
		bad("path: name the file to write")
	}
	if c.MaxBytes < 0 {
		bad("max_bytes: want 0 (no rotation) or more, have %d", c.MaxBytes)
	}
	if c.Keep < 0 {
		bad("keep: want 0 (all) or more, have %d", c.Keep)
	}
	switch c.Fsync {
	case EachBatch, Interval, Never:
	default:
		bad("fsync: want each_batch, interval or never, have %q", string(c.Fsync))
	}
	if c.FsyncInterval <= 0 {
		bad("fsync_interval: want more than 0, have %s", c.FsyncInterval)
	}
	return errors.Join(errs...)
}
