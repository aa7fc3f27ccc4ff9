package mysql

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

func TestPlace(t *testing.T) {
	const gib = uint64(1) << 30
	for _, c := range []struct {
		name   string
		offset uint64
		h      binlog.Header
		inside bool
		start  uint64
		end    uint64
		code   string
	}{
		{"next", 100, binlog.Header{Size: 50, End: 150}, true, 100, 150, ""},
		{"no end inside a group", 100, binlog.Header{Size: 50}, true, 100, 150, ""},
		{"made up, not in the log", 100, binlog.Header{Size: 50}, false, 100, 100, ""},
		{"artificial", 100, binlog.Header{Size: 50, End: 9, Flags: binlog.FlagArtificial}, false, 100, 100, ""},
		{"heartbeat", 100, binlog.Header{Type: binlog.TypeHeartbeatV2, Size: 50, End: 100}, false, 100, 100, ""},
		{"others left out before", 100, binlog.Header{Size: 50, End: 1000}, false, 950, 1000, ""},
		{"a gap", 100, binlog.Header{Size: 50, End: 151}, true, 100, 100, "offset_gap"},
		{"beyond 4 GiB", 4*gib - 10, binlog.Header{Size: 50, End: 40}, true, 4*gib - 10, 4*gib + 40, ""},
		{"left out across 4 GiB", 4*gib - 10, binlog.Header{Size: 50, End: 140}, false, 4*gib + 90, 4*gib + 140, ""},
	} {
		p := place{file: &event.LogFile{}, offset: c.offset}
		start, err := p.pass(c.h, c.inside)
		if resilience.CodeOf(err) != c.code || start != c.start || p.offset != c.end {
			t.Errorf("%s: %d to %d, %v; want %d to %d", c.name, start, p.offset, err, c.start, c.end)
		}
	}
}

func TestHeartbeatsMoveForwardOnly(t *testing.T) {
	const high = 1 << 32
	for _, c := range []struct {
		typ      binlog.EventType
		file     string
		at, want uint64
	}{
		{binlog.TypeHeartbeat, "f", 2000, high + 2000},
		{binlog.TypeHeartbeat, "f", 500, high + 1000},
		{binlog.TypeHeartbeat, "g", 2000, high + 1000},
		{binlog.TypeHeartbeatV2, "f", high + 5000, high + 5000},
		{binlog.TypeHeartbeatV2, "f", 5000, high + 1000},
	} {
		p := place{file: &event.LogFile{Name: "f"}, offset: high + 1000}
		p.heartbeat(binlog.Header{Type: c.typ}, binlog.Heartbeat{File: c.file, Offset: c.at})
		if p.offset != c.want {
			t.Errorf("%+v: at %d", c, p.offset)
		}
	}
}
