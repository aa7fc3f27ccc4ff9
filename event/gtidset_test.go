package event

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "6a2b0000-0000-0000-0000-0000000000ff"
)

// model is the plain truth about a MySQL set: every GTID in it.
type model map[GTID]bool

func (m model) set() *GTIDSet {
	s := NewGTIDSet(MySQL)
	for g := range m {
		s.Add(g)
	}
	return s
}

func drawGTID(t *rapid.T) GTID {
	g := GTID{
		Tag: rapid.SampledFrom([]string{"", "", "day", "night"}).Draw(t, "tag"),
		N:   rapid.Uint64Range(1, 24).Draw(t, "n"),
	}
	g.SID[0] = rapid.ByteRange(1, 3).Draw(t, "sid")
	return g
}

func drawModel(t *rapid.T, name string) model {
	m := model{}
	for _, g := range rapid.SliceOfN(rapid.Custom(drawGTID), 0, 60).Draw(t, name) {
		m[g] = true
	}
	return m
}

func TestSetAgreesWithMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ma, mb := drawModel(t, "a"), drawModel(t, "b")
		a, b := ma.set(), mb.set()
		checkSpans(t, a)
		before := a.String()

		for _, g := range rapid.SliceOfN(rapid.Custom(drawGTID), 20, 20).Draw(t, "probe") {
			if a.Contains(g) != ma[g] {
				t.Fatalf("%s contains %s: %v", a, g, a.Contains(g))
			}
		}
		left, both := maps.Clone(ma), maps.Clone(ma)
		maps.DeleteFunc(left, func(g GTID, _ bool) bool { return mb[g] })
		maps.Copy(both, mb)
		if d := a.Subtract(b); !d.Equal(left.set()) {
			t.Fatalf("%s minus %s is %s, want %s", a, b, d, left.set())
		}
		if a.ContainsSet(b) != (len(both) == len(ma)) {
			t.Fatalf("%s contains %s: %v", a, b, a.ContainsSet(b))
		}
		u := a.Clone()
		u.AddSet(b)
		checkSpans(t, u)
		if !u.Equal(both.set()) {
			t.Fatalf("%s with %s is %s", a, b, u)
		}
		if a.String() != before {
			t.Fatalf("a changed from %s to %s", before, a)
		}
		if a.Equal(b) != maps.Equal(ma, mb) || a.IsEmpty() != (len(ma) == 0) {
			t.Fatalf("%s and %s: equality or emptiness is wrong", a, b)
		}
		if again, err := ParseGTIDSet(MySQL, a.String()); err != nil || !again.Equal(a) {
			t.Fatalf("%s reads back as %s, %v", a, again, err)
		}
	})
}

// checkSpans fails unless the set is in its one normal form.
func checkSpans(t interface{ Fatalf(string, ...any) }, s *GTIDSet) {
	if !slices.IsSortedFunc(s.runs, gtidRun.compare) {
		t.Fatalf("runs of %s are not sorted", s)
	}
	for _, r := range s.runs {
		end := uint64(0)
		for _, sp := range r.spans {
			if sp.first <= end || sp.end <= sp.first {
				t.Fatalf("spans %v touch or are empty", r.spans)
			}
			end = sp.end
		}
		if len(r.spans) == 0 {
			t.Fatalf("an empty run in %s", s)
		}
	}
}

func TestMariaDBSetHoldsTheLastOfEachDomain(t *testing.T) {
	s := NewGTIDSet(MariaDB)
	for _, g := range []GTID{{Domain: 7, Server: 1, N: 5}, {Server: 1, N: 10}, {Domain: 7, Server: 2, N: 6}, {Server: 9, N: 3}} {
		s.Add(g)
	}
	if got := s.String(); got != "0-1-10,7-2-6" {
		t.Errorf("set reads %s", got)
	}
	for g, want := range map[GTID]bool{
		{N: 10}: true, {N: 1, Server: 4}: true, {N: 11}: false, {Domain: 7, N: 7}: false, {Domain: 1, N: 1}: false, {}: true,
	} {
		if s.Contains(g) != want {
			t.Errorf("contains %+v: %v", g, !want)
		}
	}
	o := mustParse(t, MariaDB, "0-1-12,7-2-6,8-1-1")
	if d := o.Subtract(s).String(); d != "0-1-12,8-1-1" || !o.ContainsSet(s) || s.ContainsSet(o) {
		t.Errorf("difference is %s", d)
	}
	s.AddSet(o)
	if !s.Equal(o) {
		t.Errorf("%s is not %s", s, o)
	}
}

func TestParseSet(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		" \n":                                "",
		uuidA + ":1-5":                       uuidA + ":1-5",
		uuidA + ":7:1-3:4,\n" + uuidB + ":9": uuidA + ":1-4:7," + uuidB + ":9",
		uuidB + ":1:Tag_a:2-3:4:1," + uuidA + ":b:1, " + uuidB + ":2": uuidA + ":b:1," + uuidB + ":1-2:tag_a:1-4",
		"3E11FA47-71CA-11E1-9E33-C80AA9429562:1":                      uuidA + ":1",
	} {
		if s, err := ParseGTIDSet(MySQL, text); err != nil || s.String() != want {
			t.Errorf("%q reads as %q, %v; want %q", text, s, err, want)
		}
	}
	if got := mustParse(t, MariaDB, "7-1-5, 0-2-4294967296").String(); got != "0-2-4294967296,7-1-5" {
		t.Errorf("MariaDB set reads %s", got)
	}
}

func TestParseSetNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		flavor Flavor
		text   string
		want   error
	}{
		{0, "", ErrGTIDFlavor},
		{MySQL, uuidA, ErrGTIDShape},
		{MySQL, uuidA + ":tag", ErrGTIDShape},
		{MySQL, uuidA + ":1:tag", ErrGTIDShape},
		{MySQL, "0-1-5", ErrGTIDShape},
		{MySQL, uuidA[1:] + ":1", ErrGTIDSource},
		{MySQL, "g" + uuidA[1:] + ":1", ErrGTIDSource},
		{MySQL, uuidA + ":", ErrGTIDNumber},
		{MySQL, uuidA + ":0", ErrGTIDNumber},
		{MySQL, uuidA + ":1-", ErrGTIDNumber},
		{MySQL, uuidA + ":1-+2", ErrGTIDNumber},
		{MySQL, uuidA + ":1-2-3", ErrGTIDNumber},
		{MySQL, uuidA + ":9223372036854775807", ErrGTIDNumber},
		{MySQL, uuidA + ":5-4", ErrGTIDInterval},
		{MySQL, uuidA + ":täg:1", ErrGTIDTag},
		{MySQL, uuidA + ":a23456789012345678901234567890123:1", ErrGTIDTag},
		{MySQL, uuidA + ":1,", ErrGTIDShape},
		{MariaDB, "0-1", ErrGTIDShape},
		{MariaDB, uuidA + ":1", ErrGTIDShape},
		{MariaDB, "0-1-0", ErrGTIDNumber},
		{MariaDB, "4294967296-1-1", ErrGTIDNumber},
		{MariaDB, "0-1-1,0-2-2", ErrGTIDDomain},
	} {
		if s, err := ParseGTIDSet(c.flavor, c.text); !errors.Is(err, c.want) {
			t.Errorf("%q as %s: %v, %v; want %v", c.text, c.flavor, s, err, c.want)
		}
	}
}

func TestParseGTID(t *testing.T) {
	for _, g := range []GTID{{}, {SID: [16]byte{1}, N: 5}, {SID: [16]byte{15: 1}, Tag: "t", N: maxGTIDNumber}} {
		if got, err := ParseGTID(MySQL, g.String()); err != nil || got != g {
			t.Errorf("%s reads back as %s, %v", g, got, err)
		}
	}
	g := GTID{Domain: 1, Server: 2, N: 3}
	if got, err := ParseGTID(MariaDB, "1-2-3"); err != nil || got != g {
		t.Errorf("1-2-3 reads as %s, %v", got, err)
	}
	for _, bad := range []string{uuidA + ":1-2", uuidA + ":1," + uuidB + ":1"} {
		if _, err := ParseGTID(MySQL, bad); !errors.Is(err, ErrGTIDShape) {
			t.Errorf("%s as one GTID: %v", bad, err)
		}
	}
}

func TestSetInJSON(t *testing.T) {
	for _, s := range []*GTIDSet{mustParse(t, MySQL, uuidA+":1-5:t:9"), mustParse(t, MariaDB, "0-1-5"), NewGTIDSet(0)} {
		text, err := json.Marshal(map[string]*GTIDSet{"gtids": s})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]*GTIDSet
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if got := back["gtids"]; !got.Equal(s) || got.Flavor() != s.Flavor() {
			t.Errorf("%s came back as %s %s", text, got.Flavor(), got)
		}
	}
	kept := NewGTIDSet(MariaDB)
	if err := kept.UnmarshalText(nil); err != nil || kept.Flavor() != MariaDB {
		t.Errorf("an empty text changed the flavor to %s, %v", kept.Flavor(), err)
	}
}

func TestNilSetReadsAsEmpty(t *testing.T) {
	var s *GTIDSet
	o := mustParse(t, MySQL, uuidA+":1")
	if !s.IsEmpty() || s.String() != "" || s.Clone() != nil || s.Contains(GTID{N: 1}) || s.ContainsSet(o) ||
		!o.ContainsSet(s) || !s.Equal(NewGTIDSet(MySQL)) || !o.Subtract(s).Equal(o) || !s.Subtract(o).IsEmpty() {
		t.Error("a nil set does not behave like an empty one")
	}
}

// The expected bytes of the tagged form follow MySQL 8.3's own encoding; that a
// real server accepts both is shown by the tests of source/mysql.
func TestBinaryForm(t *testing.T) {
	for text, want := range map[string]string{
		"": "0000000000000000",
		uuidA + ":1-5:9": "0100000000000000" + "3e11fa4771ca11e19e33c80aa9429562" + "0200000000000000" +
			"0100000000000000" + "0600000000000000" + "0900000000000000" + "0a00000000000000",
		uuidA + ":3:ab:1": "0102000000000001" + "3e11fa4771ca11e19e33c80aa9429562" + "00" + "0100000000000000" +
			"0300000000000000" + "0400000000000000" + "3e11fa4771ca11e19e33c80aa9429562" + "046162" + "0100000000000000" +
			"0100000000000000" + "0200000000000000",
	} {
		got, err := mustParse(t, MySQL, text).AppendBinary([]byte{})
		if exp, _ := hex.DecodeString(want); err != nil || !bytes.Equal(got, exp) {
			t.Errorf("%q is %x, want %s", text, got, want)
		}
	}
}

func TestAddOfTheNextNumberDoesNotAllocate(t *testing.T) {
	s := mustParse(t, MySQL, uuidB+":1-5:9-20")
	g := GTID{SID: s.runs[0].sid, N: 100}
	s.Add(g)
	if n := testing.AllocsPerRun(1000, func() { g.N++; s.Add(g) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if want := fmt.Sprintf("%s:1-5:9-20:100-%d", uuidB, g.N); s.String() != want {
		t.Errorf("%s, want %s", s, want)
	}
}

func FuzzParseGTIDSet(f *testing.F) {
	for _, text := range []string{"", uuidA + ":1-5:7:t_1:2", uuidA + ":1,\n" + uuidB + ":9", "0-1-5,1-2-3", uuidA + ":9-1"} {
		f.Add(true, text)
		f.Add(false, text)
	}
	f.Fuzz(func(t *testing.T, mysql bool, text string) {
		flavor := MariaDB
		if mysql {
			flavor = MySQL
		}
		s, err := ParseGTIDSet(flavor, text)
		if err != nil {
			return
		}
		checkSpans(t, s)
		again, err := ParseGTIDSet(flavor, s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Fatalf("%q reads as %s and that as %s, %v", text, s, again, err)
		}
	})
}

func mustParse(t *testing.T, f Flavor, text string) *GTIDSet {
	t.Helper()
	s, err := ParseGTIDSet(f, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
