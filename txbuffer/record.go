package txbuffer

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cdcd-io/cdcd/event"
)

// A record is one rows event on disk: a header of headerBytes, little-endian,
// and the body.
//
//	 0  checksum of the header from here on   4
//	 4  checksum of the body                  4
//	 8  length of the body                    4
//	12  index of the table version            4
//	16  rows                                  4
//	20  event header time                     4
//	24  position in the log                   8
//	32  ordinal                               8
//	40  ordinal in the table                  8
//	48  operation, event type                 2
//
// Checksums are CRC32C. The header has one of its own so that a damaged length
// is never believed. Files do not outlive the process, so the format needs no
// version, and table versions may be indexes into its memory.
const headerBytes = 50

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func recordBytes(raw *event.RawRows) int64 { return headerBytes + int64(len(raw.Body)) }

// header is the head of a record as it was read.
type header struct {
	raw     event.RawRows // without Table and Body
	bodyCRC uint32
	length  uint32
	table   uint32
}

// appendHeader appends the head of raw's record to dst.
func appendHeader(dst []byte, raw *event.RawRows, table uint32) []byte {
	le := binary.LittleEndian
	from := len(dst)
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint32(dst, crc32.Checksum(raw.Body, castagnoli))
	dst = le.AppendUint32(dst, uint32(len(raw.Body)))
	dst = le.AppendUint32(dst, table)
	dst = le.AppendUint32(dst, raw.Rows)
	dst = le.AppendUint32(dst, raw.Time)
	dst = le.AppendUint64(dst, raw.Pos)
	dst = le.AppendUint64(dst, raw.Ordinal)
	dst = le.AppendUint64(dst, raw.TableOrdinal)
	dst = append(dst, byte(raw.Op), raw.Type)
	le.PutUint32(dst[from:], crc32.Checksum(dst[from+4:], castagnoli))
	return dst
}

// parseHeader reads the head of a record; ok is false when it is damaged.
func parseHeader(b *[headerBytes]byte) (h header, ok bool) {
	le := binary.LittleEndian
	if crc32.Checksum(b[4:], castagnoli) != le.Uint32(b[:]) {
		return header{}, false
	}
	h.bodyCRC, h.length, h.table = le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	h.raw.Rows, h.raw.Time = le.Uint32(b[16:]), le.Uint32(b[20:])
	h.raw.Pos, h.raw.Ordinal, h.raw.TableOrdinal = le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:])
	h.raw.Op, h.raw.Type = event.Op(b[48]), b[49]
	return h, true
}
