package proof

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Record is one record as the independent reader saw it.
type Record struct {
	Topic      string
	Partition  int
	Offset     int64
	Key, Value []byte // nil where null
	Headers    map[string]string
}

// Change is a record that belongs to a row of a source transaction.
type Change struct {
	Record
	Seq, Term, Row, Rows uint64 // Rows is 0 on records that do not carry the count
	Part, Parts          int
	TxID                 string
	Op                   string // "" for a tombstone
	Before, After        map[string]json.RawMessage
}

// Snapshot tells whether the record comes from the reading of a table: a row, or
// the truncate that goes before.
func (c *Change) Snapshot() bool {
	return c.Op == "r" || c.Op == "t" && strings.HasPrefix(c.TxID, "snapshot:")
}

// Violation is a promise found broken.
type Violation struct {
	Promise string // P1 … P4, as DESIGN names them
	What    string
}

func (v Violation) String() string { return v.Promise + ": " + v.What }

// ParseChanges picks the row records and truncates out of what was read. Other
// records (transaction topic, heartbeats) are left out.
func ParseChanges(recs []Record) ([]Change, error) {
	var out []Change
	for _, r := range recs {
		if _, ok := r.Headers["cdcd.row"]; !ok && !bytes.Contains(r.Value, []byte(`"op":"t"`)) {
			continue
		}
		c, err := parseChange(r)
		if err != nil {
			return nil, fmt.Errorf("%s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func parseChange(r Record) (Change, error) {
	c := Change{Record: r, TxID: r.Headers["cdcd.tx"], Part: 1, Parts: 1}
	var err error
	if c.Seq, err = strconv.ParseUint(r.Headers["cdcd.seq"], 10, 64); err != nil {
		return c, fmt.Errorf("header cdcd.seq: %w", err)
	}
	if c.Term, err = strconv.ParseUint(r.Headers["cdcd.term"], 10, 64); err != nil {
		return c, fmt.Errorf("header cdcd.term: %w", err)
	}
	if s, ok := r.Headers["cdcd.rows"]; ok {
		if c.Rows, err = strconv.ParseUint(s, 10, 64); err != nil {
			return c, fmt.Errorf("header cdcd.rows: %w", err)
		}
	}
	if row, ok := r.Headers["cdcd.row"]; ok {
		if err := c.parseRow(row); err != nil {
			return c, err
		}
	}
	return c, c.parseValue()
}

func (c *Change) parseRow(s string) (err error) {
	row, parts, split := strings.Cut(s, ".")
	if c.Row, err = strconv.ParseUint(row, 10, 64); err != nil || c.Row == 0 {
		return fmt.Errorf("header cdcd.row %q", s)
	}
	if split {
		if _, err = fmt.Sscanf(parts, "%d/%d", &c.Part, &c.Parts); err != nil {
			return fmt.Errorf("header cdcd.row %q: %w", s, err)
		}
	}
	return nil
}

func (c *Change) parseValue() error {
	if c.Value == nil {
		return nil
	}
	var v struct {
		Op            string
		Before, After map[string]json.RawMessage
	}
	if err := json.Unmarshal(c.Value, &v); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	c.Op, c.Before, c.After = v.Op, v.Before, v.After
	return nil
}

// Rules are what the judge holds a log to.
type Rules struct {
	ExactlyOnce bool // there are no doubles; else a double must be a replay
	// InParts is the number of rows above which a transaction may lie in several
	// Kafka transactions, each with the rows that follow those of the one before;
	// 0 where none may.
	InParts uint64
}

// Check judges all records of the row topics, in the order of each partition.
func Check(changes []Change, rules Rules) []Violation {
	k := &checker{txs: map[string]*seenTx{}, parts: map[string]*seenPartition{}, rules: rules, rows: map[uint64]uint64{}}
	for i := range changes {
		if !changes[i].Snapshot() {
			k.rows[changes[i].Seq] = max(k.rows[changes[i].Seq], changes[i].Rows)
		}
		k.term = max(k.term, changes[i].Term)
	}
	for i := range changes {
		if changes[i].Snapshot() {
			k.read(&changes[i])
		} else {
			k.partition(&changes[i])
		}
		if changes[i].Row > 0 { // a truncate is no row and goes to every partition
			k.transaction(&changes[i])
		}
	}
	k.whole()
	return k.found
}

type checker struct {
	txs   map[string]*seenTx // by seq, chunks of a snapshot by their id
	parts map[string]*seenPartition
	rows  map[uint64]uint64 // of each transaction, by its own count
	term  uint64            // of the last process
	rules Rules
	found []Violation
}

type seenTx struct {
	id   string
	seq  uint64
	term uint64 // that it came under last
	read bool   // its rows are those of a chunk
	rows uint64
	have map[[2]uint64]int    // row and part
	says map[[2]uint64]string // where doubles may be: what each says
	of   map[uint64]int       // parts of each row
}

type seenPartition struct {
	seq    uint64
	offset int64
	row    [2]uint64
}

func (k *checker) add(promise, format string, args ...any) {
	k.found = append(k.found, Violation{promise, fmt.Sprintf(format, args...)})
}

// partition checks what one partition alone must show: seq rises, rows of one
// transaction are ordered and lie together without a gap of offsets (a gap is a
// transaction marker: the source transaction would be torn over two).
func (k *checker) partition(c *Change) {
	name := fmt.Sprintf("%s/%d", c.Topic, c.Partition)
	p := k.parts[name]
	row := [2]uint64{c.Row, uint64(c.Part)}
	if p == nil {
		k.parts[name] = &seenPartition{seq: c.Seq, offset: c.Offset, row: row}
		return
	}
	switch {
	case c.Offset <= p.offset:
		k.add("P2", "%s@%d: offsets do not rise after %d", name, c.Offset, p.offset)
	case c.Seq == p.seq && c.Offset != p.offset+1 && !k.inParts(c.Seq):
		k.add("P3", "%s@%d: transaction seq %d is torn by a marker or a stranger after offset %d", name, c.Offset, c.Seq, p.offset)
	case c.Seq == p.seq && !less(p.row, row) && k.rules.ExactlyOnce:
		k.add("P2", "%s@%d: row %d.%d of seq %d after row %d.%d", name, c.Offset, c.Row, c.Part, c.Seq, p.row[0], p.row[1])
	case c.Seq < p.seq && k.rules.ExactlyOnce:
		k.add("P2", "%s@%d: seq falls from %d to %d", name, c.Offset, p.seq, c.Seq)
	}
	p.seq, p.offset, p.row = c.Seq, c.Offset, row
}

// inParts reports whether the transaction may lie in several Kafka transactions.
func (k *checker) inParts(seq uint64) bool {
	return k.rules.InParts > 0 && k.rows[seq] > k.rules.InParts
}

// read checks a row of a snapshot. Chunks lie between transactions: they have
// the seq of the one before, and may not come after a later one.
func (k *checker) read(c *Change) {
	name := fmt.Sprintf("%s/%d", c.Topic, c.Partition)
	p := k.parts[name]
	if p == nil {
		k.parts[name] = &seenPartition{seq: c.Seq, offset: c.Offset, row: [2]uint64{^uint64(0)}}
		return
	}
	if c.Seq < p.seq && k.rules.ExactlyOnce {
		k.add("P2", "%s@%d: a row read at seq %d after a change of seq %d", name, c.Offset, c.Seq, p.seq)
	}
	p.offset = c.Offset
	if c.Seq > p.seq {
		p.seq, p.row = c.Seq, [2]uint64{^uint64(0)} // no change of that seq may follow
	}
}

func less(a, b [2]uint64) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }

func (k *checker) transaction(c *Change) {
	name := strconv.FormatUint(c.Seq, 10)
	if c.Op == "r" {
		name = c.TxID
	}
	t := k.txs[name]
	if t == nil {
		t = &seenTx{id: c.TxID, seq: c.Seq, read: c.Op == "r", have: map[[2]uint64]int{}, says: map[[2]uint64]string{}, of: map[uint64]int{}}
		k.txs[name] = t
	}
	if t.id != c.TxID {
		k.add("P3", "seq %d is claimed by transactions %s and %s", c.Seq, t.id, c.TxID)
	}
	key := [2]uint64{c.Row, uint64(c.Part)}
	t.have[key]++
	if t.have[key] > 1 && k.rules.ExactlyOnce {
		k.add("P4", "row %d.%d of transaction %s (seq %d) came %d times", c.Row, c.Part, c.TxID, c.Seq, t.have[key])
	}
	if !k.rules.ExactlyOnce {
		k.sameAgain(c, t, key)
	}
	t.term = max(t.term, c.Term)
	if n, ok := t.of[c.Row]; ok && n != c.Parts {
		k.add("P3", "row %d of seq %d has %d and %d parts", c.Row, c.Seq, n, c.Parts)
	}
	t.of[c.Row] = c.Parts
	if c.Rows != 0 {
		t.rows = c.Rows
	}
}

// sameAgain checks that a double says what the record before it said.
func (k *checker) sameAgain(c *Change, t *seenTx, key [2]uint64) {
	says := fmt.Sprintf("%s %s %s %s %s", c.Topic, c.Key, c.Op, c.Before, c.After)
	if old, ok := t.says[key]; ok && old != says {
		k.add("P3", "row %d.%d of transaction %s is %q and %q", c.Row, c.Part, c.TxID, old, says)
	}
	t.says[key] = says
}

// cutOff reports whether a chunk may lack rows: a process that delivers at least
// once may die in the middle of one, and the next reads it under another id.
func (k *checker) cutOff(t *seenTx) bool {
	return t.read && !k.rules.ExactlyOnce && t.term < k.term
}

// whole checks that every transaction seen is complete by its own count.
func (k *checker) whole() {
	for _, t := range k.txs {
		if k.cutOff(t) {
			continue
		}
		seq := t.seq
		if t.rows == 0 {
			k.add("P3", "transaction %s (seq %d): the record with the count is missing", t.id, seq)
			continue
		}
		for row := uint64(1); row <= t.rows; row++ {
			k.row(seq, t, row)
		}
		if uint64(len(t.of)) != t.rows {
			k.add("P3", "transaction %s (seq %d) has %d rows, its count says %d", t.id, seq, len(t.of), t.rows)
		}
	}
}

func (k *checker) row(seq uint64, t *seenTx, row uint64) {
	for part := 1; part <= max(t.of[row], 1); part++ {
		if t.have[[2]uint64{row, uint64(part)}] == 0 {
			k.add("P1", "transaction %s (seq %d): row %d part %d is missing", t.id, seq, row, part)
		}
	}
}

// CheckVersions checks per key that the value of the version column rises in
// the order of the partition, and that each before image is the after image
// before it: that no change was lost, doubled or swapped.
func CheckVersions(changes []Change, version string) []Violation {
	var found []Violation
	last := map[string]map[string]json.RawMessage{}
	for _, c := range changes {
		if c.Op == "t" {
			forget(last, fmt.Sprintf("%s/%d\x00", c.Topic, c.Partition))
		}
		if c.Op == "" || c.Op == "t" || c.Key == nil {
			continue
		}
		if c.Op == "r" {
			c.Before = c.After // a row that is read is as the last change left it
		}
		id := fmt.Sprintf("%s/%d\x00%s", c.Topic, c.Partition, c.Key)
		prev, seen := last[id]
		if at := fmt.Sprintf("%s/%d@%d key %s", c.Topic, c.Partition, c.Offset, c.Key); c.Op != "c" && seen && !sameRow(prev, c.Before) {
			found = append(found, Violation{"P2", at + ": the before image is not the row's last state"})
		} else if c.Op == "c" && seen && prev != nil && !bytes.Equal(prev[version], c.After[version]) {
			found = append(found, Violation{"P2", at + ": insert of a row that is there"})
		}
		last[id] = c.After
	}
	return found
}

// sameRow allows b columns that a has not: an ALTER may have added them.
func sameRow(a, b map[string]json.RawMessage) bool {
	for k, v := range a {
		if !bytes.Equal(v, b[k]) {
			return false
		}
	}
	return (a == nil) == (b == nil)
}

// forget drops what a TRUNCATE emptied.
func forget(last map[string]map[string]json.RawMessage, prefix string) {
	for id := range last {
		if strings.HasPrefix(id, prefix) {
			delete(last, id)
		}
	}
}

// Fold plays the changes of each topic and returns the rows that remain, by key.
// A truncate empties its partition; in a topic all partitions get one.
func Fold(changes []Change) map[string]map[string]map[string]json.RawMessage {
	type home struct {
		partition int
		row       map[string]json.RawMessage
	}
	state := map[string]map[string]home{}
	for _, c := range changes {
		t := state[c.Topic]
		if t == nil {
			t = map[string]home{}
			state[c.Topic] = t
		}
		switch {
		case c.Op == "t":
			for k, h := range t {
				if h.partition == c.Partition {
					delete(t, k)
				}
			}
		case c.Op == "" || c.After == nil:
			delete(t, string(c.Key))
		default:
			t[string(c.Key)] = home{c.Partition, c.After}
		}
	}
	out := map[string]map[string]map[string]json.RawMessage{}
	for topic, t := range state {
		rows := map[string]map[string]json.RawMessage{}
		for k, h := range t {
			rows[k] = h.row
		}
		out[topic] = rows
	}
	return out
}

// Parts counts, for each transaction, the most runs of offsets its records have
// in one partition: 1 where it is whole.
func Parts(changes []Change) map[uint64]int {
	type place struct {
		topic     string
		partition int
	}
	type run struct {
		seq    uint64
		offset int64
		n      int
	}
	parts, runs := map[uint64]int{}, map[place]run{}
	for i := range changes {
		c := &changes[i]
		r := runs[place{c.Topic, c.Partition}]
		switch {
		case r.n == 0 || r.seq != c.Seq:
			r.seq, r.n = c.Seq, 1
		case c.Offset != r.offset+1:
			r.n++
		}
		r.offset = c.Offset
		runs[place{c.Topic, c.Partition}] = r
		parts[c.Seq] = max(parts[c.Seq], r.n)
	}
	return parts
}
