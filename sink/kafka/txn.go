package kafka

import (
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/sink"
)

// item is one batch of the pipeline on its way: the unit, where it leads, and
// whom to tell.
type item struct {
	unit    *unit
	ends    []event.Coord
	open    bool          // its last transaction goes on in the next item
	part    event.Partial // how much of that is done then
	idle    bool          // nothing was waiting behind it
	bytes   int
	pending int // batches that brokers have not acknowledged
	done    func(sink.Ack, error)
	told    bool // done was called
}

// tell calls done unless it was called before.
func (it *item) tell(err error) {
	if !it.told {
		it.told = true
		it.done(sink.Ack{}, err)
	}
}

// partition is one partition as the producer sees it. Batches leave one at a
// time, so that a repeated one cannot be overtaken.
type partition struct {
	topic    *topic
	id       int32
	seq      int32 // of the next new batch
	queue    []*queued
	busy     bool // a batch is on the wire, or waits for its repetition
	inTxn    bool // part of the open transaction
	joining  bool // about to become part of it
	span     span // of the open transaction, as far as it is known
	check    checkState
	end      int64 // offset behind what was written last; 0 if that is not known
	listed   bool  // in machine.ready
	attempts int   // failures of the batch at the head
	since    time.Time
}

// queued is a batch with the items it belongs to: none for a record of our own,
// several when small ones were joined.
type queued struct {
	*batch
	items []*item
}

// checkState says whether a transaction of ours may lie undecided in a
// partition.
type checkState uint8

const (
	unchecked checkState = iota // nobody looked
	listed                      // somebody is about to, or does
	clean                       // no
)

func (p *partition) place() place { return place{p.topic.name, p.id} }

type partKey struct {
	topic *topic
	id    int32
}

// phase is where the open Kafka transaction stands.
type phase uint8

const (
	filling phase = iota // takes items; may be empty
	sealed               // takes none; its batches are on their way
	ending               // EndTxn is on its way
)

// machine decides what a line does next: which items form a Kafka transaction,
// which batches may leave, when the transaction ends. It is a pure step
// function: no clock, no goroutine, no network. The line feeds it what happened
// and asks it for what is to be done, until there is nothing.
//
// Without transactions (at_least_once) items do not form groups: each is done
// once it and all before it are acknowledged.
type machine struct {
	transactional bool
	groupBytes    int
	groupDelay    time.Duration
	// splitAfter is how old a group should be when all of it is acknowledged
	// that was sealed inside a source transaction; 0 for never.
	splitAfter time.Duration
	checkpoint partKey // where the position goes
	// seal returns the records that end the group: the position and what else
	// must be durable with it.
	seal func(group []*item) ([]*batch, error)
	// known tells of a partition that it was looked at before; may be nil.
	known func(place) bool

	parts    map[partKey]*partition
	ready    []*partition // have a batch that may leave now
	joining  []*partition // must become part of the transaction
	adding   bool         // AddPartitionsToTxn is on its way
	doubtful []*partition // must be checked before anything joins
	checking bool         // some are being checked
	written  []*partition // have batches of the group
	members  []*partition // are part of the transaction
	waiting  []*item      // for the next group
	group    []*item
	bytes    int // of the group
	passed   int // bytes of its items that brokers have acknowledged
	pending  int // batches of the group not acknowledged
	phase    phase
	opened   time.Time // when the group got its first item
	lastPut  time.Time
	draining bool    // nothing more comes
	finished []*item // to be reported as done
}

func newMachine(transactional bool, groupBytes int, groupDelay time.Duration, checkpoint partKey) *machine {
	return &machine{transactional: transactional, groupBytes: groupBytes, groupDelay: groupDelay, checkpoint: checkpoint,
		parts: map[partKey]*partition{}}
}

func (m *machine) partition(k partKey) *partition {
	p := m.parts[k]
	if p == nil {
		p = &partition{topic: k.topic, id: k.id}
		if m.known != nil && m.known(p.place()) {
			p.check = clean
		}
		m.parts[k] = p
	}
	return p
}

// put takes the next item.
func (m *machine) put(it *item, now time.Time) error {
	m.waiting = append(m.waiting, it)
	m.lastPut = now
	return m.admit(now)
}

// admit moves waiting items into the group until it is full, and seals it when
// nothing argues for keeping it open.
func (m *machine) admit(now time.Time) error {
	for len(m.waiting) > 0 && m.phase == filling {
		it := m.waiting[0]
		m.waiting = m.waiting[1:]
		if err := m.take(it, now); err != nil {
			return err
		}
	}
	return m.settle(now)
}

// take adds the item to the group; its batches may leave at once.
func (m *machine) take(it *item, now time.Time) error {
	if len(m.group) == 0 {
		if len(it.unit.batches) == 0 && len(it.ends) == 0 && !it.open {
			m.finished = append(m.finished, it)
			return nil
		}
		m.opened = now
		m.join(m.partition(m.checkpoint))
	}
	m.group = append(m.group, it)
	m.bytes += it.bytes
	it.pending = len(it.unit.batches)
	for i := range it.unit.batches {
		m.enqueue(&it.unit.batches[i], it)
	}
	if !it.open && m.bytes >= m.groupBytes {
		return m.close()
	}
	return nil
}

// settle seals a group that waits for nothing: the last item was idle and the
// transaction is open, or it is old enough, or nothing more comes. Inside a
// source transaction it does so only to deliver that in parts. Nothing may
// leave before the transaction is open, so what comes until then rides along:
// the coordinator opens it only when it is through with the last one, and that
// is half of the cycle under light load.
func (m *machine) settle(now time.Time) error {
	if !m.transactional {
		m.reap()
		return nil
	}
	if m.phase != filling || len(m.group) == 0 {
		return nil
	}
	last := m.group[len(m.group)-1]
	rest := !last.open && (m.draining || last.idle && len(m.members) > 0)
	if due := m.due(); rest || !due.IsZero() && !now.Before(due) {
		return m.close()
	}
	return nil
}

// expanding tells that partitions are about to become part of the transaction.
func (m *machine) expanding() bool { return m.adding || len(m.joining) > 0 }

// due is when settle must be called again; zero for never.
func (m *machine) due() time.Time {
	if !m.transactional || m.phase != filling || len(m.group) == 0 {
		return time.Time{}
	}
	if last := m.group[len(m.group)-1]; last.open {
		if m.splitAfter == 0 || last.part.IsZero() {
			return time.Time{}
		}
		return m.splitAt()
	}
	due := m.opened.Add(m.groupDelay)
	if stalled := m.lastPut.Add(inputGap); m.pending == 0 && stalled.Before(due) {
		return stalled
	}
	return due
}

// splitAt is when a group ends inside a source transaction: as much before
// splitAfter as what is still on its way will take, at the pace of what got
// through. That pace is not believed in the first quarter.
func (m *machine) splitAt() time.Time {
	share := max(0.25, float64(m.passed)/float64(max(m.bytes, 1)))
	return m.opened.Add(time.Duration(share * float64(m.splitAfter)))
}

// inputGap is how long a group with nothing on its way waits for more input:
// whoever fills it may be waiting for the memory that it holds.
const inputGap = 5 * time.Millisecond

// close seals the group with its checkpoint.
func (m *machine) close() error {
	if !m.transactional || m.phase != filling {
		return nil
	}
	batches, err := m.seal(m.group)
	if err != nil {
		return err
	}
	for _, b := range batches {
		m.enqueue(b)
	}
	m.phase = sealed
	return nil
}

// enqueue puts a batch behind the others of its partition, or joins it with the
// last of them.
func (m *machine) enqueue(b *batch, items ...*item) {
	p := m.partition(partKey{b.topic, b.part})
	m.count(p, b.count)
	if last := p.last(); last != nil && last.joinable(b) {
		last.batch, last.items = last.join(b), append(last.items, items...)
		return
	}
	p.queue = append(p.queue, &queued{b, items})
	m.pending++
	m.join(p)
	m.list(p)
}

// count takes in that the group has records for the partition. At its first
// ones the queue is empty, so the next number is known.
func (m *machine) count(p *partition, n int32) {
	if !m.transactional {
		return
	}
	if p.span.count == 0 {
		p.span.from = p.seq
		m.written = append(m.written, p)
	}
	p.span.count += n
}

// last is the batch at the end of the queue, nil if there is none that has not
// left.
func (p *partition) last() *queued {
	n := len(p.queue)
	if n == 0 || n == 1 && p.busy {
		return nil
	}
	return p.queue[n-1]
}

// join sees to it that the partition becomes part of the transaction.
func (m *machine) join(p *partition) {
	if !m.transactional || p.inTxn || p.joining {
		return
	}
	p.joining = true
	m.joining = append(m.joining, p)
	if p.check == unchecked {
		m.doubt(p)
	}
}

// doubt has the partition checked before the next one joins a transaction.
func (m *machine) doubt(p *partition) {
	p.check = listed
	m.doubtful = append(m.doubtful, p)
}

// nextCheck returns the partitions in which a transaction of ours may lie
// undecided, nil for none. The answer must come back through checked.
func (m *machine) nextCheck() []*partition {
	if m.checking || len(m.doubtful) == 0 {
		return nil
	}
	d := m.doubtful
	m.doubtful, m.checking = nil, true
	return d
}

// checked says that nothing lies undecided in the partitions.
func (m *machine) checked(parts []*partition) {
	m.checking = false
	for _, p := range parts {
		p.check = clean
	}
}

// list puts the partition among the ready ones if a batch of it may leave.
func (m *machine) list(p *partition) {
	if p.listed || p.busy || len(p.queue) == 0 || m.transactional && !p.inTxn {
		return
	}
	p.listed = true
	m.ready = append(m.ready, p)
}

// nextJoin returns the partitions to add to the transaction, nil for none, and
// none while any is in doubt: a transaction begins only when the last one is
// seen to have ended everywhere. The answer must come back through joined before
// it returns any again.
func (m *machine) nextJoin() []*partition {
	if m.adding || len(m.joining) == 0 || m.checking || len(m.doubtful) > 0 {
		return nil
	}
	j := m.joining
	m.joining, m.adding = nil, true
	return j
}

// joined says that the partitions are part of the transaction.
func (m *machine) joined(parts []*partition) {
	m.adding = false
	for _, p := range parts {
		p.inTxn, p.joining = true, false
		m.members = append(m.members, p)
		m.list(p)
	}
}

// nextProduce returns partitions of one leader whose first batches may leave
// together, of at most maxBytes if more than one, nil for none. room tells
// whether another request may go to a leader. Each must come back through acked
// or retry.
func (m *machine) nextProduce(maxBytes int, room func(leader int32) bool) (leader int32, parts []*partition) {
	if m.phase == sealed && m.expanding() && m.bytes < maxBytes {
		return 0, nil // one request for all of it will do, in a moment
	}
	bytes, rest := 0, m.ready[:0]
	for _, p := range m.ready {
		l, size := p.topic.leader(p.id), p.queue[0].size()
		fits := len(parts) == 0 && room(l) || len(parts) > 0 && l == leader && bytes+size <= maxBytes
		if !fits {
			rest = append(rest, p)
			continue
		}
		leader, bytes = l, bytes+size
		p.busy, p.listed = true, false
		parts = append(parts, p)
	}
	clear(m.ready[len(rest):])
	m.ready = rest
	return leader, parts
}

// acked says that the first batch of the partition is durable (as far as its
// transaction is) and returns it.
func (m *machine) acked(p *partition) *queued {
	q := p.queue[0]
	p.queue[0] = nil
	if p.queue = p.queue[1:]; len(p.queue) == 0 {
		p.queue = nil
	}
	p.busy, p.attempts, p.end = false, 0, q.end
	m.pending--
	for _, it := range q.items {
		if it.pending--; it.pending == 0 {
			m.passed += it.bytes
		}
	}
	m.list(p)
	if !m.transactional {
		m.reap()
	}
	return q
}

// retry lets the first batch of the partition leave again.
func (m *machine) retry(p *partition) {
	p.busy = false
	m.list(p)
}

// nextEnd tells that the transaction is to be committed now; ended must follow.
func (m *machine) nextEnd() bool {
	if m.phase != sealed || m.pending > 0 || m.expanding() {
		return false
	}
	m.phase = ending
	return true
}

// ended says that the transaction is committed. The next group forms.
func (m *machine) ended(now time.Time) error {
	m.finished = append(m.finished, m.group...)
	m.group, m.bytes, m.passed, m.phase = nil, 0, 0, filling
	for _, p := range m.members {
		p.inTxn = false
		m.doubt(p)
	}
	for _, p := range m.written {
		p.span = span{}
	}
	m.members, m.written = m.members[:0], m.written[:0]
	return m.admit(now)
}

// reap reports the acknowledged items at the front, up to the last end of a
// source transaction; without transactions only.
func (m *machine) reap() {
	n := 0
	for i := 0; i < len(m.group) && m.group[i].pending == 0; i++ {
		if !m.group[i].open {
			n = i + 1
		}
	}
	m.finished = append(m.finished, m.group[:n]...)
	if m.group = m.group[n:]; len(m.group) == 0 {
		m.group = nil
	}
}

// takeFinished returns the items that are done since the last call.
func (m *machine) takeFinished() []*item {
	f := m.finished
	m.finished = nil
	return f
}

// quiet tells that nothing is under way.
func (m *machine) quiet() bool {
	return len(m.waiting) == 0 && len(m.group) == 0 && m.phase == filling
}

// stranded tells that only the beginning of a source transaction is here.
func (m *machine) stranded() bool {
	return len(m.waiting) == 0 && m.phase == filling && len(m.group) > 0 && m.group[len(m.group)-1].open
}

// abandon returns every item that is not done.
func (m *machine) abandon() []*item {
	all := append(m.takeFinished(), m.group...)
	all = append(all, m.waiting...)
	m.group, m.waiting = nil, nil
	return all
}
