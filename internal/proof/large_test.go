package proof

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSoakLargeSnapshot reads a large table beside a thousand small transactions
// a second on its rows: 131,072 rows, or 8,388,608 where CDCD_SOAK is set. The
// memory stays within the budget, and cdcd verify finds topic and table equal.
func TestSoakLargeSnapshot(t *testing.T) {
	times := 17
	if os.Getenv("CDCD_SOAK") != "" {
		times = 23
	}
	r, ctx := newRig(t, RigOptions{Pipeline: ", snapshot: {mode: initial}"})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Minute)
	defer cancel()
	if err := r.doubled(ctx, "large", "'x'", times); err != nil {
		t.Fatal(err)
	}
	writes := r.startPaced(ctx, t, "large", 1<<times)
	r.mustStart(t)
	began := time.Now()
	r.mustFinishLarge(ctx, t)
	took := time.Since(began)
	n := writes.stop()
	t.Logf("%d rows read in %s beside %.0f transactions a second", 1<<times, took.Round(time.Millisecond), float64(n)/time.Since(writes.began).Seconds())
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	r.checkMemory(t)
	exit, v := r.verify(ctx, t, "shop-events", "shop.large", "--rate", "0")
	wantVerified(t, exit, v, 0)
	if len(v.Tables) != 1 || v.Tables[0].Rows == 0 {
		t.Errorf("verified %+v", v.Tables)
	}
}

// mustFinishLarge waits for a snapshot that may take longer than other waits, as
// long as it goes on.
func (r *Rig) mustFinishLarge(ctx context.Context, t *testing.T) {
	t.Helper()
	var rows uint64
	for done := false; !done; {
		err := r.await(ctx, "more rows, or the end of the snapshot", func(p PipelineStatus) bool {
			was := rows
			rows = 0
			for _, s := range p.Snapshot {
				rows += s.Rows
			}
			done = finished(p)
			return done || rows > was
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// paced are writers that keep a schedule.
type paced struct {
	t      *testing.T
	began  time.Time
	cancel context.CancelFunc
	wg     sync.WaitGroup
	n      atomic.Int64
}

// A thousand transactions a second.
const (
	pacedWriters = 4
	pacedEvery   = 4 * time.Millisecond
)

// startPaced changes, deletes and inserts rows of a table that doubled made,
// until it is stopped.
func (r *Rig) startPaced(ctx context.Context, t *testing.T, table string, rows int) *paced {
	ctx, cancel := context.WithCancel(ctx)
	p := &paced{t: t, began: time.Now(), cancel: cancel}
	for w := range pacedWriters {
		p.wg.Go(func() {
			if err := r.keepPace(ctx, p, table, rand.New(rand.NewPCG(1, uint64(w))), w, rows); err != nil {
				t.Error(err)
			}
		})
	}
	return p
}

// stop returns how many transactions there were.
func (p *paced) stop() int64 {
	p.cancel()
	p.wg.Wait()
	return p.n.Load()
}

// keepPace writes one transaction each time its schedule says, each to rows that
// are the writer's own.
func (r *Rig) keepPace(ctx context.Context, p *paced, table string, rnd *rand.Rand, w, rows int) error {
	conn, err := r.DB.Conn(ctx, "shop")
	if err != nil {
		return err
	}
	defer conn.Close()
	for at := time.Now(); ctx.Err() == nil; at = at.Add(pacedEvery) {
		pauseUntil(ctx, at)
		id := rnd.IntN(rows/pacedWriters)*pacedWriters + w
		sql := fmt.Sprintf("UPDATE %s SET ver = ver + 1 WHERE id = %d", table, id)
		switch rnd.IntN(10) {
		case 0:
			sql = fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, id)
		case 1:
			sql = fmt.Sprintf("REPLACE INTO %s VALUES (%d, 'again', 1)", table, id)
		}
		if err := execute(conn, sql); err != nil {
			return err
		}
		p.n.Add(1)
	}
	return nil
}

// pauseUntil waits for a time, within ctx.
func pauseUntil(ctx context.Context, at time.Time) {
	wait := time.NewTimer(time.Until(at))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}
