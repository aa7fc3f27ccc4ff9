package pipeline

import (
	"sync"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// State is what a pipeline is doing.
type State string

// The states of a pipeline.
const (
	Starting State = "starting"
	Running  State = "running"
	Retrying State = "retrying" // waits out a transient error
	Paused   State = "paused"
	Stopped  State = "stopped" // ended: softly, or by an error that waiting does not heal
)

// Status is a snapshot of a pipeline for people and metrics.
type Status struct {
	Name  string    `json:"name"`
	State State     `json:"state"`
	Since time.Time `json:"since"` // when it got into this state
	Term  uint64    `json:"term"`

	File   string `json:"file,omitempty"` // stored position
	Offset uint64 `json:"offset,omitempty"`
	GTIDs  string `json:"gtids,omitempty"`
	Seq    uint64 `json:"seq"` // source transactions made durable, since the first start

	ReadSeq     uint64 `json:"read_seq"` // source transactions read
	RowsRead    uint64 `json:"rows_read"`
	RowsDone    uint64 `json:"rows_done"`
	RingBytes   int64  `json:"ring_bytes"`
	OutputBytes int64  `json:"output_bytes"`
	SpillBytes  int64  `json:"spill_bytes"`
	SpilledTx   uint64 `json:"spilled_transactions"`
	// LagSeconds is the age of the oldest committed change that the sink has
	// not acknowledged; 0 when there is none.
	LagSeconds float64 `json:"lag_seconds"`
	// LastEvent is when the source was last heard of, LastAck when the sink
	// last acknowledged; Moving says whether the pipeline makes progress or has
	// nothing to do.
	LastEvent time.Time `json:"last_event"`
	LastAck   time.Time `json:"last_ack"`
	Ready     bool      `json:"ready"`

	// Snapshot has the tables that are, were or will be read. While it is
	// planned what is to be read, there may be more.
	Snapshot         []TableProgress `json:"snapshot,omitempty"`
	SnapshotPlanning bool            `json:"snapshot_planning,omitempty"`
	SnapshotPaused   bool            `json:"snapshot_paused,omitempty"`
	// SnapshotSpeed is how fast tables are read for the sake of the source, from 0
	// (not at all) to 1, and SnapshotSlowed why no faster; absent while none is read.
	SnapshotSpeed  *float64 `json:"snapshot_speed,omitempty"`
	SnapshotSlowed string   `json:"snapshot_slowed,omitempty"`

	// Gap tells of the last time that changes were lost, nil where there was none.
	Gap *GapStatus `json:"gap,omitempty"`

	Error     string `json:"error,omitempty"`
	ErrorCode string `json:"error_code,omitempty"`
	Hint      string `json:"hint,omitempty"`
	Retries   uint64 `json:"retries"`
}

// status collects what Status shows. The stages write, Status reads.
type status struct {
	mu      sync.Mutex
	term    uint64
	state   State
	since   time.Time
	err     error
	retries uint64
	line    *line // the running one, nil between lines

	pos       event.Position // durable
	lastAck   time.Time
	rowsRead  uint64
	rowsDone  uint64
	lastEvent time.Time
}

func (s *status) set(state State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != state {
		s.state, s.since = state, time.Now()
	}
	s.err = err
}

func (s *status) paused() { s.set(Paused, nil) }

func (s *status) ended(err error) { s.set(Stopped, err) }

func (s *status) retrying(err error) {
	s.set(Retrying, err)
	s.mu.Lock()
	s.retries++
	s.mu.Unlock()
}

// ownTerm returns the term of this run; the first one given holds.
func (s *status) ownTerm(term uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term == 0 {
		s.term = term
	}
	return s.term
}

func (s *status) ackedSeq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pos.Seq
}

// read counts rows that go to the encoders.
func (s *status) read(rows uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rowsRead += rows
}

// acked counts rows that the sink made durable.
func (s *status) acked(rows uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rowsDone += rows
	s.lastAck = time.Now()
}

// saved keeps the stored position; it is not changed any more.
func (s *status) saved(pos event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pos = pos
}

func (s *status) running(l *line) {
	s.set(Running, nil)
	s.mu.Lock()
	s.line = l
	s.mu.Unlock()
}

// Status returns a snapshot. It may be called from any goroutine.
func (p *Pipeline) Status() Status {
	s := &p.status
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{
		Name: p.cfg.Name, State: s.state, Since: s.since, Term: s.term, Retries: s.retries,
		File: s.pos.File.Name, Offset: s.pos.Offset, Seq: s.pos.Seq,
		RowsRead: s.rowsRead, RowsDone: s.rowsDone, LastAck: s.lastAck, LastEvent: s.lastEvent,
	}
	if out.State == "" {
		out.State = Starting
	}
	if s.pos.GTIDs != nil {
		out.GTIDs = s.pos.GTIDs.String()
	}
	out.explain(s.err)
	if s.line != nil {
		s.line.fill(&out)
	}
	out.Ready = out.State == Running && !out.stale(p.cfg.StallAfter)
	return out
}

// explain shows an error, if there is one.
func (s *Status) explain(err error) {
	if err == nil {
		return
	}
	f := resilience.Found(err)
	s.Error, s.ErrorCode, s.Hint = f.Text, f.Code, f.Fix
}

// stale reports that a running pipeline neither heard of its source nor, with
// changes at hand, got anything through for the given time.
func (s *Status) stale(after time.Duration) bool {
	if time.Since(s.LastEvent) > after {
		return true
	}
	return s.LagSeconds > after.Seconds() && time.Since(s.LastAck) > after
}
