package proof

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// budget is what one pipeline may have resident.
const budget = 256 << 20

// TestGiantTransaction: one transaction of 500 MB goes through a daemon that
// stays within its budget.
func TestGiantTransaction(t *testing.T) {
	r, ctx := newRig(t, RigOptions{MySQL: map[string]string{"max_binlog_cache_size": "2G", "binlog_cache_size": "1M"}})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	const rows, perInsert = 50_000, 500
	if err := r.giant(ctx, rows, perInsert); err != nil {
		t.Fatal(err)
	}
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	r.checkMemory(t)
	n := 0
	recs, err := r.Kafka.Consume(ctx, consumeCount(r.Topic("giant"), rows))
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		c, err := parseChange(FromEnv(rec))
		if err != nil {
			t.Fatal(err)
		}
		if c.Row == 0 || c.Row > rows {
			t.Fatalf("row %d of %d", c.Row, rows)
		}
		n++
	}
	if n != rows {
		t.Errorf("%d records, want %d", n, rows)
	}
}

// giant writes rows of 10 kB in one transaction.
func (r *Rig) giant(ctx context.Context, rows, perInsert int) error {
	conn, err := r.DB.Conn(ctx, r.Load.Database)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Execute("CREATE TABLE giant (id INT PRIMARY KEY, body VARCHAR(10000))"); err != nil {
		return err
	}
	if _, err := conn.Execute("BEGIN"); err != nil {
		return err
	}
	for at := 0; at < rows; at += perInsert {
		var b strings.Builder
		b.WriteString("INSERT INTO giant VALUES ")
		for i := range perInsert {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(%d,REPEAT('x%07d',1250))", at+i, at+i)
		}
		if _, err := conn.Execute(b.String()); err != nil {
			return err
		}
	}
	_, err = conn.Execute("COMMIT")
	return err
}

func (r *Rig) checkMemory(t *testing.T) { t.Helper(); r.checkMemoryBeside(t, 0) }

// checkMemoryBeside allows some bytes more: those of a single large row.
func (r *Rig) checkMemoryBeside(t *testing.T, extra int64) {
	t.Helper()
	peak, err := r.Daemon.VmHWM()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("VmHWM %d MiB", peak>>20)
	if peak > budget+extra {
		t.Errorf("VmHWM %d MiB, the budget is %d MiB", peak>>20, (budget+extra)>>20)
	}
}

// TestDeadSink: the broker answers no more while the source goes on; memory
// stays within the budget, and all arrives once the broker is back.
func TestDeadSink(t *testing.T) {
	r, ctx := newRig(t, RigOptions{})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	if err := r.Kafka.Freeze(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.bulk(ctx, t, 20_000)
	}
	var last uint64
	still := 0
	if err := r.await(ctx, "reading to stand still, all memory being in use", func(p PipelineStatus) bool {
		if still++; p.ReadSeq != last || p.ReadSeq == p.Seq {
			last, still = p.ReadSeq, 0
		}
		return still > 20
	}); err != nil {
		t.Fatal(err)
	}
	r.checkMemory(t)
	if err := r.Kafka.Thaw(); err != nil {
		t.Fatal(err)
	}
	r.Load.BigRows = 1000
	r.mustRun(ctx, t, 20)
	r.mustSettle(ctx, t, true)
	r.checkMemory(t)
}

// bulk writes rows of 2 kB to a table that the judge does not look at.
func (r *Rig) bulk(ctx context.Context, t *testing.T, rows int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := r.DB.Conn(ctx, r.Load.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Execute("CREATE TABLE IF NOT EXISTS bulk (id INT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(2000), ver INT)"); err != nil {
		t.Fatal(err)
	}
	for range rows / 200 {
		q := "INSERT INTO bulk (body,ver) VALUES " + strings.TrimSuffix(strings.Repeat("(REPEAT('y',2000),1),", 200), ",")
		if _, err := conn.Execute(q); err != nil {
			t.Fatal(err)
		}
	}
}
