// Command bench measures cdcd beside go-mysql on the same binlog, in one run on
// one machine. It prints one JSON object a line: what was measured, how long it
// took, the CPU it used, its peak memory, and the ratio to go-mysql's framing
// of the same log. Absolute figures drift with the machine; the ratios hold.
//
// It also measures how long a committed row takes until a consumer has read it,
// and on demand one giant transaction. README.md tells what was seen.
//
// Each measurement runs in a process of its own (this binary again), so that
// CPU time and memory are the operating system's own accounting of it.
package main
