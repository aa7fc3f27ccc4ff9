package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Ports are taken below the range the kernel hands out to clients, so that while a server is down no outgoing connection of
// anybody can sit on its port when it comes back.
const (
	firstPort = 20000
	lastPort  = 29999
)

// portBook reserves ports among all processes on the machine by locked files; the kernel frees them when the process ends.
type portBook struct {
	mu    sync.Mutex
	files []*os.File
}

func (b *portBook) reserve() (int, error) {
	// One folder per user, who may not write into another's; between users portFree has to do.
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("cdcd-testenv-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, fmt.Errorf("testenv: make the folder of reserved ports: %w", err)
	}
	const span = lastPort - firstPort + 1
	start := rand.IntN(span)
	for i := range span {
		port := firstPort + (start+i)%span
		if b.take(dir, port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("testenv: no free port between %d and %d; see which processes listen there", firstPort, lastPort)
}

func (b *portBook) take(dir string, port int) bool {
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return false
	}
	if tryLock(f) != nil || !portFree(port) {
		f.Close()
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files = append(b.files, f)
	return true
}

func portFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (b *portBook) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.files {
		f.Close()
	}
	b.files = nil
}
