package testenv

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// queueLength bounds the messages of one direction that wait inside the proxy; beyond it TCP's own back-pressure holds.
const queueLength = 256

// link is one forwarded connection. Each direction has a reader, which stamps messages with the time they came, and a writer,
// which delivers them late, cut or not at all: with one goroutine for both, latency would limit throughput.
type link struct {
	proxy          *Proxy
	id             int
	client, server *net.TCPConn
	ctx            context.Context // ends when the link breaks; every wait inside it watches that
	cancel         context.CancelFunc
	opaque         atomic.Bool // the rest is TLS

	mu    sync.Mutex
	calls map[int32]call // Kafka requests without a reply yet
}

type call struct{ key, version int16 }

func newLink(p *Proxy, client, server *net.TCPConn) *link {
	ctx, cancel := context.WithCancel(context.Background())
	return &link{proxy: p, client: client, server: server, ctx: ctx, cancel: cancel, calls: map[int32]call{}}
}

// run forwards until both directions have ended.
func (l *link) run() {
	var wg sync.WaitGroup
	for _, s := range []*stream{
		{link: l, dir: ToClient, src: l.server, dst: l.client},
		{link: l, dir: ToServer, src: l.client, dst: l.server},
	} {
		s.queue = make(chan item, queueLength)
		wg.Add(2)
		go func() { defer wg.Done(); s.read() }()
		go func() { defer wg.Done(); s.write() }()
	}
	wg.Wait()
	l.cancel()
	l.client.Close()
	l.server.Close()
}

// reset breaks both sides at once.
func (l *link) reset() {
	l.cancel()
	resetConn(l.client)
	resetConn(l.server)
}

// stream is one direction of a link.
type stream struct {
	link     *link
	dir      Direction
	src, dst *net.TCPConn
	queue    chan item
	sent     int64
}

// item is a message, or the end of the stream.
type item struct {
	Message
	came time.Time
	end  error
}

func (s *stream) read() {
	defer close(s.queue)
	in := bufio.NewReaderSize(s.src, 64<<10)
	for n := 1; ; n++ {
		m, err := s.next(in)
		m.Conn, m.Dir, m.N = s.link.id, s.dir, n
		select {
		case s.queue <- item{Message: m, came: time.Now(), end: err}:
		case <-s.link.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *stream) write() {
	for it := range s.queue {
		if !s.deliver(it) {
			s.link.reset()
			return
		}
	}
}

// deliver handles one item and tells whether the link lives on.
func (s *stream) deliver(it item) bool {
	if len(it.Data) > 0 && !s.obey(it) {
		return false
	}
	if it.end == nil {
		return true
	}
	if !s.wait(it.came) || !errors.Is(it.end, io.EOF) {
		return false
	}
	return s.dst.CloseWrite() == nil
}

// obey does what the rules want with a message.
func (s *stream) obey(it item) bool {
	action := s.link.proxy.decide(it.Message)
	data, cutThen := it.Data, false
	switch action.kind {
	case delay:
		if !s.sleep(action.delay) {
			return false
		}
	case hold:
		select {
		case <-action.until:
		case <-s.link.ctx.Done():
			return false
		}
	case drop:
		return true
	case cut:
		if n := action.bytes; n >= 0 {
			data = data[:min(n, len(data))]
		}
		cutThen = true
	case edit:
		data = action.edit(data)
	}
	return s.send(it.came, data) && !cutThen
}

// send delivers bytes in the shape of the direction.
func (s *stream) send(came time.Time, data []byte) bool {
	if !s.wait(came) {
		return false
	}
	data, cutThen := s.link.proxy.strike(s.link, s.dir, s.sent, data)
	for len(data) > 0 {
		shape, _ := s.link.proxy.shape(s.dir)
		part := data
		if shape.bytesPerSecond > 0 {
			part = data[:min(len(data), max(1, shape.bytesPerSecond/50))]
			if !s.sleep(time.Duration(len(part)) * time.Second / time.Duration(shape.bytesPerSecond)) {
				return false
			}
		}
		n, err := s.dst.Write(part)
		s.sent += int64(n)
		if err != nil {
			return false
		}
		data = data[len(part):]
	}
	return !cutThen
}

// wait holds a message back for the latency, and for as long as there is a black hole. Jitter cannot reorder: one goroutine
// delivers, in turn.
func (s *stream) wait(came time.Time) bool {
	spread := 2*rand.Float64() - 1
	for {
		shape, changed := s.link.proxy.shape(s.dir)
		due := came.Add(shape.latency + time.Duration(spread*float64(shape.jitter)))
		if !shape.hole && !time.Now().Before(due) {
			return s.link.ctx.Err() == nil
		}
		timer := time.NewTimer(time.Until(due))
		late := timer.C
		if shape.hole {
			late = nil
		}
		select {
		case <-late:
		case <-changed: // healed, perhaps
		case <-s.link.ctx.Done():
		}
		timer.Stop()
		if s.link.ctx.Err() != nil {
			return false
		}
	}
}

// sleep tells whether the link still lives after d.
func (s *stream) sleep(d time.Duration) bool {
	if d <= 0 {
		return s.link.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.link.ctx.Done():
		return false
	}
}
