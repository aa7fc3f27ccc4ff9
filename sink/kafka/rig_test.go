package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// cluster under test: one real broker whose clients come through a proxy.
type realBroker struct {
	*testenv.Kafka
	proxy *testenv.Proxy
}

func startBroker(t testing.TB) *realBroker {
	t.Helper()
	b := &realBroker{}
	b.Kafka = testenv.ForTest(t).Kafka(testenv.KafkaOptions{
		Config: map[string]string{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"},
		Advertise: func(_ int, addr string) (string, error) {
			p, err := testenv.NewProxy(addr, testenv.KafkaProtocol)
			if err != nil {
				return "", err
			}
			b.proxy = p
			t.Cleanup(func() { p.Close() })
			return p.Addr(), nil
		},
	})
	return b
}

// rig plays the pipeline for one sink: it packs numbered transactions, sends
// them, and starts anew from what Connect says after an error.
type rig struct {
	t        testing.TB
	b        *realBroker
	cfg      Config
	topics   []string
	rows     func(seq uint64) int // of a transaction
	sink     *Sink
	term     uint64
	cp       checkpoint.Checkpoint // what Connect said
	next     uint64                // transaction to send
	mirror   checkpoint.Checkpoint
	errs     []error // that ended lines
	settled  []Settlement
	txns     atomic.Int64
	splits   atomic.Int64
	retries  atomic.Int64
	repeated map[string]int // errors of requests that were repeated in place, by code; the line's while it runs
	packer   sink.Packer
	routes   format.Routes
}

var rigs int

func newRig(t testing.TB, b *realBroker, change func(*Config)) *rig {
	t.Helper()
	if b.proxy != nil {
		b.proxy.Heal()
	}
	rigs++
	name := fmt.Sprintf("p%d", rigs)
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Installation, cfg.Pipeline = b.Addrs(), "test", name
	cfg.CreateTopics.Partitions = 3
	cfg.RequestTimeout = 2 * time.Second
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, b: b, repeated: map[string]int{}, cfg: cfg, term: 1, topics: []string{name + ".a", name + ".b"}, rows: func(seq uint64) int { return int(seq % 5) }}
	t.Cleanup(r.close)
	return r
}

func (r *rig) trace(format string, args ...any) {
	if testing.Verbose() {
		r.t.Logf(time.Now().Format("05.000 ")+format, args...)
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// open makes the sink if need be and connects it.
func (r *rig) open() error {
	if r.sink == nil {
		r.sink = New(r.cfg, Options{Observer: Observer{
			Retry: func(x Retry) {
				r.retries.Add(1)
				r.trace("retry %+v", x)
				if x.Err != nil {
					r.repeated[resilience.CodeOf(classify(x.Err, "", ""))]++
				}
			},
			Txn:     func(_, _ time.Duration, _, _ int) { r.txns.Add(1) },
			Settled: func(s Settlement) { r.settled = append(r.settled, s); r.trace("settled %+v", s) },
			Split:   func() { r.splits.Add(1) },
		}})
		r.packer = r.sink.Packer()
	}
	ctx := testContext(r.t)
	cp, err := r.sink.Connect(ctx, r.term, r.mirror)
	if err != nil {
		return err
	}
	if cp.IsZero() {
		cp = checkpoint.Checkpoint{
			Installation: r.cfg.Installation, Pipeline: r.cfg.Pipeline, Generation: 1, Term: r.term, Saved: time.Now(),
			Position: event.Position{Flavor: event.MySQL, Server: "s", File: event.LogFile{Name: "binlog.000007"}, Offset: 4},
		}
		if err := r.sink.Begin(ctx, cp); err != nil {
			return err
		}
	}
	r.cp, r.next = cp, cp.Position.Seq+1
	return nil
}

func (r *rig) mustOpen() {
	r.t.Helper()
	if err := r.open(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) close() {
	if r.sink != nil {
		if err := r.sink.Close(testContext(r.t)); err != nil {
			r.t.Errorf("close: %v", err)
		}
		r.sink = nil
		r.term++ // a restarted process has a newer one
	}
}

// pack renders a transaction: its rows go to both topics in turn, keyed by a
// small set of keys.
func (r *rig) pack(seq uint64) (sink.Batch, error) {
	return r.packPart(seq, 0, uint64(r.rows(seq)))
}

// packPart renders the rows of a transaction with numbers from and up to, not
// including, to. They come alone, so the batch is open unless they are the last.
func (r *rig) packPart(seq, from, to uint64) (sink.Batch, error) {
	tx := eventtest.Tx(seq)
	tx.Rows = uint64(r.rows(seq))
	tx.Tables = []event.TableCount{{Database: "shop", Table: "a", Rows: tx.Rows}}
	last := to == tx.Rows
	r.packer.Start(&event.Piece{Tx: tx, First: from == 0, Last: last})
	for i := from; i < to; i++ {
		rec := format.Record{
			Route: r.routes.Topic(r.topics[i%2]), Key: fmt.Appendf(nil, "key-%d", (seq+i)%17), Millis: time.Now().UnixMilli(),
			Value: fmt.Appendf(nil, "%d/%d", seq, i+1), Ordinal: i + 1,
		}
		if err := r.packer.Emit(&rec); err != nil {
			r.packer.Pack()
			return sink.Batch{}, err
		}
	}
	p, err := r.packer.Pack()
	if err != nil {
		return sink.Batch{}, err
	}
	if !last {
		return sink.Batch{Packed: p, Bytes: p.Bytes(), Open: true, Part: tx.Part(to)}, nil
	}
	return sink.Batch{Packed: p, Ends: []event.Coord{tx.End}, Bytes: p.Bytes()}, nil
}

// send delivers what comes next up to transaction to, on the line there is, and
// returns the first error.
func (r *rig) send(to uint64, burst int) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var first error
	failed := func() error {
		mu.Lock()
		defer mu.Unlock()
		return first
	}
	for seq := r.next; seq <= to && failed() == nil; seq++ {
		b, err := r.pack(seq)
		if err != nil {
			wg.Wait()
			return errors.Join(failed(), err)
		}
		wg.Add(1)
		calls := 0
		r.sink.Send(testContext(r.t), b, int(seq)%burst == 0 || seq == to, func(_ sink.Ack, err error) {
			if calls++; calls > 1 {
				r.t.Errorf("done of transaction %d was called %d times", seq, calls)
			}
			mu.Lock()
			if first == nil {
				first = err
			}
			mu.Unlock()
			wg.Done()
		})
		if int(seq)%burst == 0 {
			wg.Wait()
		}
	}
	wg.Wait()
	if failed() == nil {
		r.next = to + 1
	}
	return failed()
}

// patience is how long deliver waits for a cluster to recover.
const patience = 60 * time.Second

// deliver goes on until transaction to is delivered, whatever happens on the
// way, and fails the test on an error that waiting does not heal.
func (r *rig) deliver(to uint64, burst int) {
	r.t.Helper()
	r.goOn(r.open(), to, burst)
}

// goOn is deliver on a line that is there, or ended with err.
func (r *rig) goOn(err error, to uint64, burst int) {
	r.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if err == nil {
			err = r.send(to, burst)
		}
		if err == nil {
			return
		}
		r.errs = append(r.errs, err)
		r.trace("line ended: %v", err)
		if resilience.ClassOf(err) != resilience.Transient {
			r.t.Fatalf("%s %s: %v", resilience.ClassOf(err), resilience.CodeOf(err), err)
		}
		time.Sleep(200 * time.Millisecond)
		err = r.open()
	}
	r.t.Fatalf("no end of errors within %s: %v", patience, r.errs[len(r.errs)-1])
}

func (r *rig) sawError(code string) bool {
	for _, err := range r.errs {
		if resilience.CodeOf(err) == code {
			return true
		}
	}
	return false
}

// check reads all with the Java consumer and compares: each row of transactions
// 1 to last exactly once, each key in the partition where Java would put it and
// in order, and whole transactions.
func (r *rig) check(last uint64) {
	r.t.Helper()
	r.checkAtLeast(last, true)
}

func (r *rig) checkAtLeast(last uint64, once bool) {
	r.t.Helper()
	recs, err := r.b.Consume(testContext(r.t), testenv.ConsumeOptions{Topics: r.topics})
	if err != nil {
		r.t.Fatal(err)
	}
	r.judge(recs, last, once)
}

// judge compares the records of the rig's topics among recs.
func (r *rig) judge(recs []testenv.Record, last uint64, once bool) {
	r.t.Helper()
	recs = slices.DeleteFunc(slices.Clone(recs), func(rec testenv.Record) bool { return !slices.Contains(r.topics, rec.Topic) })
	seen := map[string]int{}
	newest := map[string][2]uint64{} // seq and row by topic and partition
	for _, rec := range recs {
		seen[string(rec.Value)]++
		if want := partitionOf(rec.Key, int32(r.cfg.CreateTopics.Partitions)); rec.Partition != int(want) {
			r.t.Errorf("key %s is in partition %d, want %d", rec.Key, rec.Partition, want)
		}
		h, _ := rec.Header("cdcd.seq")
		seq, err := strconv.ParseUint(string(h), 10, 64)
		if err != nil {
			r.t.Fatalf("header seq: %v", err)
		}
		place := fmt.Sprint(rec.Topic, rec.Partition)
		h, _ = rec.Header("cdcd.row")
		row, err := strconv.ParseUint(string(h), 10, 64)
		if err != nil {
			r.t.Fatalf("header row: %v", err)
		}
		at := [2]uint64{seq, row}
		if last := newest[place]; once && slices.Compare(at[:], last[:]) <= 0 {
			r.t.Errorf("%s: row %d of transaction %d comes after %d of %d", place, row, seq, last[1], last[0])
		}
		newest[place] = at
	}
	total := 0
	for seq := uint64(1); seq <= last; seq++ {
		for i := range r.rows(seq) {
			n := seen[fmt.Sprintf("%d/%d", seq, i+1)]
			if n == 0 || once && n != 1 {
				r.t.Errorf("row %d of transaction %d was delivered %d times", i+1, seq, n)
			}
			total++
		}
	}
	if once && len(recs) != total {
		r.t.Errorf("%d records, want %d", len(recs), total)
	}
}

// reopen gives up the sink without a word, as a killed process does, and makes
// a new one under the next term.
func (r *rig) reopen() {
	r.t.Helper()
	old := r.sink
	r.sink = nil
	r.term++
	r.mustOpen()
	r.t.Cleanup(func() { old.Close(testContext(r.t)) })
}

func wantError(t *testing.T, err error, class resilience.Class, code string) {
	t.Helper()
	if resilience.ClassOf(err) != class || resilience.CodeOf(err) != code {
		t.Errorf("want %s %s, got %s %s: %v", class, code, resilience.ClassOf(err), resilience.CodeOf(err), err)
	}
	var e *resilience.Error
	if errors.As(err, &e) && e.Class == resilience.Fatal && e.Hint == "" {
		t.Errorf("no hint: %v", err)
	}
}
