package kafka

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/sink"
)

// world drives a machine the way a line does, with a broker that keeps what it
// is told in the plainest way: lists per partition, hidden until the commit.
type world struct {
	t       *rapid.T
	m       *machine
	now     time.Time
	topic   *topic
	nextID  int
	sent    []*item
	ids     map[*item][]string
	batchID map[*batch]string

	checking []*partition
	doubtful map[*partition]bool // their last transaction is not seen to have ended
	sealed   map[place]span      // what the end of the transaction says of it
	records  map[place]int32     // what the transaction holds
	joining  []*partition
	onWire   [][]*partition
	endSent  bool
	inTxn    map[int32]bool
	hidden   map[int32][]string
	visible  map[int32][]string
	position int // items covered by the last committed position
	pending  int // by the last position that is hidden
	done     []*item
}

func newWorld(t *rapid.T, transactional bool) *world {
	w := &world{
		t: t, now: time.Unix(1000, 0), topic: &topic{name: "a", leaders: make([]int32, 4), maxBytes: 600},
		ids: map[*item][]string{}, batchID: map[*batch]string{},
		doubtful: map[*partition]bool{}, records: map[place]int32{},
		inTxn: map[int32]bool{}, hidden: map[int32][]string{}, visible: map[int32][]string{},
	}
	for i := range w.topic.leaders {
		w.topic.leaders[i] = int32(i % 2)
	}
	ck := &topic{name: "ck", leaders: []int32{0}}
	w.m = newMachine(transactional, 10, 50*time.Millisecond, partKey{ck, 0})
	if transactional && rapid.Bool().Draw(t, "split") {
		w.m.splitAfter = 100 * time.Millisecond
	}
	w.m.seal = func(group []*item) ([]*batch, error) {
		if last := group[len(group)-1]; last.open && (last.part.IsZero() || w.m.splitAfter == 0 || w.now.Sub(w.m.opened) < w.m.splitAfter/4) {
			t.Fatal("a group was sealed inside a source transaction")
		}
		w.pending += len(group)
		w.sealed = map[place]span{}
		for _, p := range w.m.written {
			w.sealed[p.place()] = p.span
		}
		u := &unit{}
		u.batches = []batch{{unit: u, topic: ck, count: 1}}
		return []*batch{&u.batches[0]}, nil
	}
	return w
}

func (w *world) put() {
	u := &unit{}
	n := rapid.IntRange(0, 3).Draw(w.t, "batches")
	it := &item{unit: u, bytes: 1 + n, open: rapid.IntRange(0, 3).Draw(w.t, "open") == 0,
		idle: rapid.Bool().Draw(w.t, "idle"), ends: nil}
	if it.open && rapid.IntRange(0, 4).Draw(w.t, "whole") > 0 {
		it.part.Rows = uint64(w.nextID + 1)
	}
	it.done = func(sink.Ack, error) {}
	for range n {
		w.nextID++
		id := fmt.Sprint(w.nextID)
		w.ids[it] = append(w.ids[it], id)
		b := smallBatchOf(w.topic, int32(rapid.IntRange(0, 3).Draw(w.t, "part")), int64(w.nextID), id)
		b.small = rapid.Bool().Draw(w.t, "small")
		u.batches = append(u.batches, b)
	}
	for i := range u.batches {
		w.batchID[&u.batches[i]] = w.ids[it][i]
	}
	if n == 0 {
		it.open = len(w.sent) > 0 && w.sent[len(w.sent)-1].open && it.open
		it.ends = append(it.ends, eventCoord)
	}
	w.sent = append(w.sent, it)
	w.check(w.m.put(it, w.now))
}

func (w *world) check(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) act() {
	if parts := w.m.nextCheck(); parts != nil {
		if w.checking != nil {
			w.t.Fatal("two checks at a time")
		}
		w.checking = parts
	}
	if parts := w.m.nextJoin(); parts != nil {
		if len(w.doubtful) > 0 {
			w.t.Fatal("a transaction goes on while the last one is in doubt")
		}
		if w.joining != nil || w.endSent {
			w.t.Fatal("two requests of the transaction at a time")
		}
		w.joining = parts
	}
	for {
		leader, parts := w.m.nextProduce(1<<20, func(int32) bool { return len(w.onWire) < 3 })
		if parts == nil {
			break
		}
		for _, p := range parts {
			if p.topic.leader(p.id) != leader {
				w.t.Fatal("request with partitions of another leader")
			}
			if w.m.transactional && p.topic == w.topic && !w.inTxn[p.id] {
				w.t.Fatal("batch left before its partition was part of the transaction")
			}
		}
		w.onWire = append(w.onWire, parts)
	}
	if w.m.nextEnd() {
		if w.joining != nil || len(w.onWire) > 0 {
			w.t.Fatal("the transaction ends while something is on the wire")
		}
		w.endSent = true
	}
}

func (w *world) answerCheck() {
	parts := w.checking
	w.checking = nil
	for _, p := range parts {
		delete(w.doubtful, p)
	}
	w.m.checked(parts)
}

func (w *world) answerJoin() {
	for _, p := range w.joining {
		if p.topic == w.topic {
			w.inTxn[p.id] = true
		}
	}
	parts := w.joining
	w.joining = nil
	for _, p := range parts {
		if p.check != clean {
			w.t.Fatal("an unchecked partition joined")
		}
	}
	w.m.joined(parts)
}

func (w *world) answerProduce() {
	i := rapid.IntRange(0, len(w.onWire)-1).Draw(w.t, "request")
	parts := w.onWire[i]
	w.onWire = append(w.onWire[:i:i], w.onWire[i+1:]...)
	for _, p := range parts {
		if rapid.IntRange(0, 4).Draw(w.t, "fails") == 0 {
			w.m.retry(p)
			continue
		}
		q := w.m.acked(p)
		w.records[p.place()] += q.count
		if len(q.items) == 0 {
			continue
		}
		if ids := keysOf(q.batch); w.m.transactional {
			w.hidden[p.id] = append(w.hidden[p.id], ids...)
		} else {
			w.visible[p.id] = append(w.visible[p.id], ids...)
		}
	}
}

func (w *world) answerEnd() {
	w.endSent = false
	for at, n := range w.records {
		if s := w.sealed[at]; at.topic == w.topic.name && s.count != n {
			w.t.Fatalf("the transaction has %d records in %s, its end says %d", n, at, s.count)
		}
	}
	w.records = map[place]int32{}
	for _, p := range w.m.members {
		w.doubtful[p] = true
	}
	for p, ids := range w.hidden {
		w.visible[p] = append(w.visible[p], ids...)
	}
	w.hidden, w.inTxn, w.position = map[int32][]string{}, map[int32]bool{}, w.pending
	w.check(w.m.ended(w.now))
}

// invariants hold after every step.
func (w *world) invariants() {
	w.done = append(w.done, w.m.takeFinished()...)
	seen := map[string]bool{}
	for _, ids := range w.visible {
		for _, id := range ids {
			seen[id] = true
		}
	}
	for i, it := range w.done {
		if it != w.sent[i] {
			w.t.Fatal("items are done out of order")
		}
		for _, id := range w.ids[it] {
			if !seen[id] {
				w.t.Fatalf("item is done and batch %s is not visible", id)
			}
		}
	}
	if len(w.done) > 0 && w.done[len(w.done)-1].open && w.m.splitAfter == 0 {
		w.t.Fatal("what is done ends inside a source transaction")
	}
	if w.m.transactional {
		w.wholeTransactions(seen)
	}
}

// wholeTransactions: what is visible is a prefix of what was sent, and the
// committed position covers exactly that.
func (w *world) wholeTransactions(seen map[string]bool) {
	whole := true
	for _, it := range w.sent {
		for _, id := range w.ids[it] {
			if seen[id] && !whole {
				w.t.Fatal("a later item is visible before an earlier one")
			}
			whole = whole && seen[id]
		}
	}
}

// inOrder: each partition shows its batches in the order they were sent.
func (w *world) inOrder() {
	for part, ids := range w.visible {
		var want []string
		for _, it := range w.sent {
			if it.unit == nil {
				continue
			}
			for i := range it.unit.batches {
				if b := &it.unit.batches[i]; b.part == part {
					want = append(want, w.batchID[b])
				}
			}
		}
		for i, id := range ids {
			if id != want[i] {
				w.t.Fatalf("partition %d shows %v, sent was %v", part, ids, want)
			}
		}
	}
}

func (w *world) settle() {
	for range 10000 {
		w.act()
		switch {
		case w.checking != nil:
			w.answerCheck()
		case w.joining != nil:
			w.answerJoin()
		case len(w.onWire) > 0:
			w.answerProduce()
		case w.endSent:
			w.answerEnd()
		default:
			w.now = w.now.Add(time.Second)
			w.check(w.m.settle(w.now))
			if w.act(); w.checking == nil && w.joining == nil && len(w.onWire) == 0 && !w.endSent {
				w.invariants()
				return
			}
		}
		w.invariants()
	}
	w.t.Fatal("never comes to rest")
}

func TestMachineKeepsOrderAndWholeness(t *testing.T) {
	for _, transactional := range []bool{true, false} {
		t.Run(fmt.Sprint("transactional=", transactional), rapid.MakeCheck(func(t *rapid.T) {
			w := newWorld(t, transactional)
			for range rapid.IntRange(1, 60).Draw(t, "steps") {
				switch rapid.IntRange(0, 4).Draw(t, "step") {
				case 0:
					w.put()
				case 1:
					switch {
					case w.checking != nil:
						w.answerCheck()
					case w.joining != nil:
						w.answerJoin()
					}
				case 2:
					if len(w.onWire) > 0 {
						w.answerProduce()
					}
				case 3:
					if w.endSent {
						w.answerEnd()
					}
				case 4:
					w.now = w.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "ms")) * time.Millisecond)
					w.check(w.m.settle(w.now))
				}
				w.act()
				w.invariants()
			}
			w.put()
			last := &item{unit: &unit{}, ends: oneEnd, idle: true, done: func(sink.Ack, error) {}}
			w.sent = append(w.sent, last)
			w.check(w.m.put(last, w.now))
			w.settle()
			w.inOrder()
			if len(w.done) != len(w.sent) {
				t.Fatalf("%d of %d items are done", len(w.done), len(w.sent))
			}
			if transactional && w.position != len(w.sent) {
				t.Fatalf("the position covers %d of %d items", w.position, len(w.sent))
			}
		}))
	}
}

func quietItem(idle, open bool) *item {
	it := &item{unit: &unit{}, ends: oneEnd, idle: idle, open: open, done: func(sink.Ack, error) {}}
	if open {
		it.part.Rows = 1
	}
	return it
}

func TestGroupsLeaveWhenNothingArguesForWaiting(t *testing.T) {
	start := time.Unix(1000, 0)
	tests := []struct {
		name       string
		idle, open bool
		after      time.Duration
		split      time.Duration
		sealed     bool
	}{
		{"idle leaves at once", true, false, 0, 0, true},
		{"more is waiting", false, false, 0, 0, false},
		{"the transaction is not open yet", true, false, -1, 0, false},
		{"nothing came after all", false, false, inputGap, 0, true},
		{"inside a transaction", true, true, time.Hour, 0, false},
		{"inside a transaction, in parts", true, true, time.Minute - 1, 4 * time.Minute, false},
		{"inside a transaction, in parts, nothing got through", true, true, time.Minute, 4 * time.Minute, true},
		{"behind a transaction, in parts", false, false, 0, time.Minute, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(true, 1<<20, 50*time.Millisecond, partKey{&topic{name: "ck", leaders: []int32{0}}, 0})
			m.seal = func([]*item) ([]*batch, error) { return nil, nil }
			m.splitAfter = tt.split
			m.known = func(place) bool { return true }
			if err := m.put(quietItem(tt.idle, tt.open), start); err != nil {
				t.Fatal(err)
			}
			if tt.after >= 0 {
				m.joined(m.nextJoin())
			}
			if err := m.settle(start.Add(tt.after)); err != nil {
				t.Fatal(err)
			}
			if got := m.phase == sealed; got != tt.sealed {
				t.Errorf("sealed: %v", got)
			}
			if never := tt.open && tt.split == 0; !tt.sealed && m.due().IsZero() != never {
				t.Errorf("due at %s", m.due())
			}
		})
	}
}

// TestPartsLeaveTimeForWhatIsOnItsWay: a group that is to end inside a source
// transaction is sealed the earlier, the more of it has not got through.
func TestPartsLeaveTimeForWhatIsOnItsWay(t *testing.T) {
	start, data := time.Unix(1000, 0), &topic{name: "a", leaders: []int32{0}, maxBytes: 1 << 20}
	m := newMachine(true, 1<<20, 50*time.Millisecond, partKey{&topic{name: "ck", leaders: []int32{0}}, 0})
	m.splitAfter = time.Minute
	m.known = func(place) bool { return true }
	m.seal = func([]*item) ([]*batch, error) { return nil, nil }
	for i := range 4 {
		it := quietItem(false, true)
		it.bytes = 1000
		it.unit.batches = []batch{smallBatchOf(data, 0, int64(i), "k")}
		it.unit.batches[0].small = false
		if err := m.put(it, start); err != nil {
			t.Fatal(err)
		}
	}
	m.joined(m.nextJoin())
	for passed, want := range []time.Duration{15, 15, 30, 45, 60} {
		if passed > 0 {
			if _, parts := m.nextProduce(1, func(int32) bool { return true }); len(parts) != 1 {
				t.Fatalf("%d partitions", len(parts))
			}
			m.acked(m.partition(partKey{data, 0}))
		}
		if got := m.due().Sub(start); got != want*time.Second {
			t.Errorf("%d of 4 got through: sealed after %s, want %ds", passed, got, want)
		}
	}
	if err := m.settle(start.Add(time.Minute)); err != nil || m.phase != sealed {
		t.Errorf("phase %d, %v", m.phase, err)
	}
	m.nextEnd()
	if err := m.ended(start.Add(time.Minute)); err != nil || m.passed != 0 {
		t.Errorf("%d bytes of the next group got through: %v", m.passed, err)
	}
}

var (
	eventCoord = event.Coord{Offset: 1}
	oneEnd     = []event.Coord{eventCoord}
)
