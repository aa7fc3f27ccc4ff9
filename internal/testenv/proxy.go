package testenv

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// Direction is one of the two streams of a connection.
type Direction int

const (
	// ToClient carries what the server says.
	ToClient Direction = iota
	// ToServer carries what the client says.
	ToServer
)

// Protocol tells a Proxy where one message ends and the next begins.
type Protocol int

const (
	// Raw has no messages: a message is what one read returned.
	Raw Protocol = iota
	// MySQLProtocol has packets; once a connection turns to TLS it is Raw.
	MySQLProtocol
	// KafkaProtocol has requests and replies, matched by correlation id.
	KafkaProtocol
)

// Proxy stands on 127.0.0.1 between clients and a server and misbehaves on request. Everything that can be set may be set at
// any time, from any goroutine, and holds for open connections too unless said otherwise. A new Proxy is faithful.
type Proxy struct {
	protocol Protocol
	listener *net.TCPListener
	all      sync.WaitGroup

	mu      sync.Mutex
	target  string
	refuse  bool
	shapes  [2]shape
	changed chan struct{} // closed, and replaced, when a shape changes
	rules   []*Rule
	offsets []*byteRule
	links   map[*link]bool
	opened  int
	closed  bool
}

// shape is how one direction flows.
type shape struct {
	latency, jitter time.Duration
	bytesPerSecond  int
	hole            bool
}

// NewProxy listens on a free port and forwards to target. Close it at the end.
func NewProxy(target string, protocol Protocol) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("testenv: listen for the proxy of %s: %w", target, err)
	}
	p := &Proxy{
		protocol: protocol, listener: l.(*net.TCPListener), target: target,
		changed: make(chan struct{}), links: map[*link]bool{},
	}
	p.all.Add(1)
	go p.accept()
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget sends new connections to another server; open ones stay where they are (see Reset).
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Refuse resets new connections as soon as they are made, while on.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Latency delays every byte by about d, give or take up to jitter. Order is kept; throughput is not reduced.
func (p *Proxy) Latency(dir Direction, d, jitter time.Duration) {
	p.reshape(dir, func(s *shape) { s.latency, s.jitter = d, jitter })
}

// Bandwidth limits each connection; 0 is no limit.
func (p *Proxy) Bandwidth(dir Direction, bytesPerSecond int) {
	p.reshape(dir, func(s *shape) { s.bytesPerSecond = bytesPerSecond })
}

// Blackhole swallows a direction without a word, ends of connections included, while on. What was swallowed comes out when it
// is turned off, as TCP would have sent it again.
func (p *Proxy) Blackhole(dir Direction, on bool) {
	p.reshape(dir, func(s *shape) { s.hole = on })
}

func (p *Proxy) reshape(dir Direction, change func(*shape)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.shapes[dir])
	close(p.changed)
	p.changed = make(chan struct{})
}

// shape returns how dir flows now, and a channel that is closed when that changes.
func (p *Proxy) shape(dir Direction) (shape, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shapes[dir], p.changed
}

// Heal ends every fault: shapes, refusal and rules. Connections stay as they are.
func (p *Proxy) Heal() {
	p.Refuse(false)
	for _, dir := range []Direction{ToClient, ToServer} {
		p.reshape(dir, func(s *shape) { *s = shape{} })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.offsets = nil, nil
}

// Reset breaks every open connection with a TCP reset on both sides.
func (p *Proxy) Reset() {
	for _, l := range p.openLinks() {
		l.reset()
	}
}

// Open is the number of connections there are now, Opened of all there have been.
func (p *Proxy) Open() int { return len(p.openLinks()) }

// Opened is the number of connections ever forwarded.
func (p *Proxy) Opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

func (p *Proxy) openLinks() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var links []*link
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

// Close breaks every connection and returns when nothing of the proxy runs any more.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Reset()
	p.all.Wait()
	return err
}

func (p *Proxy) accept() {
	defer p.all.Done()
	for {
		client, err := p.listener.AcceptTCP()
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		target, refuse := p.target, p.refuse || p.closed
		p.mu.Unlock()
		if refuse {
			resetConn(client)
			continue
		}
		p.all.Add(1)
		go func() {
			defer p.all.Done()
			p.forward(client, target)
		}()
	}
}

// forward serves one connection to its end.
func (p *Proxy) forward(client *net.TCPConn, target string) {
	conn, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		resetConn(client) // to the client it looks like a server that is not there
		return
	}
	l := newLink(p, client, conn.(*net.TCPConn))
	if !p.add(l) {
		l.reset()
		return
	}
	l.run()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.opened++
	l.id = p.opened
	p.links[l] = true
	return true
}

// resetConn closes with RST instead of FIN.
func resetConn(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
