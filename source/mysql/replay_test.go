package mysql

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// The logs below were written by real servers: testdata/record.sql says how,
// TestRecordLogs writes them again.

// recorded returns the bytes of a recorded log file.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".binlog.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// eventsOf splits a log file.
func eventsOf(log []byte) (all [][]byte) {
	for log = log[4:]; len(log) > 0; {
		n := binary.LittleEndian.Uint32(log[9:])
		all = append(all, log[:n])
		log = log[n:]
	}
	return all
}

// conversation turns a log file into what a server sends when it is read from
// its start, and returns where each packet ends.
func conversation(log []byte) (wire []byte, ends []int) {
	events := append([][]byte{artificialRotate("binlog.000001", 4)}, eventsOf(log)...)
	sequence := byte(1)
	for _, ev := range events {
		wire, sequence = appendPackets(wire, append([]byte{0}, ev...), sequence)
		ends = append(ends, len(wire))
	}
	return wire, ends
}

// appendPackets cuts a payload into packets as the protocol does.
func appendPackets(wire, payload []byte, sequence byte) ([]byte, byte) {
	for {
		n := min(len(payload), maxPacket)
		wire = append(wire, byte(n), byte(n>>8), byte(n>>16), sequence)
		wire = append(wire, payload[:n]...)
		payload = payload[n:]
		sequence++
		if n < maxPacket {
			return wire, sequence
		}
	}
}

func artificialRotate(file string, offset uint64) []byte {
	ev := make([]byte, binlog.HeaderSize, 64)
	ev[4] = byte(binlog.TypeRotate)
	ev = binary.LittleEndian.AppendUint64(ev, offset)
	ev = append(ev, file...)
	binary.LittleEndian.PutUint32(ev[9:], uint32(len(ev)))
	ev[17] = binlog.FlagArtificial
	return ev
}

// tape is a connection that plays what a server said.
type tape struct {
	net.Conn
	r io.Reader
}

func (t *tape) Read(p []byte) (int, error)      { return t.r.Read(p) }
func (t *tape) SetReadDeadline(time.Time) error { return nil }
func (t *tape) Close() error                    { return nil }

// replay opens a stream on what a server said.
func replay(t testing.TB, flavor event.Flavor, r io.Reader, change func(*Config)) *stream {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Hosts, cfg.User = []string{"127.0.0.1:3306"}, "cdcd"
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	st := newStream(New(cfg, "test", "test"), event.Position{Flavor: flavor, GTIDs: event.NewGTIDSet(flavor)})
	st.flavor, st.byGTID = flavor, true
	conn := &tape{r: r}
	st.conn = conn
	st.wire = &wire{conn: conn, silence: time.Minute, pulse: &st.pulse}
	st.frames = newFramer(st.wire, 1)
	st.begin()
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// seen is an event that outlives the next step, with what tests compare.
type seen struct {
	kind  event.EventKind
	at    uint64
	gtid  event.GTID
	table string
	op    event.Op
	body  string
}

// readAll reads a stream to its error.
func readAll(st *stream) (all []seen, err error) {
	var ev event.Event
	for {
		if err := st.Next(context.Background(), &ev); err != nil {
			return all, err
		}
		s := seen{kind: ev.Kind, at: ev.Coord.Offset, gtid: ev.Coord.GTID}
		if ev.Kind == event.EvRows {
			s.table, s.op, s.body = ev.Raw.Table.Name, ev.Raw.Op, string(ev.Raw.Body)
			if _, err := ev.Raw.Table.Layout.Count(ev.Raw.Type, ev.Raw.Body); err != nil {
				return all, err
			}
		}
		all = append(all, s)
	}
}

var recordings = []struct {
	name   string
	flavor event.Flavor
}{{"mysql", event.MySQL}, {"mariadb", event.MariaDB}}

// whole returns what a recording says, and fails unless that ends with the end
// of the connection.
func whole(t testing.TB, name string, flavor event.Flavor) []seen {
	t.Helper()
	wire, _ := conversation(recorded(t, name))
	all, err := readAll(replay(t, flavor, bytes.NewReader(wire), nil))
	if resilience.CodeOf(err) != "connection_lost" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%s ended with %v", name, err)
	}
	return all
}

// TestCutsTearNothing cuts the connection at every packet boundary and inside
// every packet: what came before is a prefix of the whole, the error is
// transient, and no transaction that was cut ends.
func TestCutsTearNothing(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.name, func(t *testing.T) {
			want := whole(t, rec.name, rec.flavor)
			wire, ends := conversation(recorded(t, rec.name))
			for _, end := range ends {
				for _, cut := range []int{end - 1, end, min(end+3, len(wire)), min(end+30, len(wire))} {
					got, err := readAll(replay(t, rec.flavor, bytes.NewReader(wire[:cut]), nil))
					if resilience.ClassOf(err) != resilience.Transient {
						t.Fatalf("cut at %d: %v", cut, err)
					}
					if len(got) > len(want) {
						t.Fatalf("cut at %d: %d events, the whole has %d", cut, len(got), len(want))
					}
					for i := range got {
						if got[i] != want[i] {
							t.Fatalf("cut at %d: event %d is %+v, want %+v", cut, i, got[i], want[i])
						}
					}
				}
			}
		})
	}
}

// TestBytesMayComeInAnyPieces reads one byte at a time.
func TestBytesMayComeInAnyPieces(t *testing.T) {
	for _, rec := range recordings {
		want := whole(t, rec.name, rec.flavor)
		wire, _ := conversation(recorded(t, rec.name))
		got, _ := readAll(replay(t, rec.flavor, oneByte{bytes.NewReader(wire)}, nil))
		if len(got) != len(want) {
			t.Errorf("%s: %d events, want %d", rec.name, len(got), len(want))
		}
	}
}

type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }

// TestFlippedBitsAreNoticed damages each packet in turn: no damage may pass
// the checksums and change what is handed on.
func TestFlippedBitsAreNoticed(t *testing.T) {
	for _, rec := range recordings {
		want := whole(t, rec.name, rec.flavor)
		wire, ends := conversation(recorded(t, rec.name))
		for i := range len(ends) - 1 {
			if i == 0 {
				continue // the artificial rotate has no checksum
			}
			at := ends[i] + packetHeader + 1 + binlog.HeaderSize + 1
			damaged := bytes.Clone(wire)
			damaged[at] ^= 0x10
			got, err := readAll(replay(t, rec.flavor, bytes.NewReader(damaged), nil))
			if code := resilience.CodeOf(err); code != binlog.CodeChecksum && code != binlog.CodeMalformed {
				t.Fatalf("%s: damage in packet %d went unnoticed: %v", rec.name, i+1, err)
			}
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Fatalf("%s: damage in packet %d changed what was read: %v", rec.name, i+1, got)
			}
		}
	}
}

// TestDamageIsTransientOnce: bytes may be damaged on the way once; at the same
// place again it is the log.
func TestDamageIsTransientOnce(t *testing.T) {
	wire, ends := conversation(recorded(t, "mysql"))
	wire[ends[4]-6] ^= 1
	st := replay(t, event.MySQL, bytes.NewReader(wire), nil)
	_, err := readAll(st)
	if resilience.ClassOf(err) != resilience.Transient || resilience.CodeOf(err) != binlog.CodeChecksum {
		t.Fatalf("the first time: %v", err)
	}
	again := replay(t, event.MySQL, bytes.NewReader(wire), nil)
	again.source = st.source
	if _, err := readAll(again); resilience.ClassOf(err) != resilience.Fatal {
		t.Fatalf("the second time: %v", err)
	}
}

func TestUncapturedTablesAreDropped(t *testing.T) {
	for _, rec := range recordings {
		wire, _ := conversation(recorded(t, rec.name))
		all, _ := readAll(replay(t, rec.flavor, bytes.NewReader(wire), func(c *Config) { c.Tables.Exclude = []string{"*.a"} }))
		whole := whole(t, rec.name, rec.flavor)
		var rows, ends int
		for _, s := range all {
			if s.kind == event.EvRows {
				rows++
				if s.table == "a" {
					t.Errorf("%s: rows of the excluded table", rec.name)
				}
			}
			if s.kind == event.EvCommit {
				ends++
			}
		}
		for _, s := range whole {
			if s.kind == event.EvCommit {
				ends--
			}
		}
		if rows == 0 || ends != 0 {
			t.Errorf("%s: %d rows events, %d commits too many", rec.name, rows, ends)
		}
	}
}

// TestSameDefinitionIsSamePointer reads a log twice with one source.
func TestSameDefinitionIsSamePointer(t *testing.T) {
	wire, _ := conversation(recorded(t, "mysql"))
	first := replay(t, event.MySQL, bytes.NewReader(wire), nil)
	versions := map[*event.Table]bool{}
	for range 2 {
		st := replay(t, event.MySQL, bytes.NewReader(wire), nil)
		st.source = first.source
		var ev event.Event
		for st.Next(context.Background(), &ev) == nil {
			if ev.Kind == event.EvRows {
				versions[ev.Raw.Table] = true
			}
		}
		if len(versions) != 2 {
			t.Fatalf("%d table versions, want 2", len(versions))
		}
	}
}

// TestRowsDoNotAllocate reads a transaction of rows events without end.
func TestRowsDoNotAllocate(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.name, func(t *testing.T) {
			st, ev := atRows(t, rec.name, rec.flavor)
			if n := testing.AllocsPerRun(5000, func() {
				if err := st.Next(t.Context(), ev); err != nil || ev.Kind != event.EvRows {
					t.Fatal(ev.Kind, err)
				}
			}); n != 0 {
				t.Errorf("%v allocations an event", n)
			}
		})
	}
}

// atRows returns a stream whose first rows event comes again and again.
func atRows(t testing.TB, name string, flavor event.Flavor) (*stream, *event.Event) {
	t.Helper()
	log := recorded(t, name)
	wire, _ := conversation(log)
	st := replay(t, flavor, bytes.NewReader(wire), nil)
	ev := new(event.Event)
	for ev.Kind != event.EvRows {
		if err := st.Next(context.Background(), ev); err != nil {
			t.Fatal(err)
		}
	}
	raw := log[st.cur.start:][:st.cur.header.Size]
	again := bytes.Clone(raw[:len(raw)-4])
	clear(again[13:17]) // no end offset, as inside a group of MariaDB
	again = binary.LittleEndian.AppendUint32(again, crc32.ChecksumIEEE(again))
	packet, _ := appendPackets(nil, append([]byte{0}, again...), 0)
	st.wire.conn = &tape{r: &repeat{packet: packet}}
	st.frames = newFramer(st.wire, 0)
	return st, ev
}

func BenchmarkNext(b *testing.B) {
	st, ev := atRows(b, "mysql", event.MySQL)
	b.SetBytes(int64(st.cur.header.Size))
	for b.Loop() {
		if err := st.Next(b.Context(), ev); err != nil {
			b.Fatal(err)
		}
	}
}

// TestBeyondFourGiB reads a file from its start, as must be done where the
// offset does not fit the command, and passes over what was read before.
func TestBeyondFourGiB(t *testing.T) {
	wire, _ := conversation(recorded(t, "mysql"))
	want := whole(t, "mysql", event.MySQL)
	for i, s := range want {
		if s.kind != event.EvCommit && s.kind != event.EvDDL {
			continue
		}
		st := replay(t, event.MySQL, bytes.NewReader(wire), nil)
		st.skipTo = s.at
		got, err := readAll(st)
		if resilience.CodeOf(err) != "connection_lost" || !slices.Equal(got[1:], want[i+1:]) {
			t.Fatalf("from %d: %v, %v", s.at, got, err)
		}
		st = replay(t, event.MySQL, bytes.NewReader(wire), nil)
		st.skipTo = s.at - 1
		if _, err := readAll(st); resilience.CodeOf(err) != codeReset {
			t.Fatalf("from inside an event: %v", err)
		}
	}
}

// repeat plays one packet for ever, with rising numbers.
type repeat struct {
	packet   []byte
	at       int
	sequence byte
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) {
		r.packet[3] = r.sequence
		k := copy(p[n:], r.packet[r.at:])
		n, r.at = n+k, r.at+k
		if r.at == len(r.packet) {
			r.at = 0
			r.sequence++
		}
	}
	return n, nil
}

func FuzzNext(f *testing.F) {
	for _, rec := range recordings {
		wire, ends := conversation(recorded(f, rec.name))
		f.Add(rec.flavor == event.MariaDB, wire, uint(0), byte(0))
		for i := 1; i < len(ends); i += 3 {
			f.Add(rec.flavor == event.MariaDB, wire[:ends[i]], uint(ends[i-1]+12), byte(0x55))
		}
	}
	f.Fuzz(func(t *testing.T, maria bool, wire []byte, at uint, mask byte) {
		flavor := event.MySQL
		if maria {
			flavor = event.MariaDB
		}
		wire = bytes.Clone(wire)
		if len(wire) > 0 {
			wire[at%uint(len(wire))] ^= mask
		}
		st := replay(t, flavor, bytes.NewReader(wire), func(c *Config) { c.MaxRowBytes = 1 << 20 })
		if _, err := readAll(st); err == nil {
			t.Fatal("a stream without end")
		}
	})
}
