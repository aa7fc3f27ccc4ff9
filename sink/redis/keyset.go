package redis

import (
	"bytes"
	"hash/maphash"
)

// keyset is a set of keys in the order of their first appearance. It keeps them
// in one piece of memory and is reused, so adding costs no allocation once it has
// its size.
type keyset struct {
	arena []byte
	ends  []int   // of each key in arena
	slots []int32 // open addressing: number of a key plus one, 0 for free
	seed  maphash.Seed
}

// minSlots is a power of two.
const minSlots = 64

func newKeyset() *keyset {
	return &keyset{slots: make([]int32, minSlots), seed: maphash.MakeSeed()}
}

// add copies the key if it is not there.
func (s *keyset) add(key []byte) {
	at := s.find(key)
	if s.slots[at] != 0 {
		return
	}
	s.arena = append(s.arena, key...)
	s.ends = append(s.ends, len(s.arena))
	s.slots[at] = int32(len(s.ends))
	if 2*len(s.ends) > len(s.slots) {
		s.grow()
	}
}

// find returns the slot of the key, or the free one where it belongs.
func (s *keyset) find(key []byte) int {
	mask := len(s.slots) - 1
	at := int(maphash.Bytes(s.seed, key)) & mask
	for s.slots[at] != 0 && !bytes.Equal(s.key(int(s.slots[at])-1), key) {
		at = (at + 1) & mask
	}
	return at
}

func (s *keyset) grow() {
	s.slots = make([]int32, 2*len(s.slots))
	for i := range s.ends {
		s.slots[s.find(s.key(i))] = int32(i + 1)
	}
}

// key returns the key with that number; valid until reset.
func (s *keyset) key(i int) []byte {
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.arena[from:s.ends[i]]
}

func (s *keyset) len() int { return len(s.ends) }

// bytes is its size in memory.
func (s *keyset) bytes() int { return cap(s.arena) + 8*cap(s.ends) + 4*cap(s.slots) }

func (s *keyset) reset() {
	clear(s.slots)
	s.arena, s.ends = s.arena[:0], s.ends[:0]
}
