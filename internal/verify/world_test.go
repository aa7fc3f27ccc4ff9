package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/source"
)

// world is a table that is written to, its log, a pipeline and its topic. Rows
// are numbers by key; 0 is none. Whatever a verification does, the world goes on
// before it.
type world struct {
	rnd       *rand.Rand
	writes    int // at most, at each step
	log       [][2]int
	lag       lag
	visible   int // how much of the log a SELECT shows
	delivered int // how much of it is in the topic
	topic     [2][]Record
	table     *event.Table
}

const worldKeys = 12

// lag is what a world does only when it must: show a commit to a SELECT, or
// deliver it.
type lag int

const (
	none lag = iota
	shows
	delivers
)

func newWorld(seed uint64, writes int) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 2)), writes: writes, lag: lag(seed % 3)}
	w.table = &event.Table{Database: "shop", Name: "t", Columns: []event.Column{{Name: "id", Type: event.TypeInt}}, Key: []int{0}}
	return w
}

func (w *world) step() {
	for range w.rnd.IntN(w.writes + 1) {
		value := len(w.log) + 10 // never twice
		if w.rnd.IntN(4) == 0 {
			value = 0
		}
		w.log = append(w.log, [2]int{w.rnd.IntN(worldKeys), value})
	}
	if w.lag != shows {
		w.visible += w.rnd.IntN(len(w.log) - w.visible + 1)
	}
	if w.lag != delivers {
		w.deliver(w.delivered + w.rnd.IntN(len(w.log)-w.delivered+1))
	}
}

// deliver lets the pipeline get so far.
func (w *world) deliver(to int) {
	for ; w.delivered < to; w.delivered++ {
		c := w.log[w.delivered]
		w.append(keyText(c[0]), valueText(c[0], c[1]))
	}
}

func keyText(id int) string { return fmt.Sprintf(`{"id":%d}`, id) }

func valueText(id, n int) []byte {
	if n == 0 {
		return nil
	}
	return fmt.Appendf(nil, `{"before":null,"after":{"id":%d,"n":%d},"op":"u"}`, id, n)
}

func (w *world) append(key string, value []byte) {
	part := len(key) % 2
	w.topic[part] = append(w.topic[part], Record{
		Partition: int32(part), Offset: int64(len(w.topic[part])), Key: []byte(key), Value: value,
	})
}

// Extents implements Topic.
func (w *world) Extents(context.Context) ([]Extent, error) {
	w.step()
	return []Extent{{0, int64(len(w.topic[0]))}, {0, int64(len(w.topic[1]))}}, nil
}

// Read implements Topic.
func (w *world) Read(_ context.Context, part int32, from, to int64, visit func(*Record) error) error {
	w.step()
	for i := from; i < to; i++ {
		r := w.topic[part][i]
		if err := visit(&r); err != nil {
			return err
		}
	}
	return nil
}

// reader is the source.ChunkReader of a world.
type reader struct{ *world }

func (r reader) Close() error { return nil }

func (r reader) Running(context.Context) (int, error) { return 0, nil }

func (r reader) ReadWhole(context.Context, source.ChunkRequest, func(event.RawRows) error) (source.Chunk, error) {
	return source.Chunk{}, errors.New("is not asked for")
}

// Read implements source.ChunkReader: two rows at a time.
func (r reader) Read(_ context.Context, req source.ChunkRequest) (source.Chunk, error) {
	w := r.world
	w.step()
	w.visible = max(w.visible, int(req.Seen.Offset))
	rows := map[int]int{}
	for _, c := range w.log[:w.visible] {
		rows[c[0]] = c[1]
	}
	after := -1
	if req.After != nil {
		after, _ = strconv.Atoi(string(req.After))
	}
	c := source.Chunk{Table: w.table, Last: req.After, Max: []byte("99"), End: true}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		switch {
		case rows[id] == 0 || id <= after || req.Where != "" && !strings.Contains(req.Where, fmt.Sprintf(",%d,", id)):
		case c.Count == 2:
			c.End = false
		default:
			c.Count++
			c.Last = []byte(strconv.Itoa(id))
			c.Rows = append(c.Rows, event.RawRows{Body: fmt.Appendf(nil, "%d %d", id, rows[id])})
		}
	}
	w.step()
	c.High = event.Coord{Offset: uint64(len(w.log))}
	return c, nil
}

// Encode implements format.Encoder.
func (w *world) Encode(p *event.Piece, out format.Emitter) error {
	for i, raw := range p.Events {
		var id, n int
		_, _ = fmt.Sscanf(string(raw.Body), "%d %d", &id, &n)
		r := &format.Record{Key: []byte(keyText(id)), Value: valueText(id, n), Ordinal: uint64(i + 1)}
		if err := out.Emit(r); err != nil {
			return err
		}
	}
	return nil
}

// Heartbeat implements format.Encoder.
func (w *world) Heartbeat(int64, format.Emitter) error { return nil }

// Parse implements Keys.
func (w *world) Parse(_ *event.Table, key []byte) ([]event.Value, error) {
	var k struct{ ID *int64 }
	if err := json.Unmarshal(key, &k); err != nil || k.ID == nil {
		return nil, errors.New("no key")
	}
	return []event.Value{{Kind: event.Int, Num: *k.ID}}, nil
}

// Condition implements Keys.
func (w *world) Condition(_ *event.Table, keys [][]event.Value) (string, error) {
	s := ","
	for _, k := range keys {
		s += fmt.Sprint(k[0].Num) + ","
	}
	return s, nil
}

func (w *world) reach(_ context.Context, high event.Coord) (event.Position, error) {
	w.step()
	w.deliver(max(w.delivered, int(high.Offset)))
	return event.Position{Offset: uint64(w.delivered)}, nil
}

func (w *world) verify(t *testing.T, dir string) (*Table, Result) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir, cfg.Rate = dir, 0
	v, err := New(cfg, Deps{
		Info: source.TableInfo{Database: "shop", Name: "t", Key: []string{"id"}}, Rows: reader{w}, Encoder: w, Topic: w, Keys: w, Reach: w.reach,
		Progress: func(string, uint64, uint64) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close) // once more does no harm
	res, err := v.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v, res
}

// TestNoFalseAlarm: however writes, visibility and delivery interleave with the
// steps of a verification, a right topic is found right.
func TestNoFalseAlarm(t *testing.T) {
	busy, dir := 0, t.TempDir()
	for seed := range uint64(150) {
		w := newWorld(seed, int(seed%5)+1)
		v, res := w.verify(t, dir)
		v.Close()
		if res.Count() > 0 {
			t.Fatalf("seed %d: %+v", seed, res)
		}
		busy += res.Busy
	}
	t.Logf("%d keys stayed busy", busy)
}

// TestPlantedIsFound: records of others are found while the rest of the table is
// written to, and only they are.
func TestPlantedIsFound(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(40) {
		w := newWorld(seed, int(seed%3))
		w.log = append(w.log, [2]int{100, 1}, [2]int{101, 2}, [2]int{102, 3})
		w.visible = len(w.log)
		w.deliver(len(w.log))
		w.append(keyText(100), nil)
		w.append(keyText(101), valueText(101, 9))
		w.append(keyText(103), valueText(103, 1))
		w.append(`{"x":1}`, valueText(103, 1))
		v, res := w.verify(t, dir)
		var got []string
		for _, d := range res.Differences {
			got = append(got, string(d.Kind)+" "+d.Key)
		}
		want := []string{`missing {"id":100}`, `different {"id":101}`, `extra {"id":103}`, `extra {"x":1}`}
		if !slices.Equal(got, want) || res.Missing != 1 || res.Different != 1 || res.Extra != 2 {
			t.Fatalf("seed %d: %q %+v", seed, got, res)
		}
		if c := res.Differences[1].Columns; len(c) != 1 || c[0].Name != "n" || *c[0].Table != "2" || *c[0].Topic != "9" {
			t.Fatalf("seed %d: columns %+v", seed, c)
		}
		w.repaired(t, v)
		v.Close()
	}
}

// repaired reads again what the conditions ask for; then only the keys are left
// that no row has.
func (w *world) repaired(t *testing.T, v *Table) {
	t.Helper()
	where, err := v.Repairs()
	if err != nil || !slices.Equal(where, []string{",100,101,"}) {
		t.Fatalf("%q, %v", where, err)
	}
	w.append(keyText(100), valueText(100, 1))
	w.append(keyText(101), valueText(101, 2))
	res, err := v.Again(t.Context())
	if err != nil || res.Count() != 2 || res.Extra != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
}

// TestHistoryGone: a topic whose beginning was removed is judged if the table
// was read into it since, or may have been.
func TestHistoryGone(t *testing.T) {
	at := time.UnixMilli(1_000_000)
	for _, c := range []struct {
		name    string
		read    Span
		removed int64
		refused bool
	}{
		{"never read", Span{}, 2, true},
		{"read before", Span{at.Add(-time.Hour), at.Add(-time.Minute)}, 2, true},
		{"read about then", Span{at.Add(-time.Hour), at.Add(time.Minute)}, 2, false},
		{"read since", Span{at.Add(time.Second), at.Add(time.Minute)}, 0, false},
	} {
		w := newWorld(1, 0)
		for range 4 {
			w.append("k", []byte("v"))
			w.topic[1][len(w.topic[1])-1].Millis = at.UnixMilli()
		}
		v := &Table{d: Deps{Topic: cutTopic{w}, Read: c.read}}
		err := v.whole(t.Context())
		if (err != nil) != c.refused || v.result.Removed != c.removed {
			t.Errorf("%s: %d removed, %v", c.name, v.result.Removed, err)
		}
	}
}

// cutTopic is a topic that has lost its first two records.
type cutTopic struct{ *world }

func (c cutTopic) Extents(ctx context.Context) ([]Extent, error) {
	list, err := c.world.Extents(ctx)
	list[1].First = 2
	return list, err
}
