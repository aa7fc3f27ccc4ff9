package mysql

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// makeEvent builds an event of a type with a body and its checksum.
func makeEvent(typ binlog.EventType, body []byte) []byte {
	ev := make([]byte, binlog.HeaderSize, binlog.HeaderSize+len(body)+4)
	ev[4] = byte(typ)
	ev = append(ev, body...)
	binary.LittleEndian.PutUint32(ev[9:], uint32(len(ev)+4))
	return binary.LittleEndian.AppendUint32(ev, crc32.ChecksumIEEE(ev))
}

func TestFramesOfEverySize(t *testing.T) {
	sizes := []int{60, 1000, frameBuffer - 30, frameBuffer - 23, frameBuffer, frameBuffer + 1, 3 << 20, maxPacket - 2, maxPacket - 1, maxPacket, maxPacket + 70000}
	var wire []byte
	var events [][]byte
	sequence := byte(9)
	for i, n := range sizes {
		body := bytes.Repeat([]byte{byte(i)}, n-binlog.HeaderSize-4)
		events = append(events, makeEvent(binlog.TypeWriteRows, body))
		wire, sequence = appendPackets(wire, append([]byte{0}, events[i]...), sequence)
	}
	for _, how := range []string{"whole", "stream", "leave"} {
		f := newFramer(bytes.NewReader(wire), 9)
		for i, want := range events {
			ev, large, err := f.next()
			if err != nil {
				t.Fatalf("%s: size %d: %v", how, sizes[i], err)
			}
			if large && !bytes.Equal(ev, want[:peekLength]) {
				t.Fatalf("%s: size %d: peeked at other bytes", how, sizes[i])
			}
			if large && how != "leave" {
				ev = readLarge(t, f, how, sizes[i])
			}
			if (!large || how != "leave") && !bytes.Equal(ev, want) {
				t.Fatalf("%s: size %d: other bytes", how, sizes[i])
			}
		}
		if _, _, err := f.next(); resilience.CodeOf(err) != "connection_lost" {
			t.Fatalf("%s: end: %v", how, err)
		}
	}
}

func readLarge(t *testing.T, f *framer, how string, size int) []byte {
	t.Helper()
	var ev []byte
	var err error
	if how == "whole" {
		ev, err = f.whole(size)
	} else {
		ev, err = io.ReadAll(f)
	}
	if err != nil {
		t.Fatalf("%s: size %d: %v", how, size, err)
	}
	return ev
}

func TestPacketsThatAreNoEvents(t *testing.T) {
	for _, c := range []struct {
		name    string
		payload []byte
		seq     byte
		code    string
		class   resilience.Class
	}{
		{"end", []byte{0xfe, 0, 0, 2, 0}, 1, "server_ended_stream", resilience.Transient},
		{"error", append([]byte{0xff, 0xd4, 0x04}, "#HY000the source purged required binary logs"...), 1, codePurged, resilience.Fatal},
		{"error without state", []byte{0xff, 0x1d, 0x04, 'x'}, 1, "server_shutdown", resilience.Transient},
		{"short error", []byte{0xff, 1}, 1, "server_error", resilience.Unclassified},
		{"empty", nil, 1, "connection_garbled", resilience.Transient},
		{"semi-sync", append([]byte{0xef}, make([]byte, 40)...), 1, "connection_garbled", resilience.Transient},
		{"out of order", append([]byte{0}, make([]byte, 40)...), 2, "connection_garbled", resilience.Transient},
	} {
		wire, _ := appendPackets(nil, c.payload, c.seq)
		_, _, err := newFramer(bytes.NewReader(wire), 1).next()
		if resilience.CodeOf(err) != c.code || resilience.ClassOf(err) != c.class {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// largeStream starts a replay whose next event is large and of the given type.
func largeStream(t *testing.T, typ binlog.EventType, size int, damage bool) *stream {
	t.Helper()
	log := recorded(t, "mysql")
	body := bytes.Repeat([]byte{7}, size)
	copy(body, []byte{1, 2, 3, 4, 5, 6})
	ev := makeEvent(typ, body)
	if damage {
		ev[len(ev)-5] ^= 1
	}
	wire, sequence := appendPackets(nil, append([]byte{0}, artificialRotate("binlog.000001", 4)...), 1)
	wire, sequence = appendPackets(wire, append([]byte{0}, eventsOf(log)[0]...), sequence)
	wire, _ = appendPackets(wire, append([]byte{0}, ev...), sequence)
	st := replay(t, event.MySQL, bytes.NewReader(wire), func(c *Config) { c.MaxRowBytes = 1 << 20 })
	var reset event.Event
	if err := st.Next(t.Context(), &reset); err != nil || reset.Kind != event.EvReset {
		t.Fatalf("%v, %v", reset.Kind, err)
	}
	return st
}

// TestLargeEvents: what is not captured is dropped whatever its size, but not
// its checksum; what would have to be kept is refused by name over the bound.
func TestLargeEvents(t *testing.T) {
	for _, c := range []struct {
		name   string
		typ    binlog.EventType
		size   int
		damage bool
		code   string
	}{
		{"dropped", binlog.TypeRowsQuery, 5 << 20, false, "connection_lost"},
		{"dropped and damaged", binlog.TypeRowsQuery, 5 << 20, true, binlog.CodeChecksum},
		{"dropped in two packets", binlog.TypeIgnorable, 17 << 20, false, "connection_lost"},
		{"kept and too large", binlog.TypeQuery, 2 << 20, false, codeRowSize},
		{"rows outside a transaction", binlog.TypeWriteRows, 2 << 20, false, codeUnexpected},
	} {
		st := largeStream(t, c.typ, c.size, c.damage)
		var ev event.Event
		if err := st.Next(t.Context(), &ev); resilience.CodeOf(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
