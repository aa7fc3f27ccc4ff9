package redis

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/sinktest"
)

func TestConformance(t *testing.T) {
	for _, f := range testenv.RedisFlavors {
		t.Run(f.String(), func(t *testing.T) {
			server := testenv.ForTest(t).Redis(testenv.RedisOptions{Flavor: f})
			proxy, err := testenv.NewProxy(server.Addr(), testenv.Raw)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = proxy.Close() })
			sinktest.Run(t, func(t *testing.T) sinktest.Harness { return harness(t, server, proxy) })
		})
	}
}

func harness(t *testing.T, server *testenv.Redis, proxy *testenv.Proxy) sinktest.Harness {
	if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Addrs = []string{proxy.Addr()}
	cfg.Keys = []cachekey.Rule{{Table: "shop.orders", Key: "order:{id}"}}
	cfg.Installation, cfg.Pipeline = sinktest.Installation, sinktest.Pipeline
	cfg.RequestTimeout, cfg.DialTimeout = time.Second, time.Second
	w := watch(t, server)
	return sinktest.Harness{
		Replays: true, Keys: true,
		Open: func() sink.Sink { return New(cfg, Observer{}) },
		Read: func() []string { return w.unlinked(t, server) },
		Break: func() func() {
			proxy.Refuse(true)
			proxy.Reset()
			return func() { proxy.Refuse(false) }
		},
		Stall: func() func() {
			proxy.Blackhole(testenv.ToServer, true)
			return func() { proxy.Blackhole(testenv.ToServer, false) }
		},
	}
}

// watcher sees every command in the order in which the server runs it.
type watcher struct {
	lines *bufio.Reader
	keys  []string // of all UNLINK so far
	asked int
}

func watch(t *testing.T, server *testenv.Redis) *watcher {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	w := &watcher{lines: bufio.NewReader(conn)}
	if line, err := w.lines.ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", line, err)
	}
	return w
}

// unlinked reads up to a command of its own.
func (w *watcher) unlinked(t *testing.T, server *testenv.Redis) []string {
	t.Helper()
	w.asked++
	end := fmt.Sprint("read up to here ", w.asked)
	if err := server.Client().Echo(context.Background(), end).Err(); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		words := wordsOf(line)
		switch {
		case len(words) == 2 && strings.EqualFold(words[0], "echo") && words[1] == end:
			return w.keys
		case len(words) > 0 && words[0] == "unlink":
			w.keys = append(w.keys, words[1:]...)
		}
	}
}

// wordsOf cuts a line of MONITOR: time [db address] "word" "word" ... No word of
// this suite holds what stands between words. Valkey 8.1 leaves quotation marks
// inside words as they are.
func wordsOf(line string) []string {
	_, rest, _ := strings.Cut(strings.TrimSpace(line), "] ")
	words := strings.Split(strings.Trim(rest, `"`), `" "`)
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, `\"`, `"`)
	}
	return words
}
