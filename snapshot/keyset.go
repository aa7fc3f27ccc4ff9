package snapshot

import (
	"bytes"
	"hash/maphash"
	"math"
)

// keySet is a set of keys that numbers them from 0 in the order in which they
// came. It holds their bytes, not only hashes: with two keys taken for one, a
// row that nobody touched would be lost. The zero set is empty.
type keySet struct {
	slots []keySlot // open addressing, a power of two
	ends  []uint32  // of each key in bytes
	bytes []byte
}

// keySlot is one place of the table.
type keySlot struct {
	tag    uint32 // high half of the hash, so that few other keys are compared
	number uint32 // of the key, from 1; 0 is an empty slot
}

const (
	minSlots   = 16
	slotBytes  = 8
	endBytes   = 4
	minKeyRoom = 256
)

var keySeed = maphash.MakeSeed()

// hashKey is a variable so that a test can make all keys collide.
var hashKey = func(key []byte) uint64 { return maphash.Bytes(keySeed, key) }

func (s *keySet) len() int { return len(s.ends) }

// size is the memory that the set holds, in bytes.
func (s *keySet) size() int {
	return len(s.slots)*slotBytes + cap(s.ends)*endBytes + cap(s.bytes)
}

// at is key number i.
func (s *keySet) at(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.bytes[from:s.ends[i]]
}

// find returns the number of the key, whose hash is given, or -1.
func (s *keySet) find(key []byte, hash uint64) int {
	if len(s.slots) == 0 {
		return -1
	}
	_, number := s.probe(key, hash)
	return int(number) - 1
}

// probe returns the slot of the key, or the empty one where it belongs and 0.
// One slot in four at least is empty, so it ends.
func (s *keySet) probe(key []byte, hash uint64) (at uint64, number uint32) {
	mask, tag := uint64(len(s.slots)-1), uint32(hash>>32)
	for at = hash & mask; ; at = (at + 1) & mask {
		slot := s.slots[at]
		if slot.number == 0 || slot.tag == tag && bytes.Equal(s.at(int(slot.number-1)), key) {
			return at, slot.number
		}
	}
}

// add puts the key, which it copies, into the set. The set grows by at most room
// bytes; added is false where the key was there already or did not fit.
func (s *keySet) add(key []byte, room int) (added, fits bool) {
	if !s.reserve(len(key), room) {
		return false, s.find(key, hashKey(key)) >= 0
	}
	hash := hashKey(key)
	at, number := s.probe(key, hash)
	if number != 0 {
		return false, true
	}
	s.bytes = append(s.bytes, key...)
	s.ends = append(s.ends, uint32(len(s.bytes)))
	s.slots[at] = keySlot{tag: uint32(hash >> 32), number: uint32(len(s.ends))}
	return true, true
}

// reserve makes room for one more key of n bytes, unless that takes more than room.
func (s *keySet) reserve(n, room int) bool {
	slots := len(s.slots)
	if (len(s.ends)+1)*4 > slots*3 {
		slots = max(minSlots, 2*slots)
	}
	ends := grown(cap(s.ends), len(s.ends)+1, minSlots)
	keys := grown(cap(s.bytes), len(s.bytes)+n, minKeyRoom)
	if slots*slotBytes+ends*endBytes+keys-s.size() > room || keys > math.MaxUint32 {
		return false
	}
	if ends > cap(s.ends) {
		s.ends = append(make([]uint32, 0, ends), s.ends...)
	}
	if keys > cap(s.bytes) {
		s.bytes = append(make([]byte, 0, keys), s.bytes...)
	}
	if slots > len(s.slots) {
		s.rehash(slots)
	}
	return true
}

// grown is the capacity for need elements where there is room for have.
func grown(have, need, least int) int {
	if need <= have {
		return have
	}
	return max(need, 2*have, least)
}

func (s *keySet) rehash(slots int) {
	s.slots = make([]keySlot, slots)
	for i := range s.ends {
		hash := hashKey(s.at(i))
		mask := uint64(slots - 1)
		at := hash & mask
		for s.slots[at].number != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = keySlot{tag: uint32(hash >> 32), number: uint32(i + 1)}
	}
}
