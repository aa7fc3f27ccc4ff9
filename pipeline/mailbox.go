package pipeline

import (
	"errors"
	"sync"
)

// mailbox is how other goroutines get something done in the dispatch goroutine,
// between two transactions: the merger of snapshots lives there, and nothing
// else may touch it.
type mailbox struct {
	mu     sync.Mutex
	calls  []func()
	wake   func() // interrupts the wait of dispatch; nil while it does not wait
	closed bool
	closes []func() // called by close
}

// errLineEnds is what post answers when nobody will run the call any more.
var errLineEnds = errors.New("the line ends")

// post enters a call. Dispatch runs calls in the order they came.
func (m *mailbox) post(call func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errLineEnds
	}
	m.calls = append(m.calls, call)
	if m.wake != nil {
		m.wake()
		m.wake = nil
	}
	return nil
}

// await has wake called as soon as there is a call, until it is told to stop.
func (m *mailbox) await(wake func()) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.calls) > 0 {
		wake()
		return func() {}
	}
	m.wake = wake
	return func() {
		m.mu.Lock()
		m.wake = nil
		m.mu.Unlock()
	}
}

// take returns the calls that wait.
func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls
}

// close refuses further calls and drops those that wait.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.calls = true, nil
	for _, f := range m.closes {
		f()
	}
}

// onClose has f called when the mailbox closes, at once if it is closed.
func (m *mailbox) onClose(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		f()
		return
	}
	m.closes = append(m.closes, f)
}
