// Package pipeline runs lines: one pipeline is one source and one sink, and a
// line is one run of it from a checkpoint to the first error or the stop. All
// long-lived goroutines and channels of a line are made in line.go, in the
// order the data moves:
//
//	read ──ring──▶ dispatch ──units──▶ encode × n ──(in order)──▶ send ──acks──▶ save
//
// Read assembles transactions into the ring. Dispatch cuts the log into units
// of about one MiB and reserves their output, in order, before it hands them
// out, so the head of the line never waits for memory that is held behind it.
// Encode workers decode and render at the same time, each on its own core; send
// takes finished units in the order of the log and gives them to the sink; an
// acknowledgement moves the tracker, and save stores what is safe.
//
// The package decides when to try again (one retry for the whole line, with
// visible state) and when to stop. It knows no server, no format and no sink.
//
// Read pipeline.go for the life of a pipeline, then line.go.
package pipeline
