package txbuffer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"pgregory.net/rapid"
)

// machine drives an assembler and a ring from one goroutine, beside a model
// that keeps every committed transaction in a list. Calls get a context that
// has ended: where the ring would wait it returns, the machine lets the
// consumer do something and repeats the step. A ring that still wants to wait
// when the consumer has nothing left to do is a deadlock.
type machine struct {
	ring   *Ring
	asm    *Assembler
	dir    string
	ended  context.Context
	script *script
	tables []*event.Table

	// The model.
	open  bool
	txs   []modelTx // committed, not yet completely taken
	cur   modelTx   // open
	pos   event.Position
	last  uint64 // offset of the last end
	bytes int64  // of the open transaction, were it on disk

	taken  int // events of txs[0] already taken
	pieces int // pieces of txs[0] already taken
	held   []*event.Piece
	copies [][]event.RawRows // what the held pieces said when they were taken
}

type modelTx struct {
	text   string
	rows   []event.RawRows
	begin  uint64
	key    string
	counts []event.TableCount
	total  uint64
	ddl    string
}

func newMachine(t *rapid.T, dir string) *machine {
	cfg := Config{
		PieceBytes:     rapid.IntRange(256, 2048).Draw(t, "piece"),
		Slots:          rapid.IntRange(1, 6).Draw(t, "slots"),
		ReadBackPieces: rapid.IntRange(1, 3).Draw(t, "read back"),
		SpillDir:       dir, MaxSpillBytes: int64(rapid.IntRange(18<<10, 60<<10).Draw(t, "disk")),
		SegmentBytes: int64(rapid.IntRange(1, 8<<10).Draw(t, "segment")),
	}
	cfg.MaxTxBytes = cfg.blockCost() * int64(rapid.IntRange(1, 5).Draw(t, "share"))
	cfg.RingBytes = cfg.MaxTxBytes + cfg.blockCost()*int64(1+cfg.ReadBackPieces+rapid.IntRange(0, 3).Draw(t, "spare"))
	ring, err := NewRing(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	m := &machine{ring: ring, asm: NewAssembler(start, ring), dir: dir, ended: ended, script: newScript(), pos: start.Clone(), last: start.Offset}
	for i := range 12 {
		m.tables = append(m.tables, fakeTable(fmt.Sprint("t", i%10))) // two tables have two versions
	}
	return m
}

// step repeats the event until it passes.
func (m *machine) step(t *rapid.T, ev event.Event, finishes bool) {
	for {
		finished, err := m.asm.Step(m.ended, &ev)
		if err == nil {
			if finished != finishes {
				t.Fatalf("event %d finished a transaction: %v, want %v", ev.Kind, finished, finishes)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("event %d: %v", ev.Kind, err)
		}
		if !m.consume(t) {
			t.Fatalf("event %d waits although all is released: %+v", ev.Kind, m.ring.Stats())
		}
	}
	if got := m.asm.Position(); !finishes && !reflect.DeepEqual(got, m.pos) {
		t.Fatalf("position is %+v, want %+v", got, m.pos)
	}
}

// consume does one thing a consumer can do.
func (m *machine) consume(t *rapid.T) bool {
	return m.take(t) || m.release(t)
}

func (m *machine) take(t *rapid.T) bool {
	p, err := m.ring.TryNext()
	if err != nil {
		t.Fatal(err)
	}
	if p == nil {
		if len(m.txs) > 0 && len(m.held) == 0 {
			t.Fatalf("a committed transaction is not handed out")
		}
		return false
	}
	if len(m.txs) == 0 {
		t.Fatalf("a piece of %s from nowhere", p.Tx.Key)
	}
	m.compare(t, p)
	m.held = append(m.held, p)
	m.copies = append(m.copies, copyRows(p.Events))
	return true
}

func (m *machine) compare(t *rapid.T, p *event.Piece) {
	want := &m.txs[0]
	if got := textOf(p.Tx); got != want.text {
		t.Fatalf("transaction reads\n%s, want\n%s", got, want.text)
	}
	if m.taken+len(p.Events) > len(want.rows) {
		t.Fatalf("%s has too many events", want.key)
	}
	if !sameRows(p.Events, want.rows[m.taken:m.taken+len(p.Events)]) {
		t.Fatalf("%s has other rows than were sent, from event %d", want.key, m.taken)
	}
	if p.First != (m.pieces == 0) {
		t.Fatalf("%s: First is %v at piece %d", want.key, p.First, m.pieces)
	}
	m.taken += len(p.Events)
	m.pieces++
	if p.Last != (m.taken == len(want.rows)) {
		t.Fatalf("%s: Last is %v after event %d of %d", want.key, p.Last, m.taken, len(want.rows))
	}
	if p.Last {
		m.txs, m.taken, m.pieces = m.txs[1:], 0, 0
	}
}

func (m *machine) release(t *rapid.T) bool {
	if len(m.held) == 0 {
		return false
	}
	i := rapid.IntRange(0, len(m.held)-1).Draw(t, "released")
	if !sameRows(m.held[i].Events, m.copies[i]) {
		t.Fatalf("a held piece has changed")
	}
	m.held[i].Release()
	m.held, m.copies = slices.Delete(m.held, i, i+1), slices.Delete(m.copies, i, i+1)
	return true
}

func sameRows(a, b []event.RawRows) bool {
	return slices.EqualFunc(a, b, func(x, y event.RawRows) bool {
		same := bytes.Equal(x.Body, y.Body)
		x.Body, y.Body = nil, nil
		return same && reflect.DeepEqual(x, y) && x.Table == y.Table
	})
}

func copyRows(in []event.RawRows) []event.RawRows {
	out := slices.Clone(in)
	for i := range out {
		out[i].Body = bytes.Clone(out[i].Body)
	}
	return out
}

func (m *machine) begin(t *rapid.T) {
	if m.open {
		t.Skip("open")
	}
	ev := m.script.begin()
	m.bytes = 0
	m.open, m.cur = true, modelTx{begin: ev.Coord.Offset, key: ev.GTID.String()}
	m.step(t, ev, false)
}

func (m *machine) rows(t *rapid.T) {
	if !m.open {
		t.Skip("no transaction")
	}
	size := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(100, 3000), rapid.IntRange(1, 16<<10)).Draw(t, "size")
	table := rapid.SampledFrom(m.tables).Draw(t, "table")
	b := body(size, rapid.IntRange(0, 5).Draw(t, "rows"), m.script.offset)
	if m.bytes += recordBytes(&event.RawRows{Body: b}); m.bytes > m.ring.cfg.MaxSpillBytes {
		m.bytes -= recordBytes(&event.RawRows{Body: b})
		t.Skip("would not fit the disk")
	}
	ev := m.script.rows(table, bytes.Clone(b))
	m.model(ev.Raw, b)
	m.step(t, ev, false)
	clear(ev.Raw.Body) // the ring must have its own copy
}

func (m *machine) model(raw event.RawRows, b []byte) {
	n := uint64(b[0])
	if n == 0 {
		return
	}
	i := slices.IndexFunc(m.cur.counts, func(c event.TableCount) bool { return c.Table == raw.Table.Name })
	if i < 0 {
		i = len(m.cur.counts)
		m.cur.counts = append(m.cur.counts, event.TableCount{Database: raw.Table.Database, Table: raw.Table.Name})
	}
	raw.Body, raw.Rows, raw.Ordinal, raw.TableOrdinal = b, uint32(n), m.cur.total, m.cur.counts[i].Rows
	m.cur.rows = append(m.cur.rows, raw)
	m.cur.counts[i].Rows += n
	m.cur.total += n
}

// finish commits the model's open transaction.
func (m *machine) finish(t *rapid.T, ev event.Event, silent bool) {
	c := ev.Coord
	c.Seq = m.pos.Seq
	if !silent {
		c.Seq++
	}
	m.cur.text = fmt.Sprintf("%s begin %d end %d %s seq %d rows %d tables %v ddl %q silent %v server %d",
		m.cur.key, m.cur.begin, c.Offset, c.GTID, c.Seq, m.cur.total, m.cur.counts, m.cur.ddl, silent, ev.ServerID)
	m.step(t, ev, true) // visible only once the step has passed
	m.txs = append(m.txs, m.cur)
	m.pos.Advance(c)
	if got := m.asm.Position(); !reflect.DeepEqual(got, m.pos) {
		t.Fatalf("position is %+v, want %+v", got, m.pos)
	}
	m.open, m.last = false, c.Offset
}

func (m *machine) commit(t *rapid.T) {
	if !m.open {
		t.Skip("no transaction")
	}
	ev := m.script.end(event.EvCommit)
	ev.ServerID = 1
	m.finish(t, ev, false)
}

func (m *machine) rollback(t *rapid.T) {
	if !m.open {
		t.Skip("no transaction")
	}
	ev := m.script.end(event.EvRollback)
	ev.ServerID = 1
	silent := rapid.Bool().Draw(t, "no gtid")
	if silent {
		ev.Coord.GTID = event.GTID{}
	}
	m.cur = modelTx{begin: m.cur.begin, key: m.cur.key}
	m.finish(t, ev, silent)
}

func (m *machine) reset(t *rapid.T) {
	m.open = false
	m.step(t, event.Event{Kind: event.EvReset, Coord: m.script.here()}, false)
}

func (m *machine) ddl(t *rapid.T) {
	if m.open && m.cur.total > 0 {
		t.Skip("transaction has rows")
	}
	if !m.open {
		m.script.n++
		m.cur = modelTx{begin: m.last, key: m.script.gtid().String()}
	}
	m.cur.ddl = "create table x"
	ev := m.script.end(event.EvDDL)
	ev.DDL, ev.ServerID = &event.DDL{SQL: m.cur.ddl}, 1
	m.finish(t, ev, false)
}

func (m *machine) heartbeat(t *rapid.T) {
	ev := event.Event{Kind: event.EvHeartbeat, Coord: m.script.here()}
	if m.open {
		m.step(t, ev, false)
		return
	}
	m.cur = modelTx{begin: m.last, key: fmt.Sprintf("%s:%d", start.File.Name, m.last)}
	m.finish(t, ev, true)
}

// drain takes and releases everything; then nothing may be left anywhere.
func (m *machine) drain(t *rapid.T) {
	m.reset(t)
	for m.consume(t) {
	}
	if len(m.txs) > 0 {
		t.Fatalf("%d transactions did not come", len(m.txs))
	}
	s := m.ring.Stats()
	if s.Slots != 0 || s.SpillBytes != 0 || s.Bytes > m.ring.cfg.blockCost() {
		t.Fatalf("something is left: %+v", s)
	}
	if files, err := os.ReadDir(m.ring.dir.path); err != nil || len(files) != 1 {
		t.Fatalf("files are left: %v, %v", files, err)
	}
	if got := m.asm.Position(); !reflect.DeepEqual(got, m.pos) {
		t.Fatalf("position is %+v, want %+v", got, m.pos)
	}
	if err := m.ring.Close(nil); err != nil {
		t.Fatal(err)
	}
}

func TestRingAgainstModel(t *testing.T) {
	dir := t.TempDir()
	var spilled, waited uint64
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, dir)
		t.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "begin again": m.begin, "rows": m.rows, "rows again": m.rows, "more rows": m.rows,
			"many rows": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "events") {
					m.rows(t)
				}
			},
			"commit": m.commit, "commit again": m.commit, "rollback": m.rollback, "reset": m.reset, "ddl": m.ddl, "heartbeat": m.heartbeat,
			"take":    func(t *rapid.T) { m.take(t) },
			"release": func(t *rapid.T) { m.release(t) },
		})
		m.drain(t)
		s := m.ring.Stats()
		spilled, waited = spilled+s.SpilledTxs, waited+s.Waits
	})
	if spilled == 0 || waited == 0 {
		t.Errorf("%d transactions spilled, %d waits: the machine must reach both", spilled, waited)
	}
	t.Logf("%d transactions spilled, %d waits", spilled, waited)
}
