package mysql

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

// wire is the connection of a dump. A read that waits longer than silence, in
// which heartbeats should have come, means that the connection is dead; time
// in which nobody reads does not count.
type wire struct {
	conn        net.Conn
	silence     time.Duration
	interrupted atomic.Bool
	pulse       *pulse
}

// pulse is what a stream's watcher may look at from another goroutine.
type pulse struct {
	bytes   atomic.Uint64 // received
	waiting atomic.Bool   // for the server
}

var errInterrupted = errors.New("interrupted")

// Read implements io.Reader.
func (w *wire) Read(p []byte) (int, error) {
	_ = w.conn.SetReadDeadline(time.Now().Add(w.silence))
	// interrupt sets its flag before the deadline: whichever of the two
	// deadlines comes last, one of flag and deadline ends this read.
	if w.interrupted.Load() {
		return 0, errInterrupted
	}
	w.pulse.waiting.Store(true)
	n, err := w.conn.Read(p)
	w.pulse.waiting.Store(false)
	w.pulse.bytes.Add(uint64(n))
	if err != nil && n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		if w.interrupted.Load() {
			return 0, errInterrupted
		}
		return 0, resilience.Errorf(resilience.Transient, "connection_silent", opRead, "nothing came for %s, not even a heartbeat", w.silence)
	}
	return n, err
}

// interrupt ends a pending read and all that follow. It may be called from
// another goroutine.
func (w *wire) interrupt() {
	w.interrupted.Store(true)
	_ = w.conn.SetReadDeadline(time.Unix(1, 0))
}
