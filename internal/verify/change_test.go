package verify

import (
	"fmt"
	"testing"
)

func imageDigest(t *testing.T, image string) digest {
	t.Helper()
	d, err := rowDigest([]byte(image))
	if err != nil {
		t.Fatalf("%s: %v", image, err)
	}
	return d
}

func TestDigestsAreOfColumnsNotOfTheirOrder(t *testing.T) {
	a := imageDigest(t, `{"id":1,"name":"ä","n":null}`)
	if b := imageDigest(t, `{ "n":null, "name":"ä", "id":1 }`); a != b {
		t.Error("the order of columns counts")
	}
	for _, other := range []string{`{"id":1,"name":"ä"}`, `{"id":1,"name":"ä","n":0}`, `{"id":"ä","name":1,"n":null}`, `{}`} {
		if imageDigest(t, other) == a {
			t.Errorf("%s has the same digest", other)
		}
	}
}

func TestChangeOf(t *testing.T) {
	after := imageDigest(t, `{"id":1}`)
	for _, c := range []struct {
		name string
		r    Record
		want change
	}{
		{"tombstone", Record{Key: []byte("k")}, change{}},
		{"create", Record{Key: []byte("k"), Value: []byte(`{"before":null,"after":{"id":1},"op":"c"}`)}, change{digest: after}},
		{"with a schema", Record{Key: []byte("k"), Value: []byte(`{"schema":{"op":[]},"payload":{"before":null,"after":{"id":1},"op":"r"}}`)}, change{digest: after}},
		{"delete", Record{Key: []byte("k"), Value: []byte(`{"before":{"id":1},"after":null,"op":"d"}`)}, change{}},
		{"key only", Record{Key: []byte("k"), Value: []byte(`{"before":null,"after":{"id":1},"op":"u"}`), KeyOnly: true}, change{digest: keyOnly}},
		{"truncate", Record{Value: []byte(`{"source":{},"op":"t"}`)}, change{truncate: true}},
	} {
		if got := changeOf(&c.r); got.digest != c.want.digest || got.truncate != c.want.truncate {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	for _, strange := range []string{``, `7`, `{}`, `{"id":1}`, `{"op":"c","after":7}`, `{"op":"c"}`} {
		if c := changeOf(&Record{Key: []byte("k"), Value: []byte(strange)}); c.digest <= keyOnly || c.digest == after {
			t.Errorf("%q passes for a change: %+v", strange, c)
		}
	}
}

func TestColumnsOf(t *testing.T) {
	text := func(list []Column) (s string) {
		show := func(p *string) string {
			if p == nil {
				return "-"
			}
			return *p
		}
		for _, c := range list {
			s += fmt.Sprintf("%s:%s/%s ", c.Name, show(c.Table), show(c.Topic))
		}
		return s
	}
	got := text(columnsOf([]byte(`{"a":1,"b":"x","c":null}`), []byte(`{"d":4,"a":1,"b":"y"}`)))
	if got != `b:"x"/"y" c:null/- d:-/4 ` {
		t.Error(got)
	}
	if got := text(columnsOf([]byte(`{"a":1}`), []byte("junk"))); got != ":-/junk " {
		t.Error(got)
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		row    digest
		states []digest // of the topic: at the beginning of the window, and in it
		want   verdict
	}{
		{5, []digest{5}, equal},
		{5, []digest{4, 6, 5}, equal},
		{absent, []digest{5, absent}, equal},
		{5, []digest{keyOnly}, equal},
		{absent, []digest{keyOnly}, differs},
		{5, []digest{5, 6}, busy},
		{5, []digest{4, 5, absent}, busy},
		{absent, []digest{absent, 6}, busy},
		{5, []digest{6}, differs},
		{5, []digest{4, 7, 6}, differs},
		{5, []digest{absent}, differs},
	} {
		s := suspect{state: 5, place: place{offset: -2}}
		s.begin()
		s.row = c.row
		s.apply(c.states[0], place{offset: -1}, false)
		for i, d := range c.states[1:] {
			s.apply(d, place{offset: int64(i)}, true)
		}
		if got := s.judge(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
