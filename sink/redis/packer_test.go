package redis

import (
	"testing"

	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

func record() *format.Record { return &format.Record{Route: &format.Route{Topic: "user:{id}"}} }

// TestOtherFormatsAreRefused: their keys are no keys of a cache.
func TestOtherFormatsAreRefused(t *testing.T) {
	p := New(DefaultConfig(), Observer{}).Packer()
	for name, r := range map[string]*format.Record{
		"a value": {Route: record().Route, Key: []byte("user:1"), Value: []byte("{}")},
		"no key":  record(),
	} {
		if err := p.Emit(r); resilience.ClassOf(err) != resilience.Fatal || resilience.CodeOf(err) != "not_a_cache_key" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
