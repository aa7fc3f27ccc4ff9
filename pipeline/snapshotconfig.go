package pipeline

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"time"
)

// The modes of a snapshot.
const (
	SnapshotNever      = "never"
	SnapshotInitial    = "initial"
	SnapshotOnly       = "only"
	SnapshotWhenNeeded = "when_needed"
)

// What is done when changes were lost.
const (
	GapStop     = "stop"
	GapTruncate = "truncate"
)

// SnapshotConfig says whether existing rows are delivered, and how they are read.
type SnapshotConfig struct {
	// Mode is never (changes from the end of the log at the first start), initial
	// (each captured table is read once, beside the changes), only (as initial,
	// and the pipeline ends when all are read) or when_needed (as initial, and as
	// Gap says). Default never.
	Mode string `yaml:"mode"`
	// Gap is what a pipeline in mode when_needed does when changes were lost,
	// since the source has purged or reset its log: stop, or truncate (it goes on
	// at the end of the log, and each table begins anew with a truncate event).
	// Default stop.
	Gap string `yaml:"gap"`
	// Where holds a condition in SQL for tables ("database.table") of which not
	// all rows are wanted. Changes are not filtered by it.
	Where map[string]string `yaml:"where"`
	// Exclude lists tables ("database.table", "database.*") whose rows are not
	// read unless somebody asks for them. Their changes are delivered all the same.
	Exclude []string `yaml:"exclude"`
	// Readers is how many tables are read at once, each on a connection of its
	// own. Default 2.
	Readers int `yaml:"readers"`
	// ChunkTime is how long the source should take to give one chunk; the number
	// of its rows follows from that. Default 200ms.
	ChunkTime time.Duration `yaml:"chunk_time"`
	// ChunkRows and ChunkBytes are the most a chunk holds. Default 50000 rows, 4 MiB.
	ChunkRows  int `yaml:"chunk_rows"`
	ChunkBytes int `yaml:"chunk_bytes"`
	// MaxRowsPerSecond bounds the rows that all readers together read; 0 is no
	// limit. Default 0.
	MaxRowsPerSecond int `yaml:"max_rows_per_second"`
	// MaxBytesPerSecond bounds their bytes likewise. Default 0.
	MaxBytesPerSecond int `yaml:"max_bytes_per_second"`
	// MaxRunning holds the readers back while the source runs more statements at
	// once (Threads_running); 0 does not ask. As with the limits below, they slow
	// down from half of it on. Default 100.
	MaxRunning int `yaml:"max_running"`
	// Replicas are host:port addresses of replicas whose lag holds the readers back
	// while it is more than MaxReplicaLag. So does one that does not say, or has
	// stopped. User, password and tls are those of the source. Default: none, 10s.
	Replicas      []string      `yaml:"replicas"`
	MaxReplicaLag time.Duration `yaml:"max_replica_lag"`
	// HealthQuery is asked where tables are read, and gives one number. More than
	// HealthMax, NULL, an error or no answer hold the readers back. Default: none, 0.
	HealthQuery string  `yaml:"health_query"`
	HealthMax   float64 `yaml:"health_max"`
	// BufferBytes bounds the chunks in memory (with 64 bytes for each row), TouchedBytes
	// the keys that changes touch while one chunk is read. Default 32 MiB and 4 MiB.
	BufferBytes  int64 `yaml:"buffer_bytes"`
	TouchedBytes int   `yaml:"touched_bytes"`
}

// DefaultSnapshotConfig returns the documented defaults.
func DefaultSnapshotConfig() SnapshotConfig {
	return SnapshotConfig{
		Mode: SnapshotNever, Gap: GapStop, Readers: 2, ChunkTime: 200 * time.Millisecond, ChunkRows: 50000, ChunkBytes: 4 << 20,
		MaxRunning: 100, MaxReplicaLag: 10 * time.Second, BufferBytes: 32 << 20, TouchedBytes: 4 << 20,
	}
}

// Validate reports everything that is wrong with c.
func (c SnapshotConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch c.Mode {
	case SnapshotNever, SnapshotInitial, SnapshotOnly, SnapshotWhenNeeded:
	case "always", "schema_only", "no_data":
		bad("mode: %q is Debezium's; here it is never, initial, only or when_needed", c.Mode)
	default:
		bad("mode: want never, initial, only or when_needed, have %q", c.Mode)
	}
	switch c.Gap {
	case GapStop:
	case GapTruncate:
		if c.Mode != SnapshotWhenNeeded {
			bad("gap: %s reads tables anew, which needs mode when_needed, have %q", c.Gap, c.Mode)
		}
	default:
		bad("gap: want stop or truncate, have %q", c.Gap)
	}
	for _, x := range c.Exclude {
		if !namesTables(x) {
			bad("exclude: want database.table or database.*, have %q", x)
		}
	}
	if c.Readers < 1 || c.Readers > 64 {
		bad("readers: want 1 to 64, have %d", c.Readers)
	}
	if c.ChunkTime < 10*time.Millisecond || c.ChunkTime > 10*time.Second {
		bad("chunk_time: want 10ms to 10s, have %s", c.ChunkTime)
	}
	if c.ChunkRows < 1 || c.ChunkRows > 1_000_000 {
		bad("chunk_rows: want 1 to 1000000, have %d", c.ChunkRows)
	}
	if c.ChunkBytes < 64<<10 || c.ChunkBytes > 64<<20 {
		bad("chunk_bytes: want 64 KiB to 64 MiB, have %d", c.ChunkBytes)
	}
	if c.MaxRowsPerSecond < 0 {
		bad("max_rows_per_second: want 0 (no limit) or more, have %d", c.MaxRowsPerSecond)
	}
	if c.MaxBytesPerSecond < 0 {
		bad("max_bytes_per_second: want 0 (no limit) or more, have %d", c.MaxBytesPerSecond)
	}
	if c.MaxRunning < 0 {
		bad("max_running: want 0 (not asked) or more, have %d", c.MaxRunning)
	}
	c.validateHealth(bad)
	if c.BufferBytes < int64(c.ChunkBytes) {
		bad("buffer_bytes: want at least chunk_bytes (%d), have %d", c.ChunkBytes, c.BufferBytes)
	}
	if c.TouchedBytes < 4<<10 || c.TouchedBytes > 256<<20 {
		bad("touched_bytes: want 4 KiB to 256 MiB, have %d", c.TouchedBytes)
	}
	return errors.Join(errs...)
}

func (c SnapshotConfig) validateHealth(bad func(format string, args ...any)) {
	for i, addr := range c.Replicas {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			bad("replicas[%d]: %q is not host:port", i, addr)
		}
		if slices.Contains(c.Replicas[:i], addr) {
			bad("replicas[%d]: %q is listed twice", i, addr)
		}
	}
	if c.MaxReplicaLag < time.Second {
		bad("max_replica_lag: want at least 1s, which is what servers count in, have %s", c.MaxReplicaLag)
	}
	if c.HealthMax != 0 && c.HealthQuery == "" {
		bad("health_max: is the limit of a health_query, and there is none")
	}
	if !(c.HealthMax >= 0) || math.IsInf(c.HealthMax, 0) {
		bad("health_max: want 0 or more, have %g", c.HealthMax)
	}
}
