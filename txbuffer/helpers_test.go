package txbuffer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cdcd-io/cdcd/event"
)

// fakeLayout reads bodies of which the first byte is the number of rows.
type fakeLayout struct{}

var errFakeBody = errors.New("body is empty")

func (fakeLayout) Count(_ byte, body []byte) (uint32, error) {
	if len(body) == 0 {
		return 0, errFakeBody
	}
	return uint32(body[0]), nil
}

func (fakeLayout) Next(raw *event.RawRows, off int, _ *event.RowReader) (int, error) {
	return off + 1, nil
}

func fakeTable(name string) *event.Table {
	return &event.Table{Database: "shop", Name: name, Layout: fakeLayout{}}
}

// body returns n bytes that hold rows rows and a pattern made of seed.
func body(n, rows int, seed uint64) []byte {
	b := make([]byte, n, n+8)
	for i := 1; i < n; i += 8 {
		seed = seed*6364136223846793005 + 1442695040888963407
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], seed)
		copy(b[i:], w[:])
	}
	b[0] = byte(rows)
	return b
}

// smallConfig is a ring of a few KiB: everything happens soon.
func smallConfig(dir string) Config {
	return Config{
		RingBytes: 32 << 10, Slots: 8, PieceBytes: 1 << 10, MaxTxBytes: 8 << 10, ReadBackPieces: 2,
		SpillDir: dir, MaxSpillBytes: 1 << 20, SegmentBytes: 4 << 10,
	}
}

func mustRing(tb testing.TB, cfg Config) *Ring {
	tb.Helper()
	r, err := NewRing(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(nil); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// script makes the events of a log.
type script struct {
	file   *event.LogFile
	offset uint64
	n      uint64 // of the last GTID
}

var start = event.Position{Flavor: event.MariaDB, File: event.LogFile{Name: "bin.000001"}, Offset: 4, Seq: 100}

func newScript() *script {
	file := start.File
	return &script{file: &file, offset: start.Offset}
}

func (s *script) here() event.Coord { return event.Coord{File: s.file, Offset: s.offset} }

func (s *script) gtid() event.GTID { return event.GTID{Server: 1, N: s.n} }

func (s *script) begin() event.Event {
	s.n++
	return event.Event{Kind: event.EvBegin, Coord: s.here(), GTID: s.gtid(), ServerID: 1}
}

func (s *script) rows(t *event.Table, b []byte) event.Event {
	raw := event.RawRows{Table: t, Op: event.Insert, Type: 30, Body: b, Pos: s.offset, Time: uint32(s.n)}
	s.offset += uint64(len(b)) + 19
	return event.Event{Kind: event.EvRows, Raw: raw}
}

func (s *script) end(kind event.EventKind) event.Event {
	s.offset += 31
	c := s.here()
	c.GTID = s.gtid()
	return event.Event{Kind: kind, Coord: c}
}

func step(tb testing.TB, a *Assembler, ev event.Event) bool {
	tb.Helper()
	finished, err := a.Step(context.Background(), &ev)
	if err != nil {
		tb.Fatalf("step %d: %v", ev.Kind, err)
	}
	return finished
}

// feeder is step without the allocation of an event.
type feeder struct {
	asm *Assembler
	ev  event.Event
}

func (f *feeder) step(tb testing.TB, ev event.Event) {
	f.ev = ev
	if _, err := f.asm.Step(context.Background(), &f.ev); err != nil {
		tb.Fatal(err)
	}
}

// commit sends a transaction of four events.
func (f *feeder) commit(tb testing.TB, s *script, t *event.Table, b []byte) {
	f.step(tb, s.begin())
	for range 4 {
		f.step(tb, s.rows(t, b))
	}
	f.step(tb, s.end(event.EvCommit))
}

// textOf renders a transaction's description for comparison.
func textOf(tx *event.Tx) string {
	ddl := ""
	if tx.DDL != nil {
		ddl = tx.DDL.SQL
	}
	return fmt.Sprintf("%s begin %d end %d %s seq %d rows %d tables %v ddl %q silent %v server %d",
		tx.Key, tx.Begin.Offset, tx.End.Offset, tx.End.GTID, tx.End.Seq, tx.Rows, tx.Tables, ddl, tx.Silent, tx.ServerID)
}
