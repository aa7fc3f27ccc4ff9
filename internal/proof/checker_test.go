package proof

import (
	"fmt"
	"slices"
	"testing"
)

// history is a small clean log: four transactions over two topics of two
// partitions, one with a key change, one with a delete and its tombstone.
func history() []Record {
	h := &log{next: map[string]int64{}}
	h.tx(1, []string{"a/0 k1 c", "a/1 k2 c", "b/0 k9 c"})
	h.tx(3, []string{"a/0 k1 u"})
	h.tx(4, []string{"a/1 k2 d", "b/0 k9 u"})
	h.tx(7, []string{"b/1 k5 c", "a/0 k1 u"})
	return h.recs
}

type log struct {
	recs []Record
	next map[string]int64
	ver  map[string]int
}

func (l *log) tx(seq int, rows []string) {
	touched := map[string]bool{}
	for i, r := range rows {
		var topic, key, op string
		var part int
		_, _ = fmt.Sscanf(r[2:], "%d %s %s", &part, &key, &op)
		topic = r[:1]
		at := fmt.Sprintf("%s/%d", topic, part)
		touched[at] = true
		h := map[string]string{"cdcd.seq": fmt.Sprint(seq), "cdcd.term": "1", "cdcd.tx": fmt.Sprint("g:", seq), "cdcd.row": fmt.Sprint(i + 1)}
		if i == len(rows)-1 {
			h["cdcd.rows"] = fmt.Sprint(len(rows))
		}
		l.recs = append(l.recs, Record{Topic: topic, Partition: part, Offset: l.next[at], Key: []byte(key), Value: l.value(topic+key, op), Headers: h})
		l.next[at]++
	}
	for at := range touched {
		l.next[at]++ // the commit marker
	}
}

func (l *log) value(id, op string) []byte {
	if l.ver == nil {
		l.ver = map[string]int{}
	}
	before, after := "null", "null"
	if op != "c" {
		before = fmt.Sprintf(`{"v":%d}`, l.ver[id])
	}
	if op != "d" {
		l.ver[id]++
		after = fmt.Sprintf(`{"v":%d}`, l.ver[id])
	}
	return fmt.Appendf(nil, `{"before":%s,"after":%s,"op":%q}`, before, after, op)
}

// inParts is a history whose last transaction lies in two Kafka transactions.
func inParts() []Record {
	h := &log{next: map[string]int64{"a/0": 50, "a/1": 50}}
	h.tx(9, []string{"a/0 k3 c", "a/1 k6 c", "a/0 k4 c", "a/0 k3 u", "a/1 k6 u"})
	for i := range h.recs[2:] {
		h.recs[2+i].Offset++ // a marker lies in front of the third row
	}
	return append(history(), h.recs...)
}

func judge(t *testing.T, recs []Record) []Violation {
	return judgeBy(t, recs, Rules{ExactlyOnce: true})
}

func judgeBy(t *testing.T, recs []Record, rules Rules) []Violation {
	t.Helper()
	ch, err := ParseChanges(recs)
	if err != nil {
		return []Violation{{"format", err.Error()}}
	}
	return append(Check(ch, rules), CheckVersions(ch, "v")...)
}

func TestCleanHistoryPasses(t *testing.T) {
	if v := judge(t, history()); len(v) != 0 {
		t.Fatalf("violations in a clean history: %v", v)
	}
	if v := judgeBy(t, inParts(), Rules{ExactlyOnce: true, InParts: 4}); len(v) != 0 {
		t.Fatalf("violations in a clean history with a transaction in parts: %v", v)
	}
	ch, err := ParseChanges(inParts())
	if err != nil {
		t.Fatal(err)
	}
	if parts := Parts(ch); parts[9] != 2 || parts[1] != 1 || parts[4] != 1 || len(parts) != 5 {
		t.Errorf("parts: %v", parts)
	}
}

// TestSmallTransactionsAreStillWhole: that large ones may come in parts excuses
// no other.
func TestSmallTransactionsAreStillWhole(t *testing.T) {
	if len(judgeBy(t, inParts(), Rules{ExactlyOnce: true, InParts: 5})) == 0 {
		t.Error("a torn transaction of five rows was not found")
	}
}

// TestEveryPlantedFaultIsFound strikes every record of the history with every
// kind of fault: a checker that misses one proves nothing.
func TestEveryPlantedFaultIsFound(t *testing.T) {
	faults := map[string]func([]Record, int) []Record{
		"dropped": func(r []Record, i int) []Record { return slices.Delete(r, i, i+1) },
		"doubled": func(r []Record, i int) []Record {
			d := r[i]
			d.Offset = 100
			return append(r, d)
		},
		"swapped": func(r []Record, i int) []Record {
			j := (i + 1) % len(r)
			for ; r[j].Topic != r[i].Topic || r[j].Partition != r[i].Partition || j == i; j = (j + 1) % len(r) {
				if j == i {
					return nil // alone in its partition
				}
			}
			r[i], r[j] = swapBodies(r[i], r[j])
			return r
		},
		"altered": func(r []Record, i int) []Record {
			r[i].Value = []byte(`{"before":{"v":77},"after":{"v":78},"op":"u"}`)
			return r
		},
	}
	for name, fault := range faults {
		for _, clean := range []func() []Record{history, inParts} {
			for i := range clean() {
				recs := fault(clean(), i)
				if recs == nil || name == "altered" && string(clean()[i].Value[10:14]) == "null" {
					continue // an insert has no state before it to contradict: the ledger finds it
				}
				if len(judgeBy(t, recs, Rules{ExactlyOnce: true, InParts: 4})) == 0 {
					t.Errorf("record %d of %d %s: not found", i, len(clean()), name)
				}
			}
		}
	}
}

func swapBodies(a, b Record) (Record, Record) {
	a.Key, b.Key, a.Value, b.Value, a.Headers, b.Headers = b.Key, a.Key, b.Value, a.Value, b.Headers, a.Headers
	return a, b
}

func TestTornTransactionIsFound(t *testing.T) {
	recs := history()
	h := &log{next: map[string]int64{"a/0": 50}}
	h.tx(9, []string{"a/0 k3 c", "a/0 k4 c"})
	h.recs[1].Offset += 1 // a marker lies between the two
	if len(judge(t, append(recs, h.recs...))) == 0 {
		t.Error("a source transaction over two Kafka transactions was not found")
	}
}

func TestFold(t *testing.T) {
	ch, err := ParseChanges(history())
	if err != nil {
		t.Fatal(err)
	}
	got := Fold(ch)
	if len(got["a"]) != 1 || string(got["a"]["k1"]["v"]) != "3" || len(got["b"]) != 2 {
		t.Fatalf("folded: %v", got)
	}
}

// TestChunksDeliveredAtLeastOnce: a record may come twice with the same content,
// and a chunk that a dead process has begun may stay without its end.
func TestChunksDeliveredAtLeastOnce(t *testing.T) {
	chunk := func(term int, id string, offset int64, rows ...int) (recs []Record) {
		for i, v := range rows {
			h := map[string]string{"cdcd.seq": "7", "cdcd.term": fmt.Sprint(term), "cdcd.tx": id, "cdcd.row": fmt.Sprint(i + 1)}
			if i == 2 {
				h["cdcd.rows"] = "3"
			}
			recs = append(recs, Record{Topic: "c", Offset: offset + int64(i), Key: fmt.Append(nil, i), Headers: h,
				Value: fmt.Appendf(nil, `{"before":null,"after":{"v":%d},"op":"r"}`, v)})
		}
		return recs
	}
	for _, c := range []struct {
		name string
		then []Record
		bad  bool
	}{
		{"again", chunk(1, "s:1", 10, 1, 2, 3), false},
		{"again in part", chunk(1, "s:1", 10, 1, 2), false},
		{"with another row", chunk(1, "s:1", 10, 1, 5, 3), true},
		{"another one", chunk(2, "s:2", 10, 1, 5, 3), false},
		{"another one in part", chunk(1, "s:2", 10, 1, 5), true},
		{"another one in part, then a third", append(chunk(1, "s:2", 10, 1, 5), chunk(2, "s:3", 20, 1, 6, 3)...), false},
	} {
		ch, err := ParseChanges(append(chunk(1, "s:1", 0, 1, 2, 3), c.then...))
		if err != nil {
			t.Fatal(err)
		}
		if found := Check(ch, Rules{}); len(found) > 0 != c.bad {
			t.Errorf("%s: %v", c.name, found)
		}
	}
}
