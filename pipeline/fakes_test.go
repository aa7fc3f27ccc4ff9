package pipeline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/source"
)

// The fakes sleep in the fake time of synctest; where a test runs in real time,
// their delays are zero.

// script is a source whose log is known beforehand: transaction n has rows[n-1]
// rows. After the last it sends heartbeats.
type script struct {
	rows  []int
	body  int    // bytes of text in a row
	maria bool   // it is a MariaDB
	bug   uint64 // transaction before which it panics

	mu    sync.Mutex
	opens []uint64         // Seq at which streams were opened
	parts int              // streams that were opened inside a transaction
	fail  map[uint64]error // error to return once before this transaction
	cuts  int              // times the connection breaks behind the first Begin
	drops time.Duration    // how long the step before the first transaction takes
}

var scriptTable = eventtest.Orders()

func (s *script) Start(context.Context) (event.Position, error) {
	return event.Position{Flavor: s.flavor(), Server: "fake", GTIDs: event.NewGTIDSet(s.flavor())}, nil
}

func (s *script) flavor() event.Flavor {
	if s.maria {
		return event.MariaDB
	}
	return event.MySQL
}

func (s *script) Open(_ context.Context, from event.Position) (source.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens = append(s.opens, from.Seq)
	if !from.Partial.IsZero() {
		s.parts++
	}
	return &scriptStream{s: s, tx: from.Seq}, nil
}

func (s *script) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.opens)
}

func (s *script) takeFailure(tx uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.fail[tx]
	delete(s.fail, tx)
	return err
}

func (s *script) cut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts--
	return s.cuts >= 0
}

type scriptStream struct {
	s   *script
	tx  uint64 // finished
	row int    // of the transaction after it; -1 before its Begin
	in  bool

	open     bool // it has announced itself
	received atomic.Uint64
}

func (t *scriptStream) Pulse() (uint64, bool) { return t.received.Load(), false }

var scriptFile = &event.LogFile{Name: "log.000001", StampTime: 1, StampServer: 1}

func (t *scriptStream) Next(ctx context.Context, ev *event.Event) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	*ev = event.Event{}
	n := t.tx + 1
	at := event.Coord{File: scriptFile, Offset: n * 1000}
	if !t.open {
		t.open = true
		ev.Kind, ev.Coord = event.EvReset, at
		return nil
	}
	if int(t.tx) == len(t.s.rows) {
		select {
		case <-time.After(time.Second):
			ev.Kind, ev.Coord = event.EvHeartbeat, event.Coord{File: scriptFile, Offset: n*1000 - 1}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	gtid := event.GTID{SID: eventtest.SID, N: n}
	switch {
	case !t.in:
		if err := t.s.takeFailure(n); err != nil {
			return err
		}
		if n == t.s.bug {
			panic("index out of range")
		}
		for end := time.Now().Add(t.s.drops); n == 1 && time.Now().Before(end); {
			time.Sleep(time.Second)
			t.received.Add(1 << 20)
		}
		t.in, t.row = true, 0
		ev.Kind, ev.Coord, ev.GTID, ev.Time = event.EvBegin, at, gtid, time.Now()
	case n == 1 && t.s.cut():
		return resilience.Errorf(resilience.Transient, "cut", "read", "connection reset")
	case t.row < t.s.rows[t.tx]:
		ev.Kind = event.EvRows
		ev.Raw = t.rowsEvent(n)
	default:
		at.GTID, at.Offset = gtid, n*1000+999
		ev.Kind, ev.Coord, ev.GTID, ev.Time = event.EvCommit, at, gtid, time.Now()
		t.tx, t.in = n, false
	}
	return nil
}

// rowsEvent is an event of up to 100 rows.
func (t *scriptStream) rowsEvent(n uint64) event.RawRows {
	k := min(100, t.s.rows[t.tx]-t.row)
	rows := make([]eventtest.Row, k)
	for i := range rows {
		id := int64(n)*1_000_000 + int64(t.row+i)
		rows[i] = eventtest.Insert(scriptTable, eventtest.Int(id), eventtest.Text(fmt.Sprintf("%0*d", t.s.body, id)))
	}
	t.row += k
	return eventtest.Events(n*1000+uint64(t.row), rows...)[0]
}

func (t *scriptStream) Close() error { return nil }

// lines is an encoder that renders "key" records; a row with a poisoned id fails.
type lines struct {
	route  *format.Route
	reader event.RowReader
	poison int64
	slow   time.Duration // for a piece
	hang   chan struct{} // where the poison makes it hang, not fail
	panics bool          // at the poison
	text   []byte
}

func (e *lines) Encode(p *event.Piece, out format.Emitter) error {
	time.Sleep(e.slow)
	for c, err := range p.Rows(&e.reader) {
		if err != nil {
			return err
		}
		id := c.After[0].Num
		if id == e.poison && e.panics {
			panic("index out of range")
		}
		if id == e.poison && e.hang != nil {
			<-e.hang
		}
		if id == e.poison {
			return resilience.Errorf(resilience.Poison, "bad_row", "encode", "row %d", id)
		}
		e.text = append(fmt.Appendf(e.text[:0], "%d ", id), c.After[1].Bytes...)
		if err := out.Emit(&format.Record{Route: e.route, Value: e.text, Ordinal: c.Ordinal + 1}); err != nil {
			return err
		}
	}
	return nil
}

func (e *lines) Heartbeat(int64, format.Emitter) error { return nil }

// memory is a sink and a store at once: it keeps records and acknowledges after
// a delay, on its own goroutine, in order.
type memory struct {
	delay time.Duration

	mu       sync.Mutex
	ids      []int64 // of the rows delivered, in order
	seq      uint64  // of the last transaction end delivered
	cp       checkpoint.Checkpoint
	saves    int
	refuse   map[int]error // by number of the batch, once
	batches  int
	connects int
	mute     bool   // acknowledge nothing
	waiting  error  // what a mute one gives as its reason
	away     bool   // Connect waits
	inside   bool   // the last batch was open
	torn     int    // batches that end nothing and are not open, behind one that is
	bug      string // the method that panics
	parts    bool   // it keeps the position itself, inside transactions too
	own      checkpoint.Checkpoint
	queue    chan memoryBatch
	wg       sync.WaitGroup
}

type memoryBatch struct {
	b    sink.Batch
	done func(sink.Ack, error)
}

type packedIDs struct {
	ids   []int64
	bytes int
}

func (p *packedIDs) Bytes() int { return p.bytes }

type idPacker struct{ cur *packedIDs }

func (p *idPacker) Start(*event.Piece) {}

func (p *idPacker) Emit(r *format.Record) error {
	var id int64
	if _, err := fmt.Sscan(string(r.Value), &id); err != nil {
		return err
	}
	p.cur.ids = append(p.cur.ids, id)
	p.cur.bytes += len(r.Value)
	return nil
}

func (p *idPacker) Pack() (sink.Packed, error) {
	out := p.cur
	p.cur = &packedIDs{}
	return out, nil
}

func (m *memory) Packer() sink.Packer { return &idPacker{cur: &packedIDs{}} }

func (m *memory) Connect(ctx context.Context, _ uint64, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	m.stop()
	m.meet("connect")
	if m.away {
		<-ctx.Done()
		return cp, resilience.Errorf(resilience.Transient, "away", "connect", "%w", context.Cause(ctx))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connects++
	m.queue = make(chan memoryBatch, unitsInFlight)
	m.wg.Add(1)
	go m.run(m.queue)
	if m.parts {
		cp = m.own
		cp.Position = m.own.Position.Clone()
	}
	return cp, nil
}

func (m *memory) Begin(_ context.Context, cp checkpoint.Checkpoint) error {
	m.own = cp
	m.own.Position = cp.Position.Clone()
	return nil
}

func (m *memory) Send(ctx context.Context, b sink.Batch, _ bool, done func(sink.Ack, error)) {
	m.meet("send")
	b.Ends = append([]event.Coord(nil), b.Ends...)
	m.queue <- memoryBatch{b, done}
}

func (m *memory) run(q chan memoryBatch) {
	defer m.wg.Done()
	var failed error
	for b := range q {
		time.Sleep(m.delay)
		if failed == nil {
			failed = m.take(b.b)
		}
		if m.muted() {
			continue
		}
		b.done(sink.Ack{}, failed)
	}
}

// Retrying implements Retrier.
func (m *memory) Retrying() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting
}

func (m *memory) muted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mute
}

func (m *memory) take(b sink.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches++
	if err := m.refuse[m.batches]; err != nil {
		return err
	}
	if m.inside && !b.Open && len(b.Ends) == 0 {
		m.torn++
	}
	m.inside = b.Open
	for _, c := range b.Ends {
		m.own.Position.Advance(c)
	}
	if b.Open {
		m.own.Position.Partial = b.Part
	}
	m.ids = append(m.ids, b.Packed.(*packedIDs).ids...)
	if n := len(b.Ends); n > 0 {
		m.seq = b.Ends[n-1].Seq
	}
	return nil
}

func (m *memory) stop() {
	m.mu.Lock()
	q := m.queue
	m.queue = nil
	m.mu.Unlock()
	if q != nil {
		close(q)
		m.wg.Wait()
	}
}

func (m *memory) Close(context.Context) error {
	m.stop()
	m.meet("close")
	return nil
}

// meet panics in the method that has the bug.
func (m *memory) meet(method string) {
	if m.bug == method {
		panic("nil pointer dereference in " + method)
	}
}

// Load and Save make it a checkpoint.Store.
func (m *memory) Load(context.Context, string) (checkpoint.Checkpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cp.IsZero() {
		return m.cp, checkpoint.ErrNone
	}
	return m.cp, nil
}

func (m *memory) Save(_ context.Context, cp checkpoint.Checkpoint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cp.Position.Seq > 0 {
		m.meet("save")
	}
	if cp.Position.Seq > m.seq {
		return resilience.Errorf(resilience.Fatal, "ahead", "save", "seq %d is ahead of %d delivered", cp.Position.Seq, m.seq)
	}
	if err := checkpoint.Succeeds(m.cp, cp); err != nil {
		return err
	}
	m.cp, m.saves = cp, m.saves+1
	return nil
}
