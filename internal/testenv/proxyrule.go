package testenv

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Message is one packet, request or reply on its way through a Proxy.
type Message struct {
	Conn int // number of the connection, from 1
	Dir  Direction
	N    int    // number of the message on its connection and direction, from 1
	Data []byte // the whole message with its header, valid during the call only

	// Kafka only. A reply carries the key and version of the request it answers. Without Kafka APIKey is -1.
	APIKey        int16
	APIVersion    int16
	CorrelationID int32
}

// Payload is what a MySQL packet holds behind its four bytes of header.
func (m Message) Payload() []byte { return m.Data[min(4, len(m.Data)):] }

// Rule acts on messages it matches. Set the fields, then give it to Proxy.On.
type Rule struct {
	Dir Direction
	// APIKey, if not nil, is the Kafka request the rule is about (see APIKey the function); with Dir ToClient, its reply.
	APIKey *int16
	// Match narrows further; nil matches all. It runs while the message waits, so it may also record or signal.
	Match func(Message) bool
	// Skip lets that many matches pass before the rule acts; Count bounds how often it acts, 0 being without end.
	Skip, Count int
	Do          Action

	mu      sync.Mutex
	matched int
	reached int
	change  chan struct{}
}

// APIKey is a helper for Rule.APIKey: APIKey(EndTxn).
func APIKey(key int16) *int16 { return &key }

// Kafka requests that tests of a producer meet.
const (
	Produce            int16 = 0
	Fetch              int16 = 1
	ListOffsets        int16 = 2
	Metadata           int16 = 3
	FindCoordinator    int16 = 10
	InitProducerID     int16 = 22
	AddPartitionsToTxn int16 = 24
	EndTxn             int16 = 26
	WriteTxnMarkers    int16 = 27
)

// On arms a rule; the first armed rule that matches a message decides about it.
func (p *Proxy) On(r *Rule) *Rule {
	r.mu.Lock()
	r.change = make(chan struct{})
	r.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, r)
	return r
}

// Off disarms a rule.
func (p *Proxy) Off(r *Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var kept []*Rule
	for _, other := range p.rules {
		if other != r {
			kept = append(kept, other)
		}
	}
	p.rules = kept
}

// decide finds the action for a message.
func (p *Proxy) decide(m Message) Action {
	p.mu.Lock()
	rules := p.rules
	p.mu.Unlock()
	for _, r := range rules {
		if r.Dir == m.Dir && r.takes(m) {
			return r.Do
		}
	}
	return Action{}
}

func (r *Rule) takes(m Message) bool {
	if r.APIKey != nil && *r.APIKey != m.APIKey {
		return false
	}
	if r.Match != nil && !r.Match(m) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.matched++
	if r.matched <= r.Skip || (r.Count > 0 && r.reached >= r.Count) {
		return false
	}
	r.reached++
	close(r.change)
	r.change = make(chan struct{})
	return true
}

// Reached is how often the rule has acted. A test whose fault was never reached has proved nothing.
func (r *Rule) Reached() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reached
}

// Await returns when the rule has acted n times.
func (r *Rule) Await(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		reached, change := r.reached, r.change
		r.mu.Unlock()
		if reached >= n {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("testenv: wait for a proxy rule to act %d times: %w; it acted %d times", n, context.Cause(ctx), reached)
		}
	}
}

// Action is what happens to a message. The zero Action lets it pass.
type Action struct {
	kind  actionKind
	delay time.Duration
	until <-chan struct{}
	bytes int
	edit  func([]byte) []byte
}

type actionKind int

const (
	pass actionKind = iota
	delay
	hold
	drop
	cut
	edit
)

// Delay lets the message wait for d, and what follows it in its direction with it.
func Delay(d time.Duration) Action { return Action{kind: delay, delay: d} }

// HoldUntil lets the message, and what follows it, wait until the channel is closed or the connection breaks.
func HoldUntil(release <-chan struct{}) Action { return Action{kind: hold, until: release} }

// Drop loses the message, and nothing else: a lost reply is a request whose outcome the client never learns.
func Drop() Action { return Action{kind: drop} }

// Cut delivers the first n bytes of the message, header included, and resets the connection: 0 cuts at the border before it, and
// on a reply means that the connection closed instead. A negative n cuts behind the message.
func Cut(n int) Action { return Action{kind: cut, bytes: n} }

// Edit sends what f makes of the message instead of it; f may change its argument.
func Edit(f func(data []byte) []byte) Action { return Action{kind: edit, edit: f} }

// byteRule strikes once, at a byte of a stream.
type byteRule struct {
	Hit
	dir  Direction
	at   int64
	past int // connections up to this number are too old
	flip bool
}

// Hit tells whether a fault at a byte offset has struck.
type Hit struct {
	mu  sync.Mutex
	hit bool
}

// Reached tells whether it has.
func (h *Hit) Reached() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hit
}

// take claims the one strike there is.
func (h *Hit) take() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := !h.hit
	h.hit = true
	return first
}

// CutAfter resets the first connection, of those opened from now on, that has carried n bytes in the direction; exactly n are
// delivered.
func (p *Proxy) CutAfter(dir Direction, n int64) *Hit { return p.at(dir, n, false) }

// FlipByte inverts the byte at the offset in the first connection, of those opened from now on, that gets so far.
func (p *Proxy) FlipByte(dir Direction, offset int64) *Hit { return p.at(dir, offset, true) }

func (p *Proxy) at(dir Direction, offset int64, flip bool) *Hit {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &byteRule{dir: dir, at: offset, past: p.opened, flip: flip}
	p.offsets = append(p.offsets, r)
	return &r.Hit
}

// strike applies byte rules to data that begins at offset from of a stream. It returns what to send and whether to cut then.
func (p *Proxy) strike(l *link, dir Direction, from int64, data []byte) ([]byte, bool) {
	p.mu.Lock()
	rules := p.offsets
	p.mu.Unlock()
	for _, r := range rules {
		i := r.at - from
		if r.dir != dir || l.id <= r.past || i < 0 {
			continue
		}
		switch {
		case r.flip && i < int64(len(data)) && r.take():
			data[i] ^= 0xff
		case !r.flip && i <= int64(len(data)) && r.take():
			return data[:i], true
		}
	}
	return data, false
}
