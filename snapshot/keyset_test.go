package snapshot

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// colliding makes all keys have one of few hashes until the test ends.
func colliding(t *testing.T, hashes uint64) {
	hash := hashKey
	hashKey = func(key []byte) uint64 { return hash(key) % hashes << 32 }
	t.Cleanup(func() { hashKey = hash })
}

func TestKeySetIsASet(t *testing.T) {
	t.Run("", checkKeySet)
	t.Run("colliding", func(t *testing.T) {
		colliding(t, 2)
		checkKeySet(t)
	})
}

func checkKeySet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s keySet
		numbers := map[string]int{}
		for _, key := range rapid.SliceOfN(rapid.StringN(0, 3, 8), 0, 300).Draw(t, "keys") {
			want, known := numbers[key]
			if !known {
				want = -1
			}
			if got := s.find([]byte(key), hashKey([]byte(key))); got != want {
				t.Fatalf("%q is number %d, want %d", key, got, want)
			}
			if added, fits := s.add([]byte(key), math.MaxInt); added == known || !fits {
				t.Fatalf("add %q: added %v, fits %v", key, added, fits)
			}
			if !known {
				numbers[key] = len(numbers)
			}
		}
		for key, i := range numbers {
			if string(s.at(i)) != key || s.find([]byte(key), hashKey([]byte(key))) != i {
				t.Fatalf("key %d is %q, want %q", i, s.at(i), key)
			}
		}
		if s.len() != len(numbers) {
			t.Fatalf("%d keys, want %d", s.len(), len(numbers))
		}
	})
}

func TestKeySetStaysInItsRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s keySet
		room := rapid.IntRange(0, 8000).Draw(t, "room")
		in := map[string]bool{}
		for _, key := range rapid.SliceOfN(rapid.StringN(0, 20, 40), 0, 300).Draw(t, "keys") {
			added, fits := s.add([]byte(key), room-s.size())
			if in[key] && !fits || added && in[key] || !added && fits && !in[key] {
				t.Fatalf("add %q: added %v, fits %v, known %v", key, added, fits, in[key])
			}
			in[key] = in[key] || added
			if s.size() > room {
				t.Fatalf("%d bytes, room for %d", s.size(), room)
			}
		}
	})
}
