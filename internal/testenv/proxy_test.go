package testenv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// echo is a server that sends back what it gets, and the way to it through a proxy.
func echo(t *testing.T, protocol Protocol) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	p, err := NewProxy(l.Addr().String(), protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		l.Close()
		wg.Wait()
	})
	return p
}

func connect(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func say(t *testing.T, c net.Conn, data []byte) {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, n int) []byte {
	t.Helper()
	data := make([]byte, n)
	if got, err := io.ReadFull(c, data); err != nil {
		t.Fatalf("heard %d of %d bytes: %v", got, n, err)
	}
	return data
}

// silent fails if anything comes within d.
func silent(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(d))
	defer c.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wanted silence, got %d bytes, %v", n, err)
	}
}

func TestProxyForwardsFaithfully(t *testing.T) {
	p := echo(t, Raw)
	c := connect(t, p)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go c.Write(big)
	if !bytes.Equal(hear(t, c, len(big)), big) {
		t.Fatal("bytes were changed")
	}
	c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Fatalf("the end of a connection came as %d bytes, %v", len(rest), err)
	}
}

func TestProxyLatency(t *testing.T) {
	p := echo(t, Raw)
	p.Latency(ToClient, 100*time.Millisecond, 10*time.Millisecond)
	c := connect(t, p)
	start := time.Now()
	say(t, c, []byte("x"))
	hear(t, c, 1)
	if d := time.Since(start); d < 90*time.Millisecond || d > 5*time.Second {
		t.Fatalf("took %v", d)
	}
	p.Latency(ToClient, time.Hour, 0)
	say(t, c, []byte("y"))
	silent(t, c, 50*time.Millisecond)
	p.Heal()
	hear(t, c, 1)
}

func TestProxyBandwidth(t *testing.T) {
	p := echo(t, Raw)
	p.Bandwidth(ToServer, 100_000)
	c := connect(t, p)
	start := time.Now()
	say(t, c, make([]byte, 20_000))
	hear(t, c, 20_000)
	if d := time.Since(start); d < 180*time.Millisecond {
		t.Fatalf("20 kB at 100 kB/s took %v", d)
	}
}

func TestProxyBlackhole(t *testing.T) {
	p := echo(t, Raw)
	c := connect(t, p)
	p.Blackhole(ToServer, true)
	say(t, c, []byte("x"))
	silent(t, c, 50*time.Millisecond)
	p.Blackhole(ToServer, false)
	hear(t, c, 1)
}

func TestProxyResetAndRefuse(t *testing.T) {
	p := echo(t, Raw)
	c := connect(t, p)
	say(t, c, []byte("x"))
	hear(t, c, 1)
	p.Reset()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("a reset connection reads %v", err)
	}
	p.Refuse(true)
	if refused, err := net.Dial("tcp", p.Addr()); err == nil { // the reset may come before Dial returns, or after
		if _, err := refused.Read(make([]byte, 1)); err == nil {
			t.Fatal("a refused connection works")
		}
		refused.Close()
	}
	p.Refuse(false)
	c = connect(t, p)
	say(t, c, []byte("x"))
	hear(t, c, 1)
	if p.Opened() != 2 {
		t.Fatalf("%d connections were forwarded, not 2", p.Opened())
	}
}

func TestProxyStrikesAtBytes(t *testing.T) {
	p := echo(t, Raw)
	flip := p.FlipByte(ToClient, 2)
	cutHit := p.CutAfter(ToClient, 5)
	c := connect(t, p)
	say(t, c, []byte("abcdefgh"))
	got, err := io.ReadAll(c)
	if string(got) != "ab\x9cde" || err == nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if !flip.Reached() || !cutHit.Reached() {
		t.Fatal("the faults do not know that they struck")
	}
}

func mysqlPacket(seq byte, payload string) []byte {
	return append([]byte{byte(len(payload)), 0, 0, seq}, payload...)
}

func TestProxyCutsInsideAMySQLPacket(t *testing.T) {
	p := echo(t, MySQLProtocol)
	r := p.On(&Rule{Dir: ToClient, Match: func(m Message) bool { return m.N == 3 }, Do: Cut(6)})
	c := connect(t, p)
	for i := range byte(4) {
		say(t, c, mysqlPacket(i, "hello"))
	}
	got, _ := io.ReadAll(c)
	if len(got) != 2*9+6 || r.Reached() != 1 {
		t.Fatalf("%d bytes got through, the rule acted %d times", len(got), r.Reached())
	}
}

func TestProxyCutsAResultOfARealServer(t *testing.T) {
	m := SharedMySQL(t, MariaDB118)
	p, err := NewProxy(m.Addr(), MySQLProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := client.Connect(p.Addr(), RootUser, RootPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Execute("SELECT 'whole'"); err != nil {
		t.Fatal(err)
	}
	row := func(msg Message) bool { return bytes.Contains(msg.Payload(), []byte("torn")) }
	torn := p.On(&Rule{Dir: ToClient, Match: row, Skip: 1, Do: Cut(7)}) // the first match is the column's name
	if _, err := c.Execute("SELECT 'torn'"); err == nil || torn.Reached() != 1 {
		t.Fatalf("a cut result came as %v; the rule acted %d times", err, torn.Reached())
	}
}

func TestProxyLetsTLSPass(t *testing.T) {
	p := echo(t, MySQLProtocol)
	c := connect(t, p)
	ask := make([]byte, 36)
	ask[0], ask[3], ask[5] = 32, 1, 0x08
	say(t, c, ask)
	hear(t, c, 36)
	say(t, c, []byte{22, 3, 1, 255}) // would be the head of a long packet
	hear(t, c, 4)
}

func kafkaRequest(key int16, correlation int32) []byte {
	b := binary.BigEndian.AppendUint32(nil, 8)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, 3)
	return binary.BigEndian.AppendUint32(b, uint32(correlation))
}

// kafkaServer answers each request with its correlation id and a mark.
func kafkaServer(t *testing.T) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				for request := make([]byte, 12); ; {
					if _, err := io.ReadFull(c, request); err != nil {
						return
					}
					c.Write(append([]byte{0, 0, 0, 5}, append(bytes.Clone(request[8:12]), '!')...))
				}
			})
		}
	})
	p, err := NewProxy(l.Addr().String(), KafkaProtocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		l.Close()
		wg.Wait()
	})
	return p
}

func TestProxyLosesAChosenReply(t *testing.T) {
	p := kafkaServer(t)
	r := p.On(&Rule{Dir: ToClient, APIKey: APIKey(EndTxn), Skip: 1, Count: 1, Do: Drop()})
	c := connect(t, p)
	for i, key := range []int16{EndTxn, Produce, EndTxn, EndTxn} {
		say(t, c, kafkaRequest(key, int32(i)))
	}
	var got []uint32
	for range 3 {
		got = append(got, binary.BigEndian.Uint32(hear(t, c, 9)[4:]))
	}
	if got[0] != 0 || got[1] != 1 || got[2] != 3 || r.Reached() != 1 {
		t.Fatalf("replies to %v came, the rule acted %d times", got, r.Reached())
	}
}

func TestProxyHoldsARequest(t *testing.T) {
	p := kafkaServer(t)
	release := make(chan struct{})
	r := p.On(&Rule{Dir: ToServer, APIKey: APIKey(EndTxn), Do: HoldUntil(release)})
	c := connect(t, p)
	say(t, c, kafkaRequest(EndTxn, 1))
	if err := r.Await(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	silent(t, c, 50*time.Millisecond)
	close(release)
	hear(t, c, 9)
}

func TestProxyClosesInsteadOfAReply(t *testing.T) {
	p := kafkaServer(t)
	p.On(&Rule{Dir: ToClient, APIKey: APIKey(Produce), Count: 1, Do: Cut(0)})
	c := connect(t, p)
	say(t, c, kafkaRequest(Produce, 1))
	if got, err := io.ReadAll(c); len(got) != 0 || err == nil {
		t.Fatalf("instead of a reset came %d bytes, %v", len(got), err)
	}
	c = connect(t, p)
	say(t, c, kafkaRequest(Produce, 2))
	hear(t, c, 9)
}

func TestProxyEditsAndDelays(t *testing.T) {
	p := kafkaServer(t)
	p.On(&Rule{Dir: ToClient, APIKey: APIKey(Produce), Do: Edit(func(b []byte) []byte { b[8] = '?'; return b })})
	p.On(&Rule{Dir: ToServer, APIKey: APIKey(Fetch), Do: Delay(80 * time.Millisecond)})
	c := connect(t, p)
	say(t, c, kafkaRequest(Produce, 1))
	if b := hear(t, c, 9); b[8] != '?' {
		t.Fatalf("got %q", b)
	}
	start := time.Now()
	say(t, c, kafkaRequest(Fetch, 2))
	hear(t, c, 9)
	if d := time.Since(start); d < 80*time.Millisecond {
		t.Fatalf("took %v", d)
	}
}

func TestClosingAProxyReleasesWhatItHolds(t *testing.T) {
	p := kafkaServer(t)
	p.On(&Rule{Dir: ToServer, Do: HoldUntil(make(chan struct{}))})
	p.Blackhole(ToClient, true)
	c := connect(t, p)
	say(t, c, kafkaRequest(Fetch, 1))
	done := make(chan struct{})
	go func() { p.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Close hangs")
	}
}
