// Package sinktest asks of every sink what the line relies on: each batch done
// exactly once, order, nothing after an error, an end to every wait, and after
// a restart exactly what the checkpoint says.
//
// A sink's test calls [Run] with a [Harness]; see harness.go for what it must
// offer. The suite packs records of its own, so no encoder is needed.
package sinktest
