package snapshot

import (
	"reflect"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/source"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 5e6, time.UTC)

func TestStateGoesOnWithChunks(t *testing.T) {
	s := State{Run: 3, Cause: Gap, Key: []string{"a", "b"}, Where: "x < 'ä'", Started: noon}
	s = s.With(&Outcome{Kept: 5, Dropped: 2, Chunk: source.Chunk{Last: []byte("k<7"), Max: []byte("k9"), Bytes: 70}}, noon)
	s = s.With(&Outcome{Kept: 1, Chunk: source.Chunk{Last: []byte("k8"), End: true, Bytes: 10}}, noon.Add(time.Minute))
	want := State{Run: 3, Cause: Gap, Key: []string{"a", "b"}, Where: "x < 'ä'", Started: noon,
		After: Bound("k8"), Until: Bound("k9"), Rows: 8, Dropped: 2, Bytes: 80, Chunks: 2, Done: true, Finished: noon.Add(time.Minute)}
	if !reflect.DeepEqual(s, want) {
		t.Fatalf("got  %+v\nwant %+v", s, want)
	}
	m, err := s.Mark("shop", "a.b")
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"v":1,"run":3,"cause":"gap","key":["a","b"],"where":"x < 'ä'","after":"k8","until":"k9","rows":8,"dropped":2,` +
		`"bytes":80,"chunks":2,"started":"2026-01-02T12:00:00.005Z","finished":"2026-01-02T12:01:00.005Z","done":true}`
	if m.Key != "snapshot/shop.a%2Eb" || string(m.Value) != text {
		t.Errorf("%s = %s", m.Key, m.Value)
	}
	if back, err := DecodeState(m.Value); err != nil || !reflect.DeepEqual(back, want) {
		t.Errorf("read back: %+v, %v", back, err)
	}
}
