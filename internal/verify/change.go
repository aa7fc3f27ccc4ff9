package verify

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
)

// digest stands for the columns of a row.
type digest uint64

// Digests that stand for no row, and for one of which only the key is known.
// Digests of rows are larger.
const (
	absent  digest = 0
	keyOnly digest = 1
)

// matches reports whether a row, or none, is what a record says.
func (d digest) matches(record digest) bool {
	return d == record || record == keyOnly && d != absent
}

// seed is that of all hashes of this process: they go nowhere else.
var seed = maphash.MakeSeed()

func hashOf(b []byte) uint64 { return maphash.Bytes(seed, b) }

// mixed is a hash of both numbers.
func mixed(a, b uint64) uint64 {
	var x [16]byte
	binary.LittleEndian.PutUint64(x[:], a)
	binary.LittleEndian.PutUint64(x[8:], b)
	return hashOf(x[:])
}

func digestFrom(sum uint64) digest { return max(digest(sum), keyOnly+1) }

// rowDigest is the digest of an image: the sum over its columns, so that their
// order is nothing.
func rowDigest(image []byte) (digest, error) {
	var sum uint64
	err := members(image, func(name, value []byte) error {
		sum += mixed(hashOf(name), hashOf(value))
		return nil
	})
	return digestFrom(sum), err
}

// change is what a record says.
type change struct {
	truncate bool
	after    []byte // the image, nil for none
	digest   digest
}

// changeOf reads the value of a record. A value that is no change event, which
// somebody else must have written, has a digest that no row has.
func changeOf(r *Record) change {
	if r.Value == nil {
		return change{}
	}
	op, after, ok := envelope(r.Value)
	strange := change{after: r.Value, digest: digestFrom(hashOf(r.Value))}
	switch {
	case !ok:
		return strange
	case bytes.Equal(op, []byte(`"t"`)) && r.Key == nil:
		return change{truncate: true}
	case bytes.Equal(after, []byte("null")):
		return change{}
	case r.KeyOnly:
		return change{after: after, digest: keyOnly}
	}
	d, err := rowDigest(after)
	if err != nil {
		return strange
	}
	return change{after: after, digest: d}
}

// envelope finds op and after, below payload where there is a schema.
func envelope(value []byte) (op, after []byte, ok bool) {
	var payload []byte
	err := members(value, func(name, value []byte) error {
		switch string(name) {
		case "op":
			op = value
		case "after":
			after = value
		case "payload":
			payload = value
		}
		return nil
	})
	if err == nil && op == nil && payload != nil {
		return envelope(payload)
	}
	return op, after, err == nil && op != nil && (after != nil || string(op) == `"t"` || string(op) == `"d"`)
}

// columnsOf compares two images column by column, in the order of the table's;
// what only the record has follows.
func columnsOf(row, record []byte) []Column {
	have := map[string]string{}
	var extra []string
	if members(record, func(name, value []byte) error {
		have[string(name)] = string(value)
		extra = append(extra, string(name))
		return nil
	}) != nil {
		return []Column{{Name: "", Topic: new(string(record))}}
	}
	var list []Column
	_ = members(row, func(name, value []byte) error {
		c := Column{Name: string(name), Table: new(string(value))}
		if text, ok := have[c.Name]; ok {
			c.Topic = &text
			delete(have, c.Name)
		}
		if c.Topic == nil || *c.Topic != *c.Table {
			list = append(list, c)
		}
		return nil
	})
	for _, name := range extra {
		if text, ok := have[name]; ok {
			list = append(list, Column{Name: name, Topic: &text})
		}
	}
	return list
}
