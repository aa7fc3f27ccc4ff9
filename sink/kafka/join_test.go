package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
)

// smallBatchOf is a batch as a packer leaves it, with one record per key.
func smallBatchOf(t *topic, part int32, millis int64, keys ...string) batch {
	arena := appendZeros(nil, prefixSize+headerSize)
	none := &headers{}
	for i, k := range keys {
		r := &format.Record{Key: []byte(k)}
		arena = appendRecord(arena, recordSize(r, int64(i), int64(i), none, none), r, int64(i), int64(i), none, none)
	}
	n := int32(len(keys))
	putHeader(arena, len(arena)-prefixSize, None, n, millis, millis+int64(n)-1)
	return batch{unit: &unit{arena: arena}, topic: t, part: part, count: n, to: len(arena), small: true}
}

// keysOf reads the keys of a plain batch of records without values and headers.
func keysOf(b *batch) (keys []string) {
	records := b.bytes()[prefixSize+headerSize:]
	for len(records) > 0 {
		size, n := binary.Varint(records)
		body := records[n+1 : n+int(size)]
		records = records[n+int(size):]
		for range 2 { // time and number
			_, n = binary.Varint(body)
			body = body[n:]
		}
		size, n = binary.Varint(body)
		keys = append(keys, string(body[n:n+int(size)]))
	}
	return keys
}

// TestJoinedBatchesReadBack: what was packed in several units and joined reads
// back like what was packed in one, compressed or not.
func TestJoinedBatchesReadBack(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for codec := None; codec <= Zstd; codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			p, _ := newTestPacker(&fixedTopics{partitions: 1, maxBytes: 1 << 20}, codec, 300000)
			rt := (&format.Routes{}).Topic("a")
			var want []string
			var all *batch
			for n := range 20 {
				p.Start(&event.Piece{Tx: tx(uint64(n+1), 2), First: true, Last: true})
				for i := range 1 + random.IntN(20) {
					r := &format.Record{Route: rt, Key: fmt.Append(nil, len(want)), Value: []byte(strings.Repeat("v", 3*i)), Millis: 1000 - int64(50*n-i), Ordinal: uint64(i + 1)}
					want = append(want, fmt.Sprint(r.Millis, string(r.Key), string(r.Value), n+1))
					if err := p.Emit(r); err != nil {
						t.Fatal(err)
					}
				}
				u := pack(t, p)
				if b := &u.batches[0]; all == nil {
					all = b
				} else if !all.joinable(b) {
					t.Fatalf("batches of %d and %d bytes do not join", all.size(), b.size())
				} else {
					all = all.join(b)
				}
			}
			plain := bytes.Clone(all.bytes())
			if err := all.squeeze(codec, newCompressor(codec)); err != nil {
				t.Fatal(err)
			}
			if codec != None && all.size() >= len(plain) {
				t.Errorf("%d bytes became %d", len(plain), all.size())
			}
			stamp(all.bytes(), 7, 3, 100, true)
			head, recs := decodeBatch(t, all.bytes())
			var got []string
			for i, r := range recs {
				got = append(got, fmt.Sprint(r.millis, string(r.key), string(r.value), r.header("cdcd.seq")))
				if r.offset != head.BaseOffset+int64(i) {
					t.Errorf("record %d has offset %d", i, r.offset)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("reads back as %v\nwant %v", got, want)
			}
		})
	}
}

func TestWhatDoesNotJoin(t *testing.T) {
	tp := &topic{name: "a", maxBytes: 1 << 20}
	small := func() *batch { b := smallBatchOf(tp, 0, 1, "k"); return &b }
	large := small()
	large.small = false
	sent := small()
	sent.sent = true
	b := smallBatchOf(&topic{name: "narrow", maxBytes: 100}, 0, 1, "k")
	full := smallBatchOf(tp, 0, 1, strings.Repeat("k", joinedBatch))
	for name, pair := range map[string][2]*batch{
		"a large one": {large, small()}, "with a large one": {small(), large}, "one that has left": {sent, small()},
		"beyond the topic's limit": {&b, small()}, "beyond the bound": {&full, small()},
	} {
		if pair[0].joinable(pair[1]) {
			t.Error(name, "joins")
		}
	}
}
