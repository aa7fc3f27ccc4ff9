package text

import (
	"bytes"
	"flag"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
)

var update = flag.Bool("update", false, "write the golden files anew")

// printer keeps the lines, and the keys beside them.
type printer struct {
	bytes.Buffer
	keys []string
}

func (p *printer) Emit(r *format.Record) error {
	p.Write(r.Value)
	p.WriteByte('\n')
	p.keys = append(p.keys, string(r.Key))
	return nil
}

func scaled(name string, typ event.Type, scale int) event.Column {
	c := eventtest.Col(name, typ)
	c.Scale = scale
	return c
}

func labelled(name string, typ event.Type, labels ...string) event.Column {
	c := eventtest.Col(name, typ)
	c.Labels = labels
	return c
}

// everything is a table with each type, and a row for it.
func everything() (*event.Table, []event.Value) {
	columns := []event.Column{
		eventtest.Col("id", event.TypeBigInt), eventtest.Col("big", event.TypeBigInt), scaled("price", event.TypeDecimal, 2),
		scaled("debt", event.TypeDecimal, 3), scaled("huge", event.TypeDecimal, 2), eventtest.Col("f", event.TypeFloat), eventtest.Col("d", event.TypeDouble),
		eventtest.Col("flags", event.TypeBit), eventtest.Col("y", event.TypeYear), eventtest.Col("born", event.TypeDate), eventtest.Col("never", event.TypeDate),
		scaled("dur", event.TypeTime, 3), scaled("at", event.TypeDateTime, 6), scaled("ts", event.TypeTimestamp, 0), scaled("zero", event.TypeTimestamp, 2),
		labelled("state", event.TypeEnum, "new", "it's"), labelled("tags", event.TypeSet, "a", "b", "c"),
		eventtest.Col("doc", event.TypeJSON), eventtest.Col("blob", event.TypeBytes), eventtest.Col("photo", event.TypeBytes),
		eventtest.Col("name", event.TypeText), eventtest.Col("story", event.TypeText), eventtest.Col("evil", event.TypeText), eventtest.Col("none", event.TypeText),
		eventtest.Col("left_out", event.TypeText),
	}
	row := []event.Value{
		eventtest.Int(-7), eventtest.Uint(math.MaxUint64), eventtest.Decimal(1230, 2),
		eventtest.Decimal(-5, 3), eventtest.BigDecimal("-12345678901234567890.10"), eventtest.Float(0.1), eventtest.Double(1e300),
		eventtest.Bit(5), eventtest.Year(0), eventtest.Date(1999, 12, 31), eventtest.Date(0, 0, 0),
		eventtest.Time(-(838*time.Hour + 59*time.Minute + 58500*time.Millisecond)), eventtest.DateTime(2026, 2, 0, 1, 2, 3, 45), eventtest.Timestamp(1767225600123456), eventtest.Timestamp(0),
		eventtest.Enum(2), eventtest.Set(5),
		eventtest.JSON(`{"a": [1, "x"]}`), eventtest.Bytes("\x89PNG"), eventtest.Bytes(strings.Repeat("\xff", 3000)),
		eventtest.Text("Zoë’s \\ 'n' 日本"), eventtest.Text(strings.Repeat("long ", 100)), eventtest.Text("\x1b[2J\u202etxt\n\xff"), eventtest.Null(),
		eventtest.Absent(),
	}
	return eventtest.Table("shop", "everything", []string{"id"}, columns...), row
}

// story is what a person would see of a small shop.
func story() []*event.Piece {
	orders, all, row := eventtest.Orders(), (*event.Table)(nil), []event.Value(nil)
	all, row = everything()
	plain := eventtest.Table("shop", "log", nil, eventtest.Col("line", event.TypeText), eventtest.Col("n", event.TypeInt))
	o := func(id int64, note event.Value) []event.Value { return []event.Value{eventtest.Int(id), note} }
	text := eventtest.Text
	ddl := eventtest.Tx(12)
	ddl.Micros, ddl.DDL = false, &event.DDL{Database: "shop", SQL: "TRUNCATE  TABLE\n  orders", Kind: event.DDLTruncate}
	return append([]*event.Piece{
		eventtest.Piece(eventtest.Tx(7),
			eventtest.Insert(orders, o(1, text("first"))...),
			eventtest.Update(orders, o(1, text("first")), o(1, eventtest.Null())),
			eventtest.Delete(orders, o(1, eventtest.Null())...)),
		eventtest.Piece(eventtest.Tx(8),
			eventtest.Insert(plain, text("x"), eventtest.Int(1)),
			eventtest.Update(plain, []event.Value{text("x"), eventtest.Int(1)}, []event.Value{text("x"), eventtest.Int(2)}),
			eventtest.Update(orders, o(1, text("a")), o(2, text("a"))),
			eventtest.Update(orders, o(2, text("a")), o(2, text("a"))),
			eventtest.Read(orders, o(3, text("b"))...)),
		eventtest.Piece(eventtest.Tx(9), eventtest.Insert(all, row...)),
		eventtest.Piece(eventtest.Tx(10)), // nothing to show
		eventtest.Piece(ddl),
	}, eventtest.Pieces(eventtest.Tx(13), 1, eventtest.Delete(orders, o(1, text("x"))...), eventtest.Delete(orders, o(2, text("y"))...))...)
}

func render(t *testing.T, cfg Config, pieces []*event.Piece) *printer {
	t.Helper()
	e, out := New(cfg, new(format.Routes)), new(printer)
	for _, p := range pieces {
		if err := e.Encode(p, out); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Heartbeat(1, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGolden(t *testing.T) {
	colored, local := DefaultConfig(), DefaultConfig()
	colored.Color = true
	local.Location = time.FixedZone("CET", 3600)
	for name, cfg := range map[string]Config{"plain": DefaultConfig(), "color": colored, "local": local} {
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		got := render(t, cfg, story()).Bytes()
		file := "testdata/" + name + ".txt"
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestNothingSteersTheTerminal renders every byte and some code points that
// turn writing around.
func TestNothingSteersTheTerminal(t *testing.T) {
	var evil []byte
	for i := range 256 {
		evil = append(evil, byte(i))
	}
	evil = append(evil, "\u202e\u2066\u200b\u0085\u009b"...)
	table := eventtest.Table("d", "t", nil, eventtest.Col("a", event.TypeText), eventtest.Col("b\x1b[2J", event.TypeJSON))
	cfg := DefaultConfig()
	cfg.MaxValue = 1000
	out := render(t, cfg, []*event.Piece{eventtest.Piece(eventtest.Tx(1), eventtest.Insert(table, eventtest.Text(string(evil)), eventtest.JSON(string(evil))))})
	for _, r := range strings.ReplaceAll(out.String(), "\n", "") {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e || r == 0x2066 || r == 0x200b {
			t.Errorf("%U got through", r)
		}
	}
}

func TestRecordsHaveTheKey(t *testing.T) {
	table := eventtest.Table("d", "t", []string{"b", "a"}, eventtest.Col("a", event.TypeInt), eventtest.Col("b", event.TypeText))
	before := []event.Value{eventtest.Int(1), eventtest.Text("x")}
	cfg := DefaultConfig()
	cfg.Color = true // not in the key
	out := render(t, cfg, []*event.Piece{eventtest.Piece(eventtest.Tx(1),
		eventtest.Insert(table, before...), eventtest.Update(table, before, []event.Value{eventtest.Int(2), eventtest.Text("x")}))})
	want := []string{"", "b='x' a=1", "b='x' a=2"}
	if strings.Join(out.keys, "|") != strings.Join(want, "|") {
		t.Errorf("keys %q, want %q", out.keys, want)
	}
}

// TestKeysAreWhole: a line may shorten values, but rows whose keys begin alike
// must not become one in a compacted topic.
func TestKeysAreWhole(t *testing.T) {
	table := eventtest.Table("d", "t", []string{"a", "b"}, eventtest.Col("a", event.TypeText), eventtest.Col("b", event.TypeBytes))
	row := func(end string) []event.Value {
		return []event.Value{eventtest.Text(strings.Repeat("long ", 100) + end), eventtest.Bytes(strings.Repeat("\xff", 500) + end)}
	}
	out := render(t, DefaultConfig(), []*event.Piece{eventtest.Piece(eventtest.Tx(1),
		eventtest.Insert(table, row("1")...), eventtest.Update(table, row("1"), row("2")))})
	for i, end := range []string{"1", "2"} {
		want := "a='" + strings.Repeat("long ", 100) + end + "' b=0x" + strings.Repeat("FF", 500) + "3" + end
		if out.keys[i+1] != want {
			t.Errorf("key %q, want %q", out.keys[i+1], want)
		}
	}
	if n := out.Len(); n > 700 {
		t.Errorf("%d bytes in all lines: they are not shortened", n)
	}
}

func TestUnknownOperationIsPoison(t *testing.T) {
	e := New(DefaultConfig(), new(format.Routes))
	row := eventtest.Insert(eventtest.Orders(), eventtest.Int(1), eventtest.Null())
	row.Op = 'z'
	if err := e.Encode(eventtest.Piece(eventtest.Tx(1), row), new(printer)); err == nil || !strings.Contains(err.Error(), "shop.orders") {
		t.Errorf("got %v", err)
	}
}

type discard struct{}

func (discard) Emit(*format.Record) error { return nil }

func TestRowsAllocateNothing(t *testing.T) {
	e := New(DefaultConfig(), new(format.Routes))
	table, row := everything()
	p := eventtest.Piece(eventtest.Tx(1), eventtest.Insert(table, row...), eventtest.Update(table, row, row))
	p.First = false
	encode := func() {
		if err := e.Encode(p, discard{}); err != nil {
			t.Fatal(err)
		}
	}
	encode()
	if n := testing.AllocsPerRun(100, encode); n != 0 {
		t.Errorf("%v allocations for two rows", n)
	}
}
