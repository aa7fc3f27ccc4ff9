package file

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/sinktest"
)

// faults is a disk that fails or hangs on demand.
type faults struct {
	mu   sync.Mutex
	err  error
	hang chan struct{}
}

func (d *faults) set(err error, hang chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.hang = err, hang
}

// write tears the line that it fails at.
func (d *faults) write(f *os.File, b []byte) (int, error) {
	d.mu.Lock()
	err, hang := d.err, d.hang
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err != nil {
		n, _ := f.Write(b[:len(b)/2])
		return n, err
	}
	return f.Write(b)
}

func harness(t *testing.T, cfg Config) sinktest.Harness {
	d := &faults{}
	return sinktest.Harness{
		Open: func() sink.Sink {
			s := New(cfg)
			s.write = d.write
			return s
		},
		Read: func() []string { return values(t, cfg.Path) },
		Break: func() func() {
			d.set(syscall.ENOSPC, nil)
			return func() { d.set(nil, nil) }
		},
		Stall: func() func() {
			hang := make(chan struct{})
			d.set(nil, hang)
			return func() { d.set(nil, nil); close(hang) }
		},
	}
}

func TestSink(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"each_batch": func(*Config) {},
		"interval":   func(c *Config) { c.Fsync, c.FsyncInterval = Interval, 5*time.Millisecond },
		"never":      func(c *Config) { c.Fsync = Never },
		"rotating":   func(c *Config) { c.MaxBytes = 400 },
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Harness {
				cfg := config(t)
				change(&cfg)
				if err := cfg.Validate(); err != nil {
					t.Fatal(err)
				}
				return harness(t, cfg)
			})
		})
	}
}

func config(t *testing.T) Config {
	cfg := DefaultConfig()
	cfg.Path = filepath.Join(t.TempDir(), "made", "out.jsonl")
	return cfg
}

// record is a line as a reader parses it.
type record struct {
	Topic     string          `json:"topic"`
	Key       json.RawMessage `json:"key"`
	Value     json.RawMessage `json:"value"`
	Timestamp int64           `json:"timestamp"`
	Seq       uint64          `json:"seq"`
	Tx        string          `json:"tx"`
	Row       uint64          `json:"row"`
}

// records reads all files in order; every line must be whole.
func records(t *testing.T, path string) []record {
	t.Helper()
	list, err := numbers(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []record
	for _, n := range list {
		all = append(all, recordsOf(t, full(path, n))...)
	}
	return append(all, recordsOf(t, path)...)
}

func recordsOf(t *testing.T, name string) []record {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		t.Errorf("%s ends in a torn line", name)
	}
	var all []record
	for sc := bufio.NewScanner(strings.NewReader(string(b))); sc.Scan(); {
		var r record
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatalf("%s: %q: %v", name, sc.Text(), err)
		}
		all = append(all, r)
	}
	return all
}

func values(t *testing.T, path string) []string {
	var all []string
	for _, r := range records(t, path) {
		all = append(all, string(r.Value))
	}
	return all
}

// writeTxs delivers transactions from to last, one row of about 100 bytes each,
// and returns the checkpoint behind each.
func writeTxs(t *testing.T, s *Sink, from checkpoint.Checkpoint, last uint64) []checkpoint.Checkpoint {
	t.Helper()
	p, routes, cps := s.Packer(), new(format.Routes), []checkpoint.Checkpoint{from}
	for seq := from.Position.Seq + 1; seq <= last; seq++ {
		tx := eventtest.Tx(seq)
		piece := eventtest.Piece(tx, eventtest.Insert(eventtest.Orders(), eventtest.Int(1), eventtest.Null()))
		p.Start(piece)
		r := format.Record{Route: routes.Topic("t"), Value: fmt.Appendf(nil, `{"n":%d}`, seq), Ordinal: 1}
		if err := p.Emit(&r); err != nil {
			t.Fatal(err)
		}
		packed, err := p.Pack()
		if err != nil {
			t.Fatal(err)
		}
		acked := make(chan sink.Ack, 1)
		s.Send(t.Context(), sink.Batch{Packed: packed}, true, func(a sink.Ack, err error) {
			if err != nil {
				t.Error(err)
			}
			acked <- a
		})
		cp := from
		cp.Position.Seq, cp.Sink = seq, (<-acked).State
		cps = append(cps, cp)
	}
	return cps
}

var begun = checkpoint.Checkpoint{Installation: "i", Pipeline: "p", Generation: 1}

func connected(t *testing.T, cfg Config, term uint64, cp checkpoint.Checkpoint) *Sink {
	t.Helper()
	s := New(cfg)
	t.Cleanup(func() { s.Close(t.Context()) })
	got, err := s.Connect(t.Context(), term, cp)
	if err != nil {
		t.Fatal(err)
	}
	if got.IsZero() {
		if err := s.Begin(t.Context(), begun); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestCutBackToAnyCheckpoint restarts from each of many checkpoints, over file
// borders, and with files removed since.
func TestCutBackToAnyCheckpoint(t *testing.T) {
	for _, keep := range []int{0, 1} {
		for back := uint64(0); back <= 12; back++ {
			cfg := config(t)
			cfg.MaxBytes, cfg.Keep, cfg.Fsync = 300, keep, Never
			s := connected(t, cfg, 1, checkpoint.Checkpoint{})
			cps := writeTxs(t, s, begun, 12)
			if list, _ := numbers(cfg.Path); keep == 0 && len(list) < 3 || keep == 1 && len(list) != 1 {
				t.Fatalf("keep %d: full files %v", keep, list)
			}
			closed(t, s)
			s = connected(t, cfg, 2, cps[back])
			if got := records(t, cfg.Path); keep == 0 && len(got) != int(back) {
				t.Fatalf("cut back to %d: %d lines", back, len(got))
			}
			writeTxs(t, s, cps[back], 15)
			wantSuffix(t, records(t, cfg.Path), 15, keep == 0)
			closed(t, s)
		}
	}
}

// wantSuffix wants transactions without gap or double up to last, from the
// first one where nothing was removed.
func wantSuffix(t *testing.T, got []record, last uint64, all bool) {
	t.Helper()
	if len(got) == 0 || got[len(got)-1].Seq != last || all && got[0].Seq != 1 {
		t.Fatalf("read %+v", got)
	}
	for i := range got {
		if got[i].Seq != got[0].Seq+uint64(i) {
			t.Fatalf("line %d is transaction %d, the first is %d", i, got[i].Seq, got[0].Seq)
		}
	}
}

func closed(t *testing.T, s *Sink) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestConnectRefuses(t *testing.T) {
	foreign := begun
	foreign.Pipeline = "q"
	for _, c := range []struct {
		name  string
		term  uint64
		cp    func(last checkpoint.Checkpoint) checkpoint.Checkpoint
		spoil func(path string) error
		code  string
		class resilience.Class
	}{
		{"another pipeline", 9, func(checkpoint.Checkpoint) checkpoint.Checkpoint { return foreign }, nil, "output_foreign", resilience.Fatal},
		{"lost checkpoint", 9, func(checkpoint.Checkpoint) checkpoint.Checkpoint { return checkpoint.Checkpoint{} }, nil, "output_without_checkpoint", resilience.Fatal},
		{"older term", 1, nil, nil, "output_fenced", resilience.Fenced},
		{"shortened", 9, nil, func(p string) error { return os.Truncate(p, 10) }, "output_short", resilience.Fatal},
		{"removed", 9, nil, os.Remove, "output_short", resilience.Fatal},
		{"another kind's state", 9, func(last checkpoint.Checkpoint) checkpoint.Checkpoint { last.Sink = []byte("x"); return last }, nil, "output_state", resilience.Fatal},
		{"a directory", 9, nil, func(p string) error { return errors.Join(os.Remove(p), os.MkdirAll(p+"/x", 0o700)) }, "output_forbidden", resilience.Fatal},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(t)
			s := connected(t, cfg, 5, checkpoint.Checkpoint{})
			cps := writeTxs(t, s, begun, 3)
			cp := cps[len(cps)-1]
			closed(t, s)
			if c.cp != nil {
				cp = c.cp(cp)
			}
			if c.spoil != nil {
				if err := c.spoil(cfg.Path); err != nil {
					t.Fatal(err)
				}
			}
			next := New(cfg)
			defer next.Close(t.Context())
			_, err := next.Connect(t.Context(), c.term, cp)
			if resilience.CodeOf(err) != c.code || resilience.ClassOf(err) != c.class {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func TestTwoSinksCannotShareAnOutput(t *testing.T) {
	cfg := config(t)
	connected(t, cfg, 1, checkpoint.Checkpoint{})
	_, err := New(cfg).Connect(t.Context(), 2, begun)
	if resilience.CodeOf(err) != "output_locked" || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("got %v", err)
	}
}

func TestLinesAreWhatTheyPromise(t *testing.T) {
	routes := new(format.Routes)
	row := eventtest.Insert(eventtest.Orders(), eventtest.Int(1), eventtest.Null())
	piece := eventtest.Piece(eventtest.Tx(7), row, row, row)
	for _, c := range []struct {
		name string
		text bool
		r    format.Record
		want string
	}{
		{"json", false, format.Record{Key: []byte(`{"id":1}`), Value: []byte(`{"a":"b"}`), Millis: 5, Ordinal: 2, Part: 1, Parts: 1},
			`{"topic":"t","key":{"id":1},"value":{"a":"b"},"timestamp":5,"seq":7,"tx":"3e11fa47-71ca-11e1-9e33-c80aa9429562:7","row":2}`},
		{"last row", false, format.Record{Key: []byte(`1`), Value: []byte(`2`), Ordinal: 3, Part: 2, Parts: 2},
			`{"topic":"t","key":1,"value":2,"timestamp":0,"seq":7,"tx":"3e11fa47-71ca-11e1-9e33-c80aa9429562:7","row":3,"part":2,"parts":2,"rows":3}`},
		{"tombstone with headers", false, format.Record{Key: []byte(`1`), Ordinal: 2, Part: 3, Parts: 3, Headers: []format.Header{{Key: "a", Value: []byte("x\"")}, {Key: "b", Value: []byte{0xff}}}},
			`{"topic":"t","key":1,"value":null,"timestamp":0,"seq":7,"tx":"3e11fa47-71ca-11e1-9e33-c80aa9429562:7","row":2,"part":3,"parts":3,"headers":{"a":"x\"","b":{"base64":"/w=="}}}`},
		{"pretty json", false, format.Record{Value: []byte("{\n \"a\": 1\n}")},
			`{"topic":"t","key":null,"value":{"a":1},"timestamp":0,"seq":7,"tx":"3e11fa47-71ca-11e1-9e33-c80aa9429562:7"}`},
		{"text", true, format.Record{Key: []byte("k"), Value: []byte("two\nlines\tand \x01 \\")},
			`{"topic":"t","key":"k","value":"two\nlines\u0009and \u0001 \\","timestamp":0,"seq":7,"tx":"3e11fa47-71ca-11e1-9e33-c80aa9429562:7"}`},
	} {
		p := &packer{pool: new(buffers), text: c.text}
		p.Start(piece)
		c.r.Route = routes.Topic("t")
		if err := p.Emit(&c.r); err != nil {
			t.Fatal(err)
		}
		packed, err := p.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := string(packed.(*lines).b); got != c.want+"\n" {
			t.Errorf("%s:\n got %s want %s", c.name, got, c.want)
		}
		if !json.Valid(packed.(*lines).b) {
			t.Errorf("%s: not JSON", c.name)
		}
	}
}

// TestHeartbeatsAreOfNoTransaction: whatever was packed before.
func TestHeartbeatsAreOfNoTransaction(t *testing.T) {
	p, beat := &packer{pool: new(buffers)}, format.Record{Route: &format.Route{Topic: "h"}, Key: []byte("1"), Value: []byte("2"), Millis: 3}
	for _, piece := range []*event.Piece{nil, eventtest.Piece(eventtest.Tx(7)), nil} {
		p.Start(piece)
		if piece != nil {
			continue
		}
		if err := p.Emit(&beat); err != nil {
			t.Fatal(err)
		}
	}
	packed, err := p.Pack()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"topic":"h","key":1,"value":2,"timestamp":3}` + "\n"
	if got := string(packed.(*lines).b); got != want+want {
		t.Errorf("got %s", got)
	}
}

func TestPackingAllocatesNothingPerRecord(t *testing.T) {
	p := &packer{pool: new(buffers)}
	piece := eventtest.Piece(eventtest.Tx(1))
	r := format.Record{Route: &format.Route{Topic: "t"}, Key: []byte(`{"id":1}`), Value: []byte(`{"a":1}`), Ordinal: 1,
		Headers: []format.Header{{Key: "h", Value: []byte("v")}}}
	p.cur = &lines{b: make([]byte, 0, 1<<20)}
	n := testing.AllocsPerRun(1000, func() {
		p.Start(piece)
		_ = p.Emit(&r)
	})
	if n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

func TestConfigTellsAllProblems(t *testing.T) {
	err := Config{MaxBytes: -1, Keep: -1, Fsync: "often"}.Validate()
	for _, want := range []string{"path:", "max_bytes:", "keep:", "fsync:", "fsync_interval:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
}
