package protocol

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// vectors are what an implementation in another language has to agree with; the
// reader's own token is of A's.
type vectors struct {
	Entries []struct {
		Raw, Kind, Token, Version, Generation, Payload string
		Millis                                         int64
	}
	Steps []struct{ Raw, Generation, Look, Ask string }
}

const ownToken = "AAAAAAAAAAAAAAAAAAAAAA"

var kinds = map[string]Kind{"absent": Absent, "lease": Lease, "hold-off": HoldOff, "negative": Negative, "value": Value, "unknown": Unknown}

var steps = map[Step]string{Serve: "serve", Ask: "ask", Load: "load", LoadOnly: "load only", Wait: "wait"}

func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, e := range v.Entries {
		want := Entry{Kind: kinds[e.Kind], Token: e.Token, Version: e.Version, Generation: e.Generation, Millis: e.Millis, Payload: e.Payload}
		if got := Parse(e.Raw); got != want {
			t.Errorf("%q is %+v, want %+v", e.Raw, got, want)
		}
		if got := want.String(); want.Kind != Unknown && got != e.Raw {
			t.Errorf("%+v is written %q, want %q", want, got, e.Raw)
		}
	}
	for _, s := range v.Steps {
		if got := steps[AfterLook(s.Raw, s.Generation)]; got != s.Look {
			t.Errorf("after a look at %q under %q: %s, want %s", s.Raw, s.Generation, got, s.Look)
		}
		_, reply := GetOrLease(s.Raw, ownToken, s.Generation)
		if got := steps[AfterAsk(reply, ownToken, s.Generation)]; got != s.Ask {
			t.Errorf("after asking at %q under %q: %s, want %s", s.Raw, s.Generation, got, s.Ask)
		}
	}
}

func TestTokensDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		token := NewToken()
		if len(token) != TokenLen || seen[token] || strings.ContainsAny(token, "+/=") {
			t.Fatalf("token %q", token)
		}
		seen[token] = true
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "LAAAA", "T00000000000000000042", "V000000000000000000003GGGGGGGGGGGGGGGGGGGGGG1767323045600x", "N000000000000000000000"} {
		f.Add(s, "G")
	}
	f.Fuzz(func(t *testing.T, raw, generation string) {
		e := Parse(raw)
		if e.Kind != Unknown && e.Millis > 0 && e.String() != raw {
			t.Fatalf("%q is written %q", raw, e.String())
		}
		stored, reply := GetOrLease(raw, ownToken, generation)
		step := AfterAsk(reply, ownToken, generation)
		if step == Ask || (step == Load) != (stored == "L"+ownToken) {
			t.Fatalf("%q: stored %q, then %s", raw, stored, steps[step])
		}
	})
}
