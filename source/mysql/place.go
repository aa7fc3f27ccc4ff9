package mysql

import (
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// place keeps count of where the stream is. Headers carry only the low 32 bits
// of an offset, and MariaDB 11.4 and later none inside a group, so the count is
// our own, checked against the header where it says something.
type place struct {
	file   *event.LogFile
	offset uint64 // after the last event
}

func (p *place) coord() event.Coord { return event.Coord{File: p.file, Offset: p.offset} }

// pass moves over a top-level event and returns the offset of its first byte.
// Between transactions the server leaves out what the GTID set covers, so
// offsets may jump ahead; inside one a jump means that something is missing.
func (p *place) pass(h binlog.Header, inside bool) (start uint64, err error) {
	if h.Artificial() || h.Type == binlog.TypeHeartbeat || h.Type == binlog.TypeHeartbeatV2 {
		return p.offset, nil
	}
	if h.End == 0 && !inside {
		return p.offset, nil // a format event sent again, a list made up: not in the log
	}
	end := p.offset + uint64(h.Size)
	if h.End != 0 {
		jump := h.End - uint32(end)
		if jump != 0 && inside {
			return p.offset, resilience.Errorf(resilience.Fatal, "offset_gap", opRead,
				"a %s event ends at %d (mod 2^32), %d is due: part of the transaction is missing", h.Type, h.End, uint32(end))
		}
		end += uint64(jump)
	}
	start = end - uint64(h.Size)
	p.offset = end
	return start, nil
}

// enter goes to the start of a file, or to an offset in it. The same file
// keeps its identity and its stamp.
func (p *place) enter(file string, offset uint64) {
	if p.file == nil || p.file.Name != file {
		p.file = &event.LogFile{Name: file}
	}
	p.offset = offset
}

// stamp ties the file to its format event.
func (p *place) stamp(f *binlog.Format) {
	if p.file.StampTime == f.StampTime && p.file.StampServer == f.StampServer {
		return
	}
	p.file = &event.LogFile{Name: p.file.Name, StampTime: f.StampTime, StampServer: f.StampServer}
}

// heartbeat moves to where an idle server says it is.
func (p *place) heartbeat(h binlog.Header, hb binlog.Heartbeat) {
	if p.file == nil || hb.File != p.file.Name {
		return // the ROTATE that tells of another file comes by itself
	}
	if h.Type == binlog.TypeHeartbeat {
		if ahead := uint32(hb.Offset) - uint32(p.offset); ahead < 1<<31 {
			p.offset += uint64(ahead)
		}
		return
	}
	p.offset = max(p.offset, hb.Offset)
}
