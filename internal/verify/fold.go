package verify

import "errors"

// folded is what a consumer has for a key in the end.
type folded struct {
	digest digest
	place
	seen bool // the table has the key too
}

// truncations holds, for each partition, the offset of the last record that
// emptied the table.
type truncations map[int32]int64

// voids reports whether a record was swept away later.
func (t truncations) voids(p place) bool {
	at, ok := t[p.part]
	return ok && p.offset < at
}

// bucket is some of the keys of a range: those whose hash, behind the bits that
// chose the range, ends in these.
type bucket struct {
	of   int // the range
	bits int
	end  uint64
}

func (b bucket) has(hash uint64) bool { return hash/ranges&(1<<b.bits-1) == b.end }

// halves divides a bucket.
func (b bucket) halves() (x, y bucket) {
	return bucket{b.of, b.bits + 1, b.end}, bucket{b.of, b.bits + 1, b.end | 1<<b.bits}
}

// each visits the entries of a bucket.
func (s *spill) each(b bucket, visit func(*entry) error) error {
	return s.eachOf(b.of, func(e *entry) error {
		if !b.has(e.hash) {
			return nil
		}
		return visit(e)
	})
}

// errFull says that a bucket has more keys than there is room for.
var errFull = errors.New("too many keys at a time")

// fold folds the records of a bucket, of at most so many keys, and leaves out
// what is not there in the end.
func fold(records *spill, b bucket, t truncations, most int) (map[uint64]folded, error) {
	m := map[uint64]folded{}
	err := records.each(b, func(e *entry) error {
		old, ok := m[e.hash]
		switch {
		case !ok && len(m) >= most:
			return errFull
		case !ok, e.newer(old.place):
			m[e.hash] = folded{digest: e.digest, place: e.place}
		}
		return nil
	})
	for key, f := range m {
		if f.digest == absent || t.voids(f.place) {
			delete(m, key)
		}
	}
	return m, err
}

// comparison is what rows and records are compared with.
type comparison struct {
	rows, records *spill
	emptied       truncations
	most          int // keys at a time
	found         func(*suspect)
}

// bucket finds the keys of a bucket that differ. One that is too large is
// divided: its files are read once more then.
func (c *comparison) bucket(b bucket) error {
	m, err := fold(c.records, b, c.emptied, c.most)
	if errors.Is(err, errFull) {
		x, y := b.halves()
		if err := c.bucket(x); err != nil {
			return err
		}
		return c.bucket(y)
	}
	if err != nil {
		return err
	}
	same, err := c.sums(b, m)
	if err != nil || same {
		return err
	}
	return c.keys(b, m)
}

// sums compares checksums. Where they agree, no key needs to be looked at.
func (c *comparison) sums(b bucket, m map[uint64]folded) (same bool, err error) {
	var sum uint64
	for key, f := range m {
		sum += mixed(key, uint64(f.digest))
	}
	n := len(m)
	err = c.rows.each(b, func(e *entry) error {
		sum -= mixed(e.hash, uint64(e.digest))
		n--
		return nil
	})
	return sum == 0 && n == 0, err
}

// keys compares key by key. What only the topic has is found last, with its key
// out of the records.
func (c *comparison) keys(b bucket, m map[uint64]folded) error {
	err := c.rows.each(b, func(e *entry) error {
		f, ok := m[e.hash]
		if ok {
			f.seen = true
			m[e.hash] = f
		}
		if !ok || !e.digest.matches(f.digest) {
			c.found(&suspect{key: string(e.key), state: f.digest, place: f.place, fromRow: true})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.records.each(b, func(e *entry) error {
		if f, ok := m[e.hash]; ok && !f.seen {
			c.found(&suspect{key: string(e.key), state: f.digest, place: f.place})
			f.seen = true
			m[e.hash] = f
		}
		return nil
	})
}
