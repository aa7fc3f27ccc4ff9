package terminal

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/sinktest"
)

// screen is a terminal that fails or hangs on demand.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	err  error
	hang chan struct{}
}

func (s *screen) set(err error, hang chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.hang = err, hang
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	return s.text.Write(b)
}

func (s *screen) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSuffix(s.text.String(), "\n"), "\n")
}

func TestSink(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Harness {
		s := &screen{}
		return sinktest.Harness{
			Open: func() sink.Sink { return New(s) },
			Read: func() []string {
				if l := s.lines(); l[0] != "" {
					return l
				}
				return nil
			},
			Break: func() func() {
				s.set(errors.New("input/output error"), nil)
				return func() { s.set(nil, nil) }
			},
			Stall: func() func() {
				hang := make(chan struct{})
				s.set(nil, hang)
				return func() { s.set(nil, nil); close(hang) }
			},
			Replays: true,
		}
	})
}

func TestReaderThatLeftIsTheEnd(t *testing.T) {
	for err, class := range map[error]resilience.Class{io.ErrClosedPipe: resilience.Fatal, io.ErrShortWrite: resilience.Transient} {
		if got := resilience.ClassOf(outputError(err)); got != class {
			t.Errorf("%v is %s", err, got)
		}
	}
}

func TestTombstonesAreNotPrinted(t *testing.T) {
	p := new(packer)
	for _, v := range []string{"a", "", "b"} {
		r := format.Record{Value: []byte(v)}
		if v == "" {
			r.Value = nil
		}
		if err := p.Emit(&r); err != nil {
			t.Fatal(err)
		}
	}
	packed, _ := p.Pack()
	if got := string(packed.(lines)); got != "a\nb\n" || packed.Bytes() != 4 {
		t.Errorf("got %q", got)
	}
}

func TestColors(t *testing.T) {
	for _, c := range []struct {
		color, env string
		terminal   bool
		want       bool
	}{
		{"auto", "", true, true}, {"auto", "", false, false}, {"auto", "NO_COLOR=1", true, false},
		{"auto", "NO_COLOR=", true, true}, {"auto", "TERM=dumb", true, false},
		{"always", "NO_COLOR=1", false, true}, {"never", "", true, false},
	} {
		env := func(name string) (string, bool) { return strings.CutPrefix(c.env, name+"=") }
		if got := (Config{Color: c.color}).Colors(c.terminal, env); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if DefaultConfig().Validate() != nil || (Config{Color: "red"}).Validate() == nil {
		t.Error("Validate")
	}
}
