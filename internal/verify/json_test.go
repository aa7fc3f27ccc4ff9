package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

// FuzzMembers: what encoding/json reads as an object, members reads too, with
// the same values; what it refuses may pass, but never breaks anything.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : 1 , "b":[1,{"c":"}"}],"d":"\"\\","e":null} `, `{"a":{"b":{"c":[[]]}},"":true}`, `{"a":1}x`, `{"a"}`, `{"a":}`, `{`, `[1]`, `{"a":1,}`, `{"a":-1.5e3}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := map[string]json.RawMessage{}
		err := members(b, func(name, value []byte) error {
			var s string
			if json.Unmarshal([]byte(`"`+string(name)+`"`), &s) == nil {
				got[s] = bytes.Clone(value)
			}
			return nil
		})
		var want map[string]json.RawMessage
		if json.Unmarshal(b, &want) != nil || want == nil {
			return
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, %s, want %s", b, err, got, want)
		}
	})
}
