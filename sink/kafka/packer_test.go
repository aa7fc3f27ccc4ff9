package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

// fixedTopics knows every topic, with the same settings.
type fixedTopics struct {
	partitions int32
	maxBytes   int
	known      map[string]*topic
}

func (f *fixedTopics) topic(name string) (*topic, error) {
	if f.known == nil {
		f.known = map[string]*topic{}
	}
	if f.known[name] == nil {
		f.known[name] = &topic{name: name, partitions: f.partitions, maxBytes: f.maxBytes, leaders: make([]int32, f.partitions)}
	}
	return f.known[name], nil
}

func newTestPacker(ts topicSource, codec Compression, batchBytes int) (*packer, *atomic.Pointer[lineFacts]) {
	facts := &atomic.Pointer[lineFacts]{}
	facts.Store(&lineFacts{era: 1, term: 42})
	return &packer{topics: ts, line: facts, pool: &unitPool{}, codec: codec, compress: newCompressor(codec), batchBytes: batchBytes,
		obs: &Observer{}, facts: facts.Load()}, facts
}

func pack(t testing.TB, p *packer) *unit {
	t.Helper()
	packed, err := p.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed.(*unit)
}

// recordsOf decodes all batches of a unit, by partition.
func recordsOf(t testing.TB, u *unit) map[int32][]record {
	t.Helper()
	all := map[int32][]record{}
	for i := range u.batches {
		b := &u.batches[i]
		stamp(b.bytes(), 7, 3, 100, true)
		head, recs := decodeBatch(t, b.bytes())
		if head.ProducerID != 7 || head.ProducerEpoch != 3 || head.BaseSequence != 100 || !head.Attributes.Transactional() {
			t.Errorf("stamp is lost: %+v", head)
		}
		if len(recs) != int(b.count) {
			t.Errorf("batch counts %d records, holds %d", b.count, len(recs))
		}
		all[b.part] = append(all[b.part], recs...)
	}
	return all
}

func tx(n, rows uint64) *event.Tx {
	t := eventtest.Tx(n)
	t.Rows = rows
	return t
}

func TestEveryCodecReadsBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for codec := None; codec <= Zstd; codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			p, _ := newTestPacker(&fixedTopics{partitions: 3, maxBytes: 1 << 20}, codec, 300000)
			rt := (&format.Routes{}).Topic("a")
			var want [][]byte
			p.Start(&event.Piece{Tx: tx(1, 2000), First: true, Last: true})
			for i := range 2000 {
				value := bytes.Repeat(fmt.Appendf(nil, "%x", random.Uint64()), random.IntN(40))
				want = append(want, value)
				if err := p.Emit(&format.Record{Route: rt, Key: fmt.Append(nil, i), Value: value, Millis: int64(1000 + i%7), Ordinal: uint64(i + 1)}); err != nil {
					t.Fatal(err)
				}
			}
			u := pack(t, p)
			if len(u.batches) < 3 {
				t.Errorf("%d batches", len(u.batches))
			}
			seen := 0
			for part, recs := range recordsOf(t, u) {
				for _, r := range recs {
					i := 0
					fmt.Sscan(string(r.key), &i)
					if !bytes.Equal(r.value, want[i]) || r.millis != int64(1000+i%7) || partitionOf(r.key, 3) != part {
						t.Fatalf("record %d reads back as %+v in partition %d", i, r, part)
					}
					seen++
				}
			}
			if seen != len(want) {
				t.Errorf("%d of %d records", seen, len(want))
			}
		})
	}
}

func TestIncompressibleBatchIsStoredPlain(t *testing.T) {
	p, _ := newTestPacker(&fixedTopics{partitions: 1, maxBytes: 1 << 20}, LZ4, 1<<20)
	value := make([]byte, 100000)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	if err := p.Emit(&format.Record{Route: (&format.Routes{}).Topic("a"), Value: value}); err != nil {
		t.Fatal(err)
	}
	u := pack(t, p)
	if u.arena[prefixSize+offAttrs+1]&7 != byte(None) {
		t.Error("a batch that did not shrink says that it is compressed")
	}
	if got := recordsOf(t, u)[0][0].value; !bytes.Equal(got, value) {
		t.Error("value differs")
	}
}

func TestHeadersLetAReaderWaitForTheRest(t *testing.T) {
	p, _ := newTestPacker(&fixedTopics{partitions: 1, maxBytes: 1 << 20}, None, 1<<20)
	routes := &format.Routes{}
	data, blocks := routes.Topic("data"), routes.Topic("transaction")
	emit := func(r format.Record) {
		t.Helper()
		if err := p.Emit(&r); err != nil {
			t.Fatal(err)
		}
	}
	txn := tx(9, 2)
	p.Start(&event.Piece{Tx: txn, First: true, Last: true})
	emit(format.Record{Route: blocks})
	emit(format.Record{Route: data, Ordinal: 1, Headers: []format.Header{{Key: "own", Value: []byte("x")}}})
	emit(format.Record{Route: data, Ordinal: 2, Part: 1, Parts: 3})
	emit(format.Record{Route: data, Ordinal: 2, Part: 3, Parts: 3})
	emit(format.Record{Route: blocks})
	p.Start(nil)
	emit(format.Record{Route: blocks})
	var got []string
	for _, b := range pack(t, p).batches {
		stamp(b.bytes(), 1, 1, 0, false)
		_, recs := decodeBatch(t, b.bytes())
		for _, r := range recs {
			got = append(got, fmt.Sprint(b.topic.name, " ", r.header("cdcd.seq"), r.header("cdcd.term"), " ", r.header("cdcd.tx") == txn.Key,
				" ", r.header("cdcd.row"), " ", r.header("cdcd.rows"), " ", r.header("own")))
		}
	}
	want := []string{
		"transaction 942 true - - -", "transaction 942 true - 2 -", "transaction -42 false - - -",
		"data 942 true 1 - x", "data 942 true 2.1/3 2 -", "data 942 true 2.3/3 2 -",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNullKeysAndBroadcast(t *testing.T) {
	p, _ := newTestPacker(&fixedTopics{partitions: 5, maxBytes: 1 << 20}, LZ4, 1<<20)
	rt := (&format.Routes{}).Topic("some.topic")
	p.Start(&event.Piece{Tx: tx(1, 3), First: true, Last: true})
	for i := range 3 {
		if err := p.Emit(&format.Record{Route: rt, Value: []byte{byte(i)}, Ordinal: uint64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Emit(&format.Record{Route: rt, Value: []byte("t"), Broadcast: true}); err != nil {
		t.Fatal(err)
	}
	for part, recs := range recordsOf(t, pack(t, p)) {
		want := 1
		if part == partitionOf([]byte("some.topic"), 5) {
			want = 4
		}
		if len(recs) != want || recs[len(recs)-1].key != nil {
			t.Errorf("partition %d has %d records, want %d", part, len(recs), want)
		}
	}
}

func TestBatchesKeepTheLimitOfTheirTopic(t *testing.T) {
	const limit = 5000
	p, _ := newTestPacker(&fixedTopics{partitions: 1, maxBytes: limit}, Zstd, 1<<20)
	rt := (&format.Routes{}).Topic("a")
	for i := range 300 {
		if err := p.Emit(&format.Record{Route: rt, Value: make([]byte, i*10)}); err != nil {
			t.Fatal(err)
		}
	}
	u := pack(t, p)
	for i := range u.batches {
		b := &u.batches[i]
		stamp(b.bytes(), 7, 3, 100, true)
		_, recs := decodeBatch(t, b.bytes())
		raw := headerSize
		for _, r := range recs {
			raw += len(r.value)
		}
		if raw > limit || b.size()-prefixSize > limit {
			t.Errorf("batch %d holds %d bytes of values, the limit is %d", i, raw, limit)
		}
	}
	if n := len(recordsOf(t, u)[0]); n != 300 {
		t.Errorf("%d of 300 records", n)
	}
}

func TestRecordLargerThanItsTopicTakesIsPoison(t *testing.T) {
	p, _ := newTestPacker(&fixedTopics{partitions: 1, maxBytes: 2000}, LZ4, 1<<20)
	rt := (&format.Routes{}).Topic("shop.orders")
	table := &event.Table{Database: "shop", Name: "orders"}
	p.Start(&event.Piece{Tx: tx(5, 2), Events: []event.RawRows{{Table: table, Rows: 2}}})
	if err := p.Emit(&format.Record{Route: rt, Value: make([]byte, 100), Ordinal: 1}); err != nil {
		t.Fatal(err)
	}
	err := p.Emit(&format.Record{Route: rt, Value: make([]byte, 3000), Ordinal: 2})
	if resilience.ClassOf(err) != resilience.Poison || resilience.CodeOf(err) != "record_too_large" {
		t.Fatalf("got %v", err)
	}
	for _, word := range []string{"shop.orders", "2000", "max.message.bytes", "row 2"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	if _, err := p.Pack(); err == nil {
		t.Error("Pack forgot the error")
	}
	if err := p.Emit(&format.Record{Route: rt, Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if u := pack(t, p); len(u.batches) != 1 || u.batches[0].count != 1 {
		t.Errorf("after an error the packer still holds %+v", u.batches)
	}
}

func TestRecordLargerThanItsTopicTakesMayLeaveWithItsKey(t *testing.T) {
	p, _ := newTestPacker(&fixedTopics{partitions: 1, maxBytes: 2000}, None, 1<<20)
	told := 0
	p.keyOnly, p.obs = true, &Observer{KeyOnly: func() { told++ }}
	rt := (&format.Routes{}).Topic("shop.orders")
	p.Start(&event.Piece{Tx: tx(5, 4), First: true, Last: true})
	row := func(ordinal uint64, key string, size, oversize int) error {
		r := &format.Record{Route: rt, Value: make([]byte, size), Ordinal: ordinal, Oversize: oversize}
		if key != "" {
			r.Key = []byte(key)
		}
		return p.Emit(r)
	}
	for ordinal := range uint64(3) {
		if err := row(ordinal+1, "k", 100, 0); err != nil {
			t.Fatal(err)
		}
	}
	err := row(4, "k", 3000, 0)
	var room *format.Oversize
	if !errors.As(err, &room) || room.Bytes < 3000 || room.Bytes > 3200 || resilience.CodeOf(err) != "record_too_large" {
		t.Fatalf("got %v", err)
	}
	if err := row(4, "k", 10, room.Bytes); err != nil {
		t.Fatal(err)
	}
	recs := recordsOf(t, pack(t, p))[0]
	if len(recs) != 4 || told != 1 {
		t.Fatalf("%d records, %d of them with their key only", len(recs), told)
	}
	for i, r := range recs {
		want := "-"
		if i == 3 {
			want = strconv.Itoa(room.Bytes)
		}
		if got := r.header("cdcd.oversize"); got != want || r.header("cdcd.row") != strconv.Itoa(i+1) {
			t.Errorf("record %d has the size %s, want %s", i, got, want)
		}
	}
	if got := recs[3].header("cdcd.rows"); got != "4" {
		t.Errorf("the last record counts %s rows", got)
	}
}

// TestWhatItsKeyDoesNotHelp stops by name as without the policy.
func TestWhatItsKeyDoesNotHelp(t *testing.T) {
	for name, tt := range map[string]struct {
		r    format.Record
		hint string
	}{
		"no key":                 {format.Record{Value: make([]byte, 3000), Ordinal: 1}, "without a primary key"},
		"too large with its key": {format.Record{Key: []byte("k"), Value: make([]byte, 3000), Ordinal: 1, Oversize: 9000}, "with its key only, either"},
		"tombstone":              {format.Record{Key: make([]byte, 3000), Ordinal: 1}, "max.message.bytes"},
		"no row":                 {format.Record{Key: []byte("k"), Value: make([]byte, 3000)}, "max.message.bytes"},
	} {
		p, _ := newTestPacker(&fixedTopics{partitions: 1, maxBytes: 2000}, None, 1<<20)
		p.keyOnly = true
		tt.r.Route = (&format.Routes{}).Topic("shop.orders")
		p.Start(&event.Piece{Tx: tx(5, 1), First: true, Last: true})
		err := p.Emit(&tt.r)
		var room *format.Oversize
		if errors.As(err, &room) || resilience.CodeOf(err) != "record_too_large" || resilience.ClassOf(err) != resilience.Poison {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(resilience.HintOf(err), tt.hint) {
			t.Errorf("%s: the hint is %q", name, resilience.HintOf(err))
		}
		if _, err := p.Pack(); err == nil {
			t.Errorf("%s: Pack forgot the error", name)
		}
	}
}

func TestHugeRecordsLeaveNoMemoryBehind(t *testing.T) {
	p, _ := newTestPacker(&fixedTopics{partitions: 1, maxBytes: 64 << 20}, None, 1<<20)
	rt := (&format.Routes{}).Topic("a")
	for range 3 {
		if err := p.Emit(&format.Record{Route: rt, Value: make([]byte, 20<<20)}); err != nil {
			t.Fatal(err)
		}
		pack(t, p).release()
	}
	kept := p.want + p.pool.bytes
	for _, b := range p.idle {
		kept += cap(b)
	}
	if kept > maxWant+unitPoolBytes {
		t.Errorf("%d bytes are kept", kept)
	}
}

func TestPackerFollowsTheLine(t *testing.T) {
	ts := &fixedTopics{partitions: 2, maxBytes: 1 << 20}
	p, facts := newTestPacker(ts, None, 1<<20)
	rt := (&format.Routes{}).Topic("a")
	emit := func() *unit {
		p.Start(&event.Piece{Tx: tx(1, 1), First: true, Last: true})
		if err := p.Emit(&format.Record{Route: rt, Key: []byte("k"), Ordinal: 1}); err != nil {
			t.Fatal(err)
		}
		return pack(t, p)
	}
	emit()
	ts.known, ts.partitions = nil, 8
	facts.Store(&lineFacts{era: 2, term: 43})
	u := emit()
	if u.era != 2 || u.batches[0].part != partitionOf([]byte("k"), 8) {
		t.Errorf("unit of era %d in partition %d", u.era, u.batches[0].part)
	}
	for _, recs := range recordsOf(t, u) {
		if got := recs[0].header("cdcd.term"); got != "43" {
			t.Errorf("term %s", got)
		}
	}
}

func TestPackingAllocatesNothing(t *testing.T) {
	p, _ := newTestPacker(&fixedTopics{partitions: 4, maxBytes: 1 << 20}, LZ4, 1<<20)
	work := packWork(p)
	work(t)
	least := math.Inf(1)
	for range 5 { // whatever else the process still does can only add to a count
		least = min(least, testing.AllocsPerRun(20, func() { work(t) }))
	}
	if least > 0 {
		t.Errorf("%.1f allocations for %d records", least, workRecords)
	}
}

const workRecords = 2000

// packWork returns a function that packs a unit of rows and releases it.
func packWork(p *packer) func(testing.TB) {
	rows := packRows(p, (&format.Routes{}).Topic("shop.sbtest1"), 1767225600123)
	return func(t testing.TB) {
		rows(t)
		pack(t, p).release()
	}
}

// packRows returns a function that emits rows as they come from a table of
// sysbench.
func packRows(p *packer, rt *format.Route, millis int64) func(testing.TB) {
	piece := &event.Piece{Tx: tx(3, workRecords), First: true, Last: true}
	values := make([][]byte, 64)
	random := rand.New(rand.NewPCG(1, 2))
	digits := func() string { return fmt.Sprintf("%011d", random.Uint64N(1e11)) }
	for i := range values {
		values[i] = fmt.Appendf(nil, `{"before":null,"after":{"id":%d,"k":%d,"c":"%s-%s-%s-%s","pad":"%s-%s"},"source":{"version":"1.0","connector":"mysql","name":"shop","ts_ms":1767225600123,"db":"shop","table":"sbtest1","server_id":31,"gtid":"3e11fa47-71ca-11e1-9e33-c80aa9429562:3","file":"binlog.000007","pos":%d,"row":0},"op":"c","ts_ms":1767225600200}`,
			i, random.Uint32(), digits(), digits(), digits(), digits(), digits(), digits(), i*400)
	}
	key := make([]byte, 0, 32)
	r := &format.Record{Route: rt, Millis: millis}
	return func(t testing.TB) {
		p.Start(piece)
		for i := range workRecords {
			key = append(strconv.AppendInt(append(key[:0], `{"id":`...), int64(i), 10), '}')
			r.Key, r.Value, r.Ordinal = key, values[i&63], uint64(i+1)
			if err := p.Emit(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func BenchmarkPack(b *testing.B) {
	for codec := None; codec <= Zstd; codec++ {
		b.Run(codec.String(), func(b *testing.B) {
			p, _ := newTestPacker(&fixedTopics{partitions: 4, maxBytes: 1 << 20}, codec, 1000000)
			work := packWork(p)
			b.ReportAllocs()
			for b.Loop() {
				work(b)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*workRecords), "ns/record")
		})
	}
}
