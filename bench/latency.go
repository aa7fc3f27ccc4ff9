package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/pipeline"
)

// latency measures how long a committed row takes until the Java consumer has
// read it. Single-row transactions are written at a fixed rate, whatever the
// line does: a late one does not hold back the next.
type latency struct {
	name  string // of the result
	child string // of the measurement that runs the pipeline meanwhile
	table string
	// snapshot has the reference table read meanwhile, at so many rows a second.
	snapshot int
}

var latencies = []latency{
	{name: "latency, exactly once", child: "cdcd to Kafka, exactly once"},
	{name: "latency, exactly once, beside a snapshot", child: "cdcd to Kafka, exactly once", snapshot: latencySnapshot},
	{name: "latency, at least once", child: "cdcd to Kafka, at least once"},
}

const (
	latencyRate    = 500 // transactions a second
	latencyWriters = 4
	latencyWarmUp  = 5 * time.Second  // written, not counted
	latencySpan    = 20 * time.Second // counted
	// latencySnapshot lets a table of a million rows be read all the time.
	latencySnapshot = 40_000
	latencyGrace    = 30 * time.Second // for the last one to arrive
)

// latencyResult is one line of output. The log holds a commit at some moment
// between its sending and its return, so the truth lies between the two.
type latencyResult struct {
	Name         string      `json:"name"`
	Transactions int         `json:"transactions"`
	PerSecond    float64     `json:"transactions_per_second"`
	Returned     percentiles `json:"commit_returned_to_read_ms"`
	Sent         percentiles `json:"commit_sent_to_read_ms"`
	Commit       percentiles `json:"commit_itself_ms"`
	CPUSeconds   float64     `json:"cpu_seconds"`
	PeakRSSMiB   float64     `json:"peak_rss_mib"`
}

// percentiles are in milliseconds.
type percentiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func percentilesOf(d []time.Duration) percentiles {
	slices.Sort(d)
	at := func(p float64) float64 { return float64(d[int(p*float64(len(d)-1))].Microseconds()) / 1000 }
	return percentiles{at(0.5), at(0.9), at(0.99), at(1)}
}

// moments of one transaction, as nanoseconds since the measurement began; its
// number is the row's id.
type moments struct {
	sent, returned time.Duration // by its writer
	read           atomic.Int64  // by the reader, 0 for not yet
}

// run starts the pipeline, writes, reads, and sums up.
func (l latency) run(ctx context.Context, s *servers, t target) (latencyResult, error) {
	if err := l.createTable(ctx, s.db); err != nil {
		return latencyResult{}, err
	}
	if err := t.markStart(ctx); err != nil {
		return latencyResult{}, err
	}
	if l.snapshot > 0 {
		t.Snapshot, t.SnapshotRate = pipeline.SnapshotInitial, l.snapshot
	}
	t.EndGTIDs = "" // until we close its input
	cmd, stop, err := startChild(l.child, t)
	if err != nil {
		return latencyResult{}, err
	}
	txs := make([]moments, int((latencyWarmUp+latencySpan).Seconds()*latencyRate))
	err = l.writeAndRead(ctx, s, txs)
	if e := stop(); err == nil {
		err = e
	}
	if err != nil {
		return latencyResult{}, fmt.Errorf("%s: %w", l.name, err)
	}
	return l.sumUp(txs, cmd), nil
}

func (l latency) createTable(ctx context.Context, db *testenv.MySQL) error {
	return db.Exec(ctx, "CREATE DATABASE IF NOT EXISTS sbtest", "DROP TABLE IF EXISTS sbtest."+l.table,
		"CREATE TABLE sbtest."+l.table+" (id INT NOT NULL PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL)")
}

func (l latency) writeAndRead(ctx context.Context, s *servers, txs []moments) error {
	began := time.Now()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var read, wrote error
	var wg sync.WaitGroup
	wg.Go(func() { read = l.read(reading, s.kafka, began, txs) })
	wrote = l.write(ctx, s.db, began, txs)
	late := time.AfterFunc(latencyGrace, stop)
	defer late.Stop()
	if wrote != nil {
		stop()
	}
	wg.Wait()
	return errors.Join(wrote, read)
}

// read notes when each row arrives, until all have.
func (l latency) read(ctx context.Context, k *testenv.Kafka, began time.Time, txs []moments) error {
	missing := len(txs)
	for r, err := range k.Follow(ctx, testenv.ConsumeOptions{Topics: []string{"bench.sbtest." + l.table}}) {
		if err != nil {
			return err
		}
		now := time.Since(began)
		id, err := rowID(r.Key)
		if err != nil {
			return err
		}
		if txs[id].read.CompareAndSwap(0, int64(now)) {
			missing--
		}
		if missing == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d of %d rows did not arrive", missing, len(txs))
}

// rowID reads the key, {"id":7}.
func rowID(key []byte) (int, error) {
	return strconv.Atoi(string(bytes.TrimSuffix(bytes.TrimPrefix(key, []byte(`{"id":`)), []byte("}"))))
}

// write commits one row each 1/latencyRate of a second, in turn on several
// connections.
func (l latency) write(ctx context.Context, db *testenv.MySQL, began time.Time, txs []moments) error {
	load := load{addr: db.Addr(), user: testenv.RootUser, password: testenv.RootPassword}
	errs := make([]error, latencyWriters)
	var wg sync.WaitGroup
	for w := range latencyWriters {
		wg.Go(func() {
			conn, err := load.connect(ctx, "sbtest")
			if err != nil {
				errs[w] = err
				return
			}
			defer conn.Close()
			for i := w; i < len(txs) && errs[w] == nil && ctx.Err() == nil; i += latencyWriters {
				time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / latencyRate)))
				errs[w] = l.commit(conn, began, i, &txs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

func (l latency) commit(conn *client.Conn, began time.Time, id int, m *moments) error {
	q := fmt.Sprintf("INSERT INTO %s VALUES (%d,%d,'%0100d')", l.table, id, id, id)
	m.sent = time.Since(began)
	_, err := conn.Execute(q)
	m.returned = time.Since(began)
	return err
}

func (l latency) sumUp(txs []moments, cmd *exec.Cmd) latencyResult {
	counted := txs[int(latencyWarmUp.Seconds()*latencyRate):]
	var returned, sent, commit []time.Duration
	for i := range counted {
		m := &counted[i]
		read := time.Duration(m.read.Load())
		returned, sent, commit = append(returned, read-m.returned), append(sent, read-m.sent), append(commit, m.returned-m.sent)
	}
	span := counted[len(counted)-1].returned - counted[0].sent
	cpu, rss := usage(cmd.ProcessState)
	return latencyResult{
		Name: l.name, Transactions: len(counted), PerSecond: float64(len(counted)) / span.Seconds(),
		Returned: percentilesOf(returned), Sent: percentilesOf(sent), Commit: percentilesOf(commit),
		CPUSeconds: cpu.Seconds(), PeakRSSMiB: rss,
	}
}
