package pipeline

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cdcd-io/cdcd/txbuffer"
)

// Config tunes one pipeline. All sizes are in bytes.
type Config struct {
	Name         string `yaml:"-"` // of the pipeline, unique in the installation
	Installation string `yaml:"-"` // names this installation towards others that share a broker

	// Workers encode in parallel; 0 means one a core.
	Workers int `yaml:"workers"`
	// UnitBytes is how much raw row data one worker takes at a time. Larger
	// units compress better and cost latency under load. Default 1 MiB.
	UnitBytes int `yaml:"unit_bytes"`
	// OutputBytes bounds the rendered records that wait for the sink or are in
	// flight to it. Default 48 MiB.
	OutputBytes int64 `yaml:"output_bytes"`
	// SaveInterval is how often the checkpoint store is brought up to date.
	// Default 1s.
	SaveInterval time.Duration `yaml:"save_interval"`
	// IdleInterval is how long a stream without captured changes may go on
	// before its position is sent on all the same. Default 2s, at most 5s.
	IdleInterval time.Duration `yaml:"idle_interval"`
	// HeartbeatInterval is how often heartbeat records are emitted; 0 never.
	HeartbeatInterval time.Duration `yaml:"heartbeat_interval"`
	// StallAfter is how long a stage may make no progress, while it has work
	// and room, before the watchdog restarts the line. Default 1m.
	StallAfter time.Duration `yaml:"stall_after"`
	// RowChangingDDL says what happens at DDL that changes rows without row events
	// (a new column with a default, a converted column, a dropped partition): warn,
	// stop in front of it, or snapshot (the table is read anew behind it). Default warn.
	RowChangingDDL string `yaml:"row_changing_ddl"`
	// Buffer is the ring between source and encoders.
	Buffer txbuffer.Config `yaml:"buffer"`
	// Snapshot says whether rows that were there before are delivered.
	Snapshot SnapshotConfig `yaml:"snapshot"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		UnitBytes:    1 << 20,
		OutputBytes:  48 << 20,
		SaveInterval: time.Second,
		IdleInterval: 2 * time.Second,
		StallAfter:   time.Minute,

		RowChangingDDL: RowChangingWarn,
		Buffer:         txbuffer.DefaultConfig(),
		Snapshot:       DefaultSnapshotConfig(),
	}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, format string, args ...any) {
		errs = append(errs, fmt.Errorf(field+": "+format, args...))
	}
	if c.Workers < 0 || c.Workers > 256 {
		bad("workers", "want 0 (one a core) to 256, have %d", c.Workers)
	}
	if c.UnitBytes < 4<<10 || c.UnitBytes > 16<<20 {
		bad("unit_bytes", "want 4 KiB to 16 MiB, have %d", c.UnitBytes)
	}
	if c.OutputBytes < int64(c.UnitBytes) {
		bad("output_bytes", "want at least unit_bytes (%d), have %d", c.UnitBytes, c.OutputBytes)
	}
	if c.SaveInterval <= 0 {
		bad("save_interval", "want more than 0, have %s", c.SaveInterval)
	}
	if c.IdleInterval <= 0 || c.IdleInterval > 5*time.Second {
		bad("idle_interval", "want more than 0 and at most 5s, have %s", c.IdleInterval)
	}
	if c.HeartbeatInterval < 0 {
		bad("heartbeat_interval", "want 0 (never) or more, have %s", c.HeartbeatInterval)
	}
	if c.StallAfter < time.Second {
		bad("stall_after", "want at least 1s, have %s", c.StallAfter)
	}
	switch c.RowChangingDDL {
	case RowChangingWarn, RowChangingStop, RowChangingSnapshot:
	default:
		bad("row_changing_ddl", "want warn, stop or snapshot, have %q", c.RowChangingDDL)
	}
	if err := c.Buffer.Validate(); err != nil {
		bad("buffer", "%w", err)
	}
	if err := c.Snapshot.Validate(); err != nil {
		bad("snapshot", "%w", err)
	}
	return errors.Join(errs...)
}

func (c Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.GOMAXPROCS(0)
}
