package kafka

import (
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// sendSlowly sends rows from up to to of a transaction in units of per, as a
// source does that is slower than a Kafka transaction may last.
func (r *rig) sendSlowly(seq, from, to, per uint64) {
	r.t.Helper()
	for ; from < to; from = min(from+per, to) {
		b, err := r.packPart(seq, from, min(from+per, to))
		if err != nil {
			r.t.Fatal(err)
		}
		told := make(chan error, 1)
		r.sink.Send(testContext(r.t), b, false, func(_ sink.Ack, err error) { told <- err })
		if err := <-told; err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// transactionInParts: a source transaction that takes longer than a Kafka
// transaction may leaves in parts. Whoever dies between two of them is followed
// by one who goes on behind the last whole part, with units cut otherwise.
func transactionInParts(t *testing.T, b *realBroker) {
	r := newRig(t, b, func(c *Config) { c.OversizeTransaction = policySplit; c.TransactionTimeout = 5 * time.Second })
	const big, rows = 3, 500
	r.rows = func(seq uint64) int {
		if seq == big {
			return rows
		}
		return 4
	}
	r.deliver(big-1, 1)
	if got := r.sink.line.m.splitAfter; got != 2500*time.Millisecond {
		t.Errorf("parts of %s", got)
	}
	r.mustOpen()
	r.sink.line.m.splitAfter = 150 * time.Millisecond
	r.sendSlowly(big, 0, 300, 10)

	r.reopen() // the process was killed
	p := r.cp.Position
	done := p.Partial.Rows
	if p.Seq != big-1 || done == 0 || done > 300 || done%10 != 0 || p.Covers(big, done+1) || !p.Covers(big, done) {
		t.Fatalf("goes on at transaction %d, %d rows done", p.Seq, done)
	}
	recs, err := b.Consume(testContext(t), testenv.ConsumeOptions{Topics: r.topics})
	if want := (big-1)*4 + int(done); err != nil || len(recs) != want {
		t.Errorf("%d records are visible, want %d: %v", len(recs), want, err)
	}
	r.mirror = clone(r.cp)
	r.mirror.Position.Partial.Rows++
	wantBehind := r.open()
	r.mirror.Position.Partial.Rows--
	wantError(t, wantBehind, resilience.Fatal, "checkpoint_behind_mirror")

	r.mustOpen()
	before := r.splits.Load()
	r.sink.line.m.splitAfter = 100 * time.Millisecond
	r.sendSlowly(big, done, rows, 7)
	if n := r.splits.Load(); before < 1 || n-before < 3 {
		t.Errorf("%d and %d parts before the last", before, n-before)
	}
	r.deliver(big+5, 2)
	r.check(big + 5)
	if p := r.cp.Position; p.Seq != big || !p.Partial.IsZero() {
		t.Errorf("behind it the position is %d, %+v", p.Seq, p.Partial)
	}
}
