package pipeline

import "sync/atomic"

// doing is what a stage is about; the watchdog judges by it.
type doing int32

const (
	idle     doing = iota // waits for input
	working               // has work and room
	blocked               // waits for room downstream
	retrying              // waits out a transient error, and says so
	finished              // has ended
)

func (d doing) String() string {
	return [...]string{"idle", "working", "blocked", "retrying", "finished"}[d]
}

// stage is the pulse of one goroutine of the line.
type stage struct {
	name  string
	state atomic.Int32
	beats atomic.Uint64 // rises with every step of progress
}

func (s *stage) is(d doing) { s.state.Store(int32(d)) }

// beat notes progress.
func (s *stage) beat() { s.beats.Add(1) }
