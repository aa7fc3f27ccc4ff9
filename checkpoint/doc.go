// Package checkpoint holds the truth about progress: the Checkpoint itself and
// its encoding, the Tracker that finds the longest finished prefix, and the
// Store that keeps checkpoints. Stores live in sub-packages (checkpoint/file);
// each passes checkpoint/storetest.
//
// A checkpoint never covers what a sink has not acknowledged, moves forward
// only within a generation, and is refused with a reason when it is damaged,
// of another pipeline, or from a newer version. This package does no input or
// output.
//
// Read checkpoint.go first, then tracker.go, then rules.go and codec.go.
package checkpoint
