package txbuffer

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cdcd-io/cdcd/event"
)

// Config bounds a [Ring].
type Config struct {
	// RingBytes is the memory for raw rows and their descriptors, in bytes. A
	// single event larger than a piece may exceed it by its own size, once.
	RingBytes int64 `yaml:"ring_bytes"`
	// Slots is how many transactions may be committed and not yet released.
	Slots int `yaml:"slots"`
	// PieceBytes is the size at which pieces are cut, and of the blocks memory
	// is given out in. The encoders work on one piece at a time.
	PieceBytes int `yaml:"piece_bytes"`
	// MaxTxBytes is how much of the ring one open transaction may hold before
	// it goes to disk.
	MaxTxBytes int64 `yaml:"max_tx_bytes"`
	// ReadBackPieces is how many pieces of spilled transactions may be in memory at a
	// time. Their memory is set aside from RingBytes, so that reading back
	// never waits for what the producer holds.
	ReadBackPieces int `yaml:"read_back_pieces"`
	// SpillDir holds the segment files. It is created where it is missing. Many
	// daemons may share it: each works in a folder of its own, and folders of
	// dead ones are removed at start. Keep it off a tmpfs: that is memory.
	SpillDir string `yaml:"spill_dir"`
	// MaxSpillBytes bounds the segment files, in bytes. A transaction that does
	// not fit even when all others are gone stops the pipeline.
	MaxSpillBytes int64 `yaml:"max_spill_bytes"`
	// SegmentBytes is the size at which a segment file is closed and the next
	// one begun; a segment is deleted as soon as it has been read back.
	SegmentBytes int64 `yaml:"segment_bytes"`
}

// DefaultConfig returns the defaults, with which a ring stays below 64 MiB.
func DefaultConfig() Config {
	return Config{
		RingBytes:      64 << 20,
		Slots:          8192,
		PieceBytes:     1 << 20,
		MaxTxBytes:     32 << 20,
		ReadBackPieces: 8,
		SpillDir:       "data/spill",
		MaxSpillBytes:  64 << 30,
		SegmentBytes:   64 << 20,
	}
}

const (
	minPieceBytes = 256
	maxPieceBytes = 16 << 20
	// A block has room for one event descriptor per bytesPerEvent of bodies,
	// so many tiny events end a piece before its bytes do.
	bytesPerEvent = 256
	minEvents     = 4
	eventSize     = int64(unsafe.Sizeof(event.RawRows{}))
)

// Validate reports all problems of the configuration at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("txbuffer: "+format, args...)) }
	if c.Slots < 1 {
		bad("slots is %d: at least 1", c.Slots)
	}
	if c.PieceBytes < minPieceBytes || c.PieceBytes > maxPieceBytes {
		bad("piece_bytes is %d: between %d and %d", c.PieceBytes, minPieceBytes, maxPieceBytes)
	}
	if c.ReadBackPieces < 1 {
		bad("read_back_pieces is %d: at least 1", c.ReadBackPieces)
	}
	if c.MaxTxBytes < c.blockCost() {
		bad("max_tx_bytes is %d: at least one piece, %d with its descriptors", c.MaxTxBytes, c.blockCost())
	}
	if need := c.MaxTxBytes + c.blockCost()*int64(1+c.ReadBackPieces); c.RingBytes < need {
		bad("ring_bytes is %d: at least %d, for max_tx_bytes and %d pieces", c.RingBytes, need, 1+c.ReadBackPieces)
	}
	if c.SpillDir == "" {
		bad("spill_dir is empty")
	}
	if c.MaxSpillBytes < 1 {
		bad("max_spill_bytes is %d: at least 1", c.MaxSpillBytes)
	}
	if c.SegmentBytes < 1 {
		bad("segment_bytes is %d: at least 1", c.SegmentBytes)
	}
	return errors.Join(errs...)
}

// blockEvents is the number of event descriptors of a block.
func (c Config) blockEvents() int { return max(minEvents, c.PieceBytes/bytesPerEvent) }

// blockCost is what a block takes from the budget.
func (c Config) blockCost() int64 { return int64(c.PieceBytes) + int64(c.blockEvents())*eventSize }

// readBackBytes is the share of the ring set aside for reading back.
func (c Config) readBackBytes() int64 { return int64(c.ReadBackPieces) * c.blockCost() }
