package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/cdcd-io/cdcd/format"
)

// Layout of a record batch, version 2, behind the length that precedes it in a
// produce request. What is known only when it is sent (producer id, epoch and
// first sequence, the transactional bit, the checksum over them) is patched in
// by stamp.
const (
	prefixSize = 4  // length of all that follows, as RawRecordSet wants it
	headerSize = 61 // of a batch

	offLength    = 8
	offEpoch     = 12
	offMagic     = 16
	offCRC       = 17
	offAttrs     = 21
	offLastDelta = 23
	offFirstTime = 27
	offMaxTime   = 35
	offProducer  = 43
	offPEpoch    = 51
	offSequence  = 53
	offCount     = 57

	attrTransactional = 1 << 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putHeader writes the prefix and the header of a batch of size bytes (header
// included) into dst.
func putHeader(dst []byte, size int, codec Compression, count int32, first, last int64) {
	binary.BigEndian.PutUint32(dst, uint32(size))
	h := dst[prefixSize : prefixSize+headerSize]
	clear(h)
	binary.BigEndian.PutUint32(h[offLength:], uint32(size-offEpoch))
	binary.BigEndian.PutUint32(h[offEpoch:], ^uint32(0))
	h[offMagic] = 2
	binary.BigEndian.PutUint16(h[offAttrs:], uint16(codec))
	binary.BigEndian.PutUint32(h[offLastDelta:], uint32(count-1))
	binary.BigEndian.PutUint64(h[offFirstTime:], uint64(first))
	binary.BigEndian.PutUint64(h[offMaxTime:], uint64(last))
	binary.BigEndian.PutUint32(h[offCount:], uint32(count))
}

// stamp makes the prefixed batch one of this producer and seals it with its
// checksum. From then on the bytes do not change: a repetition must be the same.
func stamp(prefixed []byte, pid int64, epoch int16, seq int32, transactional bool) {
	b := prefixed[prefixSize:]
	if transactional {
		b[offAttrs+1] |= attrTransactional
	}
	binary.BigEndian.PutUint64(b[offProducer:], uint64(pid))
	binary.BigEndian.PutUint16(b[offPEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(b[offSequence:], uint32(seq))
	binary.BigEndian.PutUint32(b[offCRC:], crc32.Checksum(b[offAttrs:], castagnoli))
}

// nextSequence is the sequence number after count records; it wraps to 0.
func nextSequence(seq, count int32) int32 {
	return int32((uint32(seq) + uint32(count)) & 0x7fffffff)
}

// headers is a run of encoded record headers.
type headers struct {
	bytes []byte
	count int
}

func (h *headers) reset() { h.bytes, h.count = h.bytes[:0], 0 }

func (h *headers) add(key string, value []byte) {
	h.bytes = appendVarint(h.bytes, int64(len(key)))
	h.bytes = append(h.bytes, key...)
	h.bytes = appendVarint(h.bytes, int64(len(value)))
	h.bytes = append(h.bytes, value...)
	h.count++
}

// recordSize is the length of a record's body: what follows its own length.
func recordSize(r *format.Record, timeDelta, offsetDelta int64, h1, h2 *headers) int {
	return 1 + varintLen(timeDelta) + varintLen(offsetDelta) + bytesLen(r.Key) + bytesLen(r.Value) +
		varintLen(int64(h1.count+h2.count)) + len(h1.bytes) + len(h2.bytes)
}

// appendRecord appends a record whose body has size bytes.
func appendRecord(dst []byte, size int, r *format.Record, timeDelta, offsetDelta int64, h1, h2 *headers) []byte {
	dst = appendVarint(dst, int64(size))
	dst = append(dst, 0)
	dst = appendVarint(dst, timeDelta)
	dst = appendVarint(dst, offsetDelta)
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = appendVarint(dst, int64(h1.count+h2.count))
	dst = append(dst, h1.bytes...)
	return append(dst, h2.bytes...)
}

func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // zigzag of -1
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}

// appendVarint appends v in zigzag form, seven bits a byte.
func appendVarint(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v)<<1^uint64(v>>63))
}

func varintLen(v int64) int {
	return (bits.Len64(uint64(v)<<1^uint64(v>>63)|1) + 6) / 7
}
