package kafka

import "encoding/binary"

// Small batches are left as packed: plain, so that those which wait for the
// same partition can be joined, since each would cost a round trip of its own.
// What comes of it is compressed when it leaves.
const (
	smallBatch  = 4 << 10  // bytes of records up to which a batch is small
	joinedBatch = 32 << 10 // largest batch made of small ones
)

// joinable tells whether next may become part of b: both are small ones of the
// same partition and neither has left.
func (b *batch) joinable(next *batch) bool {
	return b.small && next.small && !b.sent && b.size()+next.size() <= min(joinedBatch, b.topic.maxBytes)
}

// join returns a batch with the records of b and then those of next, as if
// they had been packed together. The memory is its own.
func (b *batch) join(next *batch) *batch {
	x, y := b.bytes(), next.bytes()
	dst := append(make([]byte, 0, len(x)+len(y)+int(next.count)), x...)
	first, last := batchTimes(x)
	nextFirst, nextLast := batchTimes(y)
	dst = appendMoved(dst, y[prefixSize+headerSize:], nextFirst-first, int64(b.count))
	putHeader(dst, len(dst)-prefixSize, None, b.count+next.count, first, max(last, nextLast))
	return &batch{unit: &unit{arena: dst}, topic: b.topic, part: b.part, count: b.count + next.count, to: len(dst), small: true}
}

func batchTimes(prefixed []byte) (first, last int64) {
	h := prefixed[prefixSize:]
	return int64(binary.BigEndian.Uint64(h[offFirstTime:])), int64(binary.BigEndian.Uint64(h[offMaxTime:]))
}

// appendMoved appends plain records that move into another batch: their times
// and numbers count from its first record.
func appendMoved(dst, records []byte, time, number int64) []byte {
	for len(records) > 0 {
		size, n := binary.Varint(records)
		body := records[n : n+int(size)]
		records = records[n+int(size):]
		t, tLen := binary.Varint(body[1:])
		i, iLen := binary.Varint(body[1+tLen:])
		rest := body[1+tLen+iLen:]
		t, i = t+time, i+number
		dst = appendVarint(dst, int64(1+varintLen(t)+varintLen(i)+len(rest)))
		dst = append(dst, body[0])
		dst = appendVarint(appendVarint(dst, t), i)
		dst = append(dst, rest...)
	}
	return dst
}

// squeeze compresses a plain batch, if that makes it smaller. It must not have
// been stamped.
func (b *batch) squeeze(codec Compression, compress compressor) error {
	if codec == None {
		return nil
	}
	x := b.bytes()
	dst := append(make([]byte, 0, len(x)+lz4Slack), x[:prefixSize+headerSize]...)
	dst, err := compress(dst, x[prefixSize+headerSize:])
	if err != nil || len(dst) >= len(x) {
		return err
	}
	first, last := batchTimes(x)
	putHeader(dst, len(dst)-prefixSize, codec, b.count, first, last)
	b.unit, b.from, b.to = &unit{arena: dst}, 0, len(dst)
	return nil
}

const lz4Slack = 256 // what a compressor may need beyond the size of what it is given
