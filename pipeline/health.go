package pipeline

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

const (
	// healthEvery is how long nothing is asked after an answer, healthTimeout how
	// long one answer may take, connecting included.
	healthEvery   = 250 * time.Millisecond
	healthTimeout = 2 * time.Second
	// healthIdle is when connections are closed because no reader looks.
	healthIdle = 10 * time.Second
)

// health is how the source is, for all readers of a line: one goroutine asks,
// readers look, and only while they do it is asked.
type health struct {
	query string
	wake  chan struct{} // a reader has looked

	mu       sync.Mutex
	gauges   []gauge // that somebody asks
	running  gauge   // what readers tell that have just asked, on their own connections
	throttle throttle
	last     verdict
	waits    bool      // readers do, by the last verdict that was more than "soon"
	looked   time.Time // when a reader last did
}

func newHealth(cfg *SnapshotConfig) *health {
	h := &health{query: cfg.HealthQuery, wake: make(chan struct{}, 1), last: verdict{ratio: 1}}
	h.running = gauge{kind: runningAt, max: float64(cfg.MaxRunning)}
	for _, addr := range cfg.Replicas {
		h.gauges = append(h.gauges, gauge{kind: lagOf, replica: addr, max: cfg.MaxReplicaLag.Seconds()})
	}
	if cfg.HealthQuery != "" {
		h.gauges = append(h.gauges, gauge{kind: queryOf, max: cfg.HealthMax})
	}
	return h
}

// look is the verdict now; turned says that readers begin or cease to wait by it.
func (h *health) look(now time.Time) (v verdict, turned bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.looked) > staleAfter {
		h.forget()
	}
	h.looked = now
	select {
	case h.wake <- struct{}{}:
	default:
	}
	h.last = h.judge(now)
	if !h.last.soon {
		turned = h.waits != (h.last.ratio == 0)
		h.waits = h.last.ratio == 0
	}
	return h.last, turned
}

// forget begins anew: while nobody looks nothing is asked, and old answers are
// no reason to start slowly.
func (h *health) forget() {
	for i := range h.gauges {
		h.gauges[i].at, h.gauges[i].heard, h.gauges[i].fails = time.Time{}, time.Time{}, ""
	}
	h.throttle = throttle{}
}

func (h *health) judge(now time.Time) verdict {
	if slices.ContainsFunc(h.gauges, func(g gauge) bool { return g.at.IsZero() }) {
		return verdict{why: "the source is being asked how it is", soon: true}
	}
	all := h.gauges
	if !h.running.stale(now) { // else no reader has a connection to ask on: it may make one
		all = append(all[:len(all):len(all)], h.running)
	}
	return h.throttle.step(now, all)
}

// tell takes down how many statements the source runs.
func (h *health) tell(now time.Time, running int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running.took(now, float64(running), nil)
}

// shown is the last verdict, nil when no reader looked of late.
func (h *health) shown(now time.Time) *verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.looked) > time.Minute {
		return nil
	}
	v := h.last
	return &v
}

// checks reports whether there is anything to ask.
func (h *health) checks() bool { return len(h.gauges) > 0 }

// watch asks until ctx ends.
func (h *health) watch(ctx context.Context, src source.HealthChecker) {
	probe := src.OpenHealth()
	defer probe.Close()
	idle := time.NewTimer(healthIdle)
	defer idle.Stop()
	for {
		select {
		case <-h.wake:
			h.ask(ctx, probe)
			if pause(ctx, healthEvery) != nil {
				return
			}
			idle.Reset(healthIdle)
		case <-idle.C:
			_ = probe.Close() // it connects anew when it is asked
		case <-ctx.Done():
			return
		}
	}
}

// ask asks for every gauge. An answer that does not come is a bad one.
func (h *health) ask(ctx context.Context, probe source.HealthProbe) {
	for i := range h.gauges {
		g := &h.gauges[i] // kind and replica never change
		value, err := h.askOne(ctx, probe, g.kind, g.replica)
		if ctx.Err() != nil {
			return
		}
		h.mu.Lock()
		g.took(time.Now(), value, err)
		h.mu.Unlock()
	}
}

func (h *health) askOne(ctx context.Context, probe source.HealthProbe, kind gaugeKind, replica string) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTimeout, errNoHealth)
	defer cancel()
	if kind == queryOf {
		return probe.Number(ctx, h.query)
	}
	lag, err := probe.ReplicaLag(ctx, replica)
	return lag.Seconds(), err
}

var errNoHealth = resilience.Errorf(resilience.Transient, "health_timeout", "", "no answer within %s", healthTimeout)

// checker is the source as one that can be asked how it is.
func (s *snapshots) checker() (source.HealthChecker, error) {
	c, ok := s.src.(source.HealthChecker)
	if !ok && s.l.health.checks() {
		return nil, resilience.Errorf(resilience.Fatal, "snapshot_no_health", "watch the source", "this kind of source cannot be asked how it is").
			WithHint("leave snapshot.replicas and snapshot.health_query out")
	}
	return c, nil
}
