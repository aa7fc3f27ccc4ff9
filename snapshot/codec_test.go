package snapshot

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

const goodState = `{"v":1,"run":3,"cause":"initial","key":["id"],"after":"k","until":"","rows":8,"dropped":2,"bytes":80,"chunks":2,"started":"2026-01-02T12:00:00Z"}`

func TestStatesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                                      "EOF",
		`null`:                                  "version 0",
		`[]`:                                    "cannot unmarshal",
		goodState + ` {}`:                       "text follows",
		change(`"v":1`, `"v":2`):                "version 2",
		change(`"run":3`, `"run":0`):            "run is missing",
		change(`"run":3`, `"run":-1`):           "cannot unmarshal",
		change(`"initial"`, `"x"`):              `cause "x"`,
		change(`"rows":8`, `"rows":1`):          "dropped",
		change(`"rows":8`, `"lines":8`):         "unknown field",
		change(`"chunks":2`, `"chunks":0`):      "without a chunk",
		change(`2026-01-02T12:00:00Z`, `today`): "parsing time",
		change(`,"started":`, `,"finished":`):   "started is missing",
		change(`}`, `,"done":true}`):            "do not go together",
		change(`}`, `,"rest":true}`):            "leaves a rest",
		change(`}`, `,"done":true,"cancelled":true,"finished":"2026-01-02T12:00:00Z"}`): "both done and cancelled",
	} {
		_, err := DecodeState([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if resilience.CodeOf(err) != CodeState || resilience.HintOf(err) == "" {
			t.Errorf("%s: code %q, hint %q", text, resilience.CodeOf(err), resilience.HintOf(err))
		}
	}
	if s, err := DecodeState([]byte(goodState)); err != nil || s.Until == nil {
		t.Errorf("%+v, %v", s, err)
	}
}

func change(old, new string) string { return strings.Replace(goodState, old, new, 1) }

func TestStatesThatAreNotStored(t *testing.T) {
	for _, f := range []func(*State){
		func(s *State) { s.Run = 0 },
		func(s *State) { s.Where = "\xff" },
		func(s *State) { s.Key = []string{"\xff"} },
		func(s *State) { s.Chunks, s.After = 1, Bound("\xff") },
		func(s *State) { s.Started = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		s := State{Run: 1, Cause: Initial, Started: noon}
		if _, err := s.Mark("d", "t"); err != nil {
			t.Fatal(err)
		}
		if f(&s); true {
			if m, err := s.Mark("d", "t"); err == nil || resilience.CodeOf(err) != CodeState {
				t.Errorf("%s, %v", m.Value, err)
			}
		}
	}
}

func TestCancelledState(t *testing.T) {
	s := State{Run: 1, Cause: Requested, Started: noon}.Cancel(noon)
	m, err := s.Mark("d", "t")
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeState(m.Value); err != nil || !back.Ended() || back.Done {
		t.Errorf("%+v, %v", back, err)
	}
}

// FuzzState: what can be read is written the same way again.
func FuzzState(f *testing.F) {
	f.Add(goodState)
	f.Add(change(`}`, `,"done":true,"finished":"2026-01-02T13:00:00.5+01:00"}`))
	f.Add(change(`"initial"`, `"requested","where":"a\u0000<b","rest":true`))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := DecodeState([]byte(text))
		if err != nil {
			if resilience.CodeOf(err) != CodeState {
				t.Fatalf("%v without its code", err)
			}
			return
		}
		s.Started = stamp(s.Started)
		if !s.Finished.IsZero() {
			s.Finished = stamp(s.Finished)
		}
		value, err := s.Encode()
		if err != nil {
			t.Skip(err) // a time that JSON has no room for
		}
		back, err := DecodeState(value)
		if err != nil || !reflect.DeepEqual(back, s) {
			t.Fatalf("%s: %+v, then %s: %+v, %v", text, s, value, back, err)
		}
	})
}

func FuzzScope(f *testing.F) {
	f.Add(`{"v":1,"gap":3,"filters":["a","b"]}`)
	f.Add(`{"v":1}`)
	f.Add(`{"v":1,"filters":["","","","","","","","","","","","","","","","",""]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := DecodeScope([]byte(text))
		if err != nil {
			return
		}
		m, err := s.Mark()
		if err != nil || m.Key != ScopeKey {
			t.Fatalf("%+v: %v", s, err)
		}
		if back, err := DecodeScope(m.Value); err != nil || !back.Equal(s) {
			t.Fatalf("%s: %+v, then %+v, %v", text, s, back, err)
		}
	})
}

func TestMarkKeys(t *testing.T) {
	for key, n := range map[string]Name{
		"snapshot/shop.orders":    {"shop", "orders"},
		"snapshot/a%2Eb.c":        {"a.b", "c"},
		"snapshot/a.b%2Ec":        {"a", "b.c"},
		"snapshot/a%25.%252E":     {"a%", "%2E"},
		"snapshot/.":              {"", ""},
		"snapshot/a/b.Käse\u3000": {"a/b", "Käse\u3000"},
		"snapshot/%FF.%00%7F":     {"\xff", "\x00\x7f"},
	} {
		if got := MarkKey(n.Database, n.Table); got != key {
			t.Errorf("%q has key %s, want %s", n, got, key)
		}
		if d, table, ok := ParseMarkKey(key); !ok || d != n.Database || table != n.Table {
			t.Errorf("%s is of %q %q, %v", key, d, table, ok)
		}
	}
	long := strings.Repeat("\u3000.", 32)
	if n := len(MarkKey(long, long)); n > 512 {
		t.Errorf("a key of %d bytes", n)
	}
	for _, key := range []string{"", "snapshot", "snapshot/", "snapshot/a", "snapshot/a.b.c", "snapshot/a%2eb.c", "snapshot/a%41.c", "snapshot/a%.c", "snapshots/a.b", "snapshot/a.\xff"} {
		if d, table, ok := ParseMarkKey(key); ok {
			t.Errorf("%q is of %q %q", key, d, table)
		}
	}
}

func FuzzMarkKey(f *testing.F) {
	f.Add("a.b", "c%2E")
	f.Fuzz(func(t *testing.T, database, table string) {
		key := MarkKey(database, table)
		if d, n, ok := ParseMarkKey(key); !ok || d != database || n != table {
			t.Fatalf("%q %q: %s, back %q %q %v", database, table, key, d, n, ok)
		}
		if d, n, ok := ParseMarkKey(database); ok && MarkKey(d, n) != database {
			t.Fatalf("%q was taken for a key", database)
		}
	})
}

func TestMarksOfAPosition(t *testing.T) {
	m, err := ReadMarks(map[string][]byte{"schema/d.t": []byte("?"), ScopeKey: []byte(`{"v":1,"gap":2}`), "snapshot/d.t": []byte(goodState)})
	if err != nil || m.Scope.Gap != 2 || m.States[Name{"d", "t"}].Run != 3 || m.NextRun() != 4 {
		t.Errorf("%+v, %v", m, err)
	}
	for key, value := range map[string]string{ScopeKey: "x", "snapshot/d.t": "x", "snapshot/dt": goodState} {
		if _, err := ReadMarks(map[string][]byte{key: []byte(value)}); resilience.CodeOf(err) != CodeState {
			t.Errorf("%s: %v", key, err)
		}
	}
	if m, err := ReadMarks(nil); err != nil || m.NextRun() != 1 || !slices.Equal(m.Scope.Filters, nil) {
		t.Errorf("%+v, %v", m, err)
	}
}
