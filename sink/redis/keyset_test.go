package redis

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestKeysetAgainstAModel: each key once, in order of first appearance, also when
// the set is used again.
func TestKeysetAgainstAModel(t *testing.T) {
	s := newKeyset()
	rapid.Check(t, func(t *rapid.T) {
		s.reset()
		var want []string
		for _, k := range rapid.SliceOfN(rapid.StringN(1, 4, 8), 0, 300).Draw(t, "keys") {
			if s.add([]byte(k)); !slices.Contains(want, k) {
				want = append(want, k)
			}
		}
		var got []string
		for i := range s.len() {
			got = append(got, string(s.key(i)))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("have %q, want %q", got, want)
		}
	})
}

// TestPackingCostsNothingPerKey: once a unit has its size.
func TestPackingCostsNothingPerKey(t *testing.T) {
	keys := make([][]byte, 10_000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "user:%d", i/2)
	}
	pool := &units{}
	p := &packer{pool: pool, perCommand: 500}
	r := record()
	round := func() {
		for _, k := range keys {
			if r.Key = k; p.Emit(r) != nil {
				t.Fatal("refused")
			}
		}
		packed, err := p.Pack()
		if err != nil {
			t.Fatal(err)
		}
		u := packed.(*unit)
		if u.keys.len() != len(keys)/2 || u.emitted != len(keys) || len(u.args) != 10 || len(u.args[9]) != 501 {
			t.Fatalf("%d keys of %d in %d commands", u.keys.len(), u.emitted, len(u.args))
		}
		pool.put(u)
	}
	round()
	if n := testing.AllocsPerRun(20, round); n > 100 { // a pool may lose one
		t.Errorf("%.0f allocations for %d keys", n, len(keys))
	}
}

func BenchmarkPack(b *testing.B) {
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "user:%d", i)
	}
	pool := &units{}
	p := &packer{pool: pool, perCommand: 500}
	r := record()
	b.ReportAllocs()
	for b.Loop() {
		for _, k := range keys {
			r.Key = k
			_ = p.Emit(r)
		}
		u, _ := p.Pack()
		pool.put(u.(*unit))
	}
}
