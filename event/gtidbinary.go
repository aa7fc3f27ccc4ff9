package event

import "encoding/binary"

// AppendBinary appends a MySQL set as COM_BINLOG_DUMP_GTID carries it, little
// endian: the number of runs, then for each the source id, its tag (only in
// the format for tagged sets), the number of its intervals and each of them as
// first and one past the last.
//
// Servers before 8.3 do not know the format for tagged sets, so it is used
// only where a tag is present.
func (s *GTIDSet) AppendBinary(dst []byte) ([]byte, error) {
	if s == nil {
		return binary.LittleEndian.AppendUint64(dst, 0), nil
	}
	tagged := s.tagged()
	dst = binary.LittleEndian.AppendUint64(dst, runCount(len(s.runs), tagged))
	for _, r := range s.runs {
		dst = append(dst, r.sid[:]...)
		if tagged {
			// The length is a variable-length integer; below 64 it is one byte
			// with a zero lowest bit.
			dst = append(append(dst, byte(len(r.tag)<<1)), r.tag...)
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(r.spans)))
		for _, sp := range r.spans {
			dst = binary.LittleEndian.AppendUint64(dst, sp.first)
			dst = binary.LittleEndian.AppendUint64(dst, sp.end)
		}
	}
	return dst, nil
}

func (s *GTIDSet) tagged() bool {
	for _, r := range s.runs {
		if r.tag != "" {
			return true
		}
	}
	return false
}

// runCount marks the format for tagged sets in the first and the last byte of
// the count, which leaves six bytes for the number.
func runCount(n int, tagged bool) uint64 {
	if !tagged {
		return uint64(n)
	}
	return 1<<56 | uint64(n)<<8 | 1
}
