package proof

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// writing runs the workload until the returned stop is called; stop fails the
// test when the workload did.
func (r *Rig) writing(ctx context.Context, t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.Load.Run(ctx, 0) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// brokerProxy makes a rig whose daemon reaches the broker through a proxy; the
// consumer that judges does not.
func brokerProxy(t *testing.T, o RigOptions) (*Rig, *testenv.Proxy, context.Context) {
	var proxy *testenv.Proxy
	o.Kafka.Advertise = func(_ int, addr string) (string, error) {
		p, err := testenv.NewProxy(addr, testenv.KafkaProtocol)
		if err != nil {
			return "", err
		}
		proxy = p
		t.Cleanup(func() { _ = p.Close() })
		return p.Addr(), nil
	}
	r, ctx := newRig(t, o)
	return r, proxy, ctx
}

// TestBrokerFaults: replies lost after the broker did the work, an EndTxn that
// comes late, connections that break, a broker that is killed: each while
// writers write, and nothing is lost, doubled or torn.
func TestBrokerFaults(t *testing.T) {
	r, proxy, ctx := brokerProxy(t, RigOptions{})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	stop := r.writing(ctx, t)
	lost := testenv.Cut(0) // on a reply: the connection closes instead
	faults := map[string]*testenv.Rule{
		"produce reply lost":       {Dir: testenv.ToClient, APIKey: testenv.APIKey(testenv.Produce), Skip: 5, Count: 3, Do: lost},
		"produce request cut":      {Dir: testenv.ToServer, APIKey: testenv.APIKey(testenv.Produce), Skip: 5, Count: 3, Do: testenv.Cut(40)},
		"EndTxn reply lost":        {Dir: testenv.ToClient, APIKey: testenv.APIKey(testenv.EndTxn), Skip: 5, Count: 2, Do: lost},
		"EndTxn late":              {Dir: testenv.ToServer, APIKey: testenv.APIKey(testenv.EndTxn), Skip: 5, Count: 2, Do: testenv.Delay(3 * time.Second)},
		"EndTxn lost":              {Dir: testenv.ToServer, APIKey: testenv.APIKey(testenv.EndTxn), Skip: 5, Count: 1, Do: lost},
		"AddPartitions reply lost": {Dir: testenv.ToClient, APIKey: testenv.APIKey(testenv.AddPartitionsToTxn), Skip: 5, Count: 2, Do: lost},
	}
	for name, rule := range faults {
		armed := proxy.On(rule)
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		err := armed.Await(wait, rule.Count)
		cancel()
		proxy.Off(armed)
		if err != nil {
			t.Errorf("%s: not reached: %v", name, err)
		}
	}
	proxy.Reset()
	if err := r.Kafka.Kill(); err != nil {
		t.Error(err)
	}
	if err := r.Kafka.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	r.mustSettle(ctx, t, true)
}

// TestSourceFaults: the connection to the source is reset, goes silent, the
// server is killed under load and comes back.
func TestSourceFaults(t *testing.T) {
	r, ctx := newRig(t, RigOptions{MySQL: map[string]string{"sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1"}})
	proxy, err := testenv.NewProxy(r.DB.Addr(), testenv.MySQLProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	if err := r.readThrough(proxy.Addr()); err != nil {
		t.Fatal(err)
	}
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	stop := r.writing(ctx, t)
	for i := range 5 {
		hit := proxy.CutAfter(testenv.ToClient, int64(20_000+7_001*i))
		proxy.Reset()
		if err := Eventually(ctx, "cut to strike", func() (bool, error) { return hit.Reached(), nil }); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Blackhole(testenv.ToClient, true)
	if err := r.AwaitState(ctx, "retrying"); err != nil {
		t.Error(err)
	}
	proxy.Blackhole(testenv.ToClient, false)
	proxy.Reset()
	if err := r.DB.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.DB.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	r.mustRun(ctx, t, 50)
	r.mustSettle(ctx, t, true)
}

// TestZombie: a daemon that is stopped like a paused machine wakes up after a
// second one took over. Its writes are refused and it ends.
func TestZombie(t *testing.T) {
	r, ctx := newRig(t, RigOptions{})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	stop := r.writing(ctx, t)
	zombie := r.Daemon
	if err := zombie.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := r.secondDaemon(t); err != nil {
		t.Fatal(err)
	}
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	if err := zombie.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-zombie.Done():
	case <-ctx.Done():
		t.Fatal("the zombie goes on")
	}
	if log := zombie.Log(); zombie.Err() == nil || !strings.Contains(log, `"class":"fenced"`) {
		t.Errorf("the zombie ended with %v:\n%s", zombie.Err(), log)
	}
	stop()
	r.mustSettle(ctx, t, true)
}

// TestPurged: a position that the source no longer has stops the pipeline by
// name, with the missing set and what to do.
func TestPurged(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := newRig(t, RigOptions{Flavor: flavor})
			r.mustStart(t)
			if err := r.AwaitState(ctx, "running"); err != nil {
				t.Fatal(err)
			}
			r.mustRun(ctx, t, 5)
			if err := r.Daemon.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			r.mustRun(ctx, t, 5)
			r.purge(ctx, t)
			r.mustStart(t)
			r.wantStop(t, "binlog_purged", "hint")
		})
	}
}

// purge leaves the source nothing but a fresh log file. A server keeps a file
// for as long as it may need it itself, so it is asked until it has done it.
func (r *Rig) purge(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r.DB.MustExec(t, "FLUSH BINARY LOGS")
	if err := Eventually(ctx, "log files to be purged", func() (bool, error) {
		files := r.DB.MustQuery(t, "SHOW BINARY LOGS")
		last := *files[len(files)-1][0]
		return len(files) == 1, r.DB.Exec(ctx, "PURGE BINARY LOGS TO '"+last+"'")
	}); err != nil {
		t.Fatal(err)
	}
}
