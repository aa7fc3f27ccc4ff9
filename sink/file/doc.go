// Package file is the sink that writes JSON lines: one line a record, in the
// order of the log, into a file that is rotated by size.
//
// The checkpoint holds which file was being written and how long it was behind
// its last transaction. On start everything after that is cut off, so that the
// file is the checkpointed prefix and goes on without a gap and without a
// double, even after kill -9. A lock file beside the output names the pipeline
// it belongs to; another pipeline's output is never touched.
//
// Workers render the lines; one goroutine a line (of the pipeline) writes them,
// makes all that is waiting durable with one fsync, and ends in Connect or
// Close. Read sink.go first, then writer.go and output.go.
package file
