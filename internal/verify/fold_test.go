package verify

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCompareEqualsAModel folds and compares random records and rows, and does
// the same with maps.
func TestCompareEqualsAModel(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		rows, records := testSpill(t, "rows"), testSpill(t, "records")
		emptied, want := truncations{}, map[string]digest{}
		for offset := range int64(rnd.IntN(200)) {
			part := int32(rnd.IntN(3))
			if rnd.IntN(40) == 0 {
				emptied[part] = offset
				maps.DeleteFunc(want, func(key string, _ digest) bool { return partOf(key) == part })
				continue
			}
			key := fmt.Sprintf("%d/%d", part, rnd.IntN(15))
			d := digest(rnd.IntN(4)) // absent and keyOnly among them
			mustAdd(t, records, entry{key: []byte(key), digest: d, place: place{part, offset, 0}})
			want[key] = d
		}
		maps.DeleteFunc(want, func(_ string, d digest) bool { return d == absent })
		var differ []string
		for key, d := range want {
			if rnd.IntN(5) > 0 {
				row := digest(2 + rnd.IntN(2))
				mustAdd(t, rows, entry{key: []byte(key), digest: row})
				if row.matches(d) {
					continue
				}
			}
			differ = append(differ, key)
		}
		mustAdd(t, rows, entry{key: []byte("9/9"), digest: 7})
		differ = append(differ, "9/9")
		slices.Sort(differ)
		if got := suspectKeys(t, rows, records, emptied); !slices.Equal(got, differ) {
			t.Fatalf("seed %d: suspects %q, want %q", seed, got, differ)
		}
	}
}

func partOf(key string) (part int32) {
	_, _ = fmt.Sscanf(key, "%d/", &part)
	return part
}

func testSpill(t *testing.T, name string) *spill {
	t.Helper()
	s := newSpill(t.TempDir(), name)
	t.Cleanup(s.close)
	return s
}

func mustAdd(t *testing.T, s *spill, e entry) {
	t.Helper()
	e.hash = hashOf(e.key)
	if err := s.add(&e); err != nil {
		t.Fatal(err)
	}
}

func suspectKeys(t *testing.T, rows, records *spill, emptied truncations) (keys []string) {
	t.Helper()
	c := comparison{rows, records, emptied, 3, func(s *suspect) { keys = append(keys, s.key) }}
	for i := range ranges {
		if err := c.bucket(bucket{of: i}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(keys)
	return keys
}

// TestKeyInTwoPartitions: once the number of partitions has changed, the later
// record counts.
func TestKeyInTwoPartitions(t *testing.T) {
	rows, records := testSpill(t, "rows"), testSpill(t, "records")
	mustAdd(t, records, entry{key: []byte("k"), digest: 5, place: place{part: 1, offset: 3, millis: 200}})
	mustAdd(t, records, entry{key: []byte("k"), digest: 6, place: place{part: 2, offset: 90, millis: 100}})
	mustAdd(t, rows, entry{key: []byte("k"), digest: 5})
	if keys := suspectKeys(t, rows, records, truncations{}); keys != nil {
		t.Error(keys)
	}
}
