// Package terminal is the sink for people: it prints the value of each record
// and a newline, made for format/text. It keeps nothing: a restart goes on from
// the checkpoint and prints what came after it once more.
//
// One goroutine a line writes, because a terminal that is held (Ctrl-S, a
// pager) blocks for as long as its user likes. Read sink.go.
package terminal
