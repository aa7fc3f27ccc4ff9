package admin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cdcd-io/cdcd/resilience"
)

// maxSocketPath is what the kernel leaves for the path of a Unix socket.
const maxSocketPath = 107

// Socket is a listening Unix socket that nobody else has.
type Socket struct {
	net.Listener
	lock *os.File
}

// ListenSocket listens at path with mode 0600, making its folder. A lock beside
// the socket lets one daemon have it; what a killed one left behind is removed.
func ListenSocket(path string) (*Socket, error) {
	fail := func(code string, err error) *resilience.Error {
		return &resilience.Error{Class: resilience.Fatal, Code: code, Op: "open the control socket", At: path, Err: err}
	}
	if len(path) > maxSocketPath {
		return nil, fail("socket_path", fmt.Errorf("the path has %d bytes; a Unix socket takes %d", len(path), maxSocketPath)).
			WithHint("set admin.socket, or --socket, to a shorter path")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fail("socket_path", err).WithHint("make the folder, or set admin.socket to another place")
	}
	lock, err := lockFile(path + ".lock")
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fail("already_running", errors.New("another cdcd has it")).
			WithHint("cdcd status --socket %s shows it; a second daemon needs an admin.socket and a checkpoint folder of its own", path)
	}
	if err != nil {
		return nil, fail("socket_path", err).WithHint("set admin.socket to a place where files may be made")
	}
	_ = os.Remove(path) // left by a daemon that was killed: the lock is ours
	l, err := listenPrivate(path)
	if err != nil {
		lock.Close()
		return nil, fail("socket_path", err).WithHint("set admin.socket to a place where files may be made")
	}
	return &Socket{l, lock}, nil
}

// Close removes the socket and lets another daemon have its place.
func (s *Socket) Close() error {
	err := s.Listener.Close()
	s.lock.Close()
	return err
}

// listenPrivate makes the socket unreadable to others from its first moment.
func listenPrivate(path string) (net.Listener, error) {
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
