package debezium

import (
	"fmt"
	"math"
	"testing"

	"github.com/cdcd-io/cdcd/event"
)

// keyCases are columns and values that keys have.
func keyCases() map[*event.Column][]event.Value {
	text := func(kind event.Kind, list ...string) (vs []event.Value) {
		for _, s := range list {
			vs = append(vs, event.Value{Kind: kind, Bytes: []byte(s)})
		}
		return vs
	}
	nums := func(kind event.Kind, list ...int64) (vs []event.Value) {
		for _, n := range list {
			vs = append(vs, event.Value{Kind: kind, Num: n})
		}
		return vs
	}
	moment := event.PackDateTime(2026, 11, 24, 12, 34, 56, 123456)
	whole := event.PackDateTime(1931, 1, 2, 3, 4, 5, 7000)
	return map[*event.Column][]event.Value{
		{Type: event.TypeInt}:                    nums(event.Int, 0, -1, math.MaxInt32),
		{Type: event.TypeBigInt, Unsigned: true}: nums(event.Uint, 0, 1, -1, math.MinInt64),
		{Type: event.TypeFloat}:                  nums(event.Float, int64(math.Float32bits(1.1)), int64(math.Float32bits(-3e30))),
		{Type: event.TypeDouble}:                 nums(event.Double, int64(math.Float64bits(0.1))),
		{Type: event.TypeDecimal, Precision: 9, Scale: 2}: {
			{Kind: event.Decimal, Scale: 2, Num: -5}, {Kind: event.Decimal, Scale: 2, Num: 1234567}, {Kind: event.Decimal, Bytes: []byte("-123456789012345678901.20")},
		},
		{Type: event.TypeDecimal, Precision: 9}:            nums(event.Decimal, 0, -128, 127, 40000),
		{Type: event.TypeBit, Length: 1}:                   nums(event.Bit, 0, 1),
		{Type: event.TypeBit, Length: 12}:                  nums(event.Bit, 0, 0xABC),
		{Type: event.TypeYear}:                             nums(event.Year, 0, 2026),
		{Type: event.TypeDate}:                             nums(event.Date, event.PackDateTime(1969, 12, 31, 0, 0, 0, 0), event.PackDateTime(2000, 2, 29, 0, 0, 0, 0)),
		{Type: event.TypeTime, Scale: 6}:                   nums(event.Time, 0, -3_020_399_000_000, 1),
		{Type: event.TypeDateTime, Scale: 3}:               nums(event.DateTime, whole),
		{Type: event.TypeDateTime, Scale: 6}:               nums(event.DateTime, moment),
		{Type: event.TypeTimestamp, Scale: 6}:              nums(event.Timestamp, 1, 1_700_000_000_123_456),
		{Type: event.TypeText}:                             text(event.Text, "", "ä \" \\ \x01", "'; DROP"),
		{Type: event.TypeBytes}:                            text(event.Bytes, "", "\x00\xff"),
		{Type: event.TypeEnum, Labels: []string{"a", "ü"}}: nums(event.Enum, 0, 1, 2),
		{Type: event.TypeSet, Labels: []string{"a", "ü"}}:  nums(event.Set, 0, 1, 2, 3),
	}
}

// TestParseKeyIsTheInverse renders keys under every setting and reads them back.
func TestParseKeyIsTheInverse(t *testing.T) {
	for _, set := range []func(*Config){
		func(*Config) {},
		func(c *Config) { c.Decimal, c.Binary, c.BigintUnsigned = "string", "hex", "precise" },
		func(c *Config) { c.Binary = "base64_url_safe" },
		func(c *Config) { c.Schemas = true },
	} {
		e := configured(t, set)
		for col, values := range keyCases() {
			col.Name = "k"
			table := &event.Table{Database: "shop", Name: "t", Columns: []event.Column{{Name: "v"}, *col}, Key: []int{1}}
			table.Columns[0].Excluded = true
			for _, v := range values {
				roundTrip(t, e, table, v)
			}
		}
	}
}

func roundTrip(t *testing.T, e *Encoder, table *event.Table, v event.Value) {
	t.Helper()
	key := renderedKey(t, e, table, v)
	got, err := e.cfg.ParseKey(table, []byte(key))
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return
	}
	if again := renderedKey(t, e, table, got[0]); again != key {
		t.Errorf("%s became %+v, rendered %s", key, got[0], again)
	}
}

func renderedKey(t *testing.T, e *Encoder, table *event.Table, v event.Value) string {
	t.Helper()
	p, err := e.compile(table)
	if err != nil {
		t.Fatal(err)
	}
	e.prog = p
	change := &event.RowChange{Table: table}
	var buf []byte
	key, err := e.renderKey(&buf, change, []event.Value{{}, v})
	if err != nil {
		t.Fatalf("%+v of %+v: %v", v, table.Columns[1], err)
	}
	return string(key)
}

// TestParseKeyRefuses: keys that no row has are told, not guessed.
func TestParseKeyRefuses(t *testing.T) {
	c := DefaultConfig()
	table := &event.Table{Columns: []event.Column{{Name: "id", Type: event.TypeInt}, {Name: "e", Type: event.TypeEnum, Labels: []string{"a"}}}, Key: []int{0, 1}}
	for _, key := range []string{``, `null`, `7`, `{"id":1}`, `{"id":"x","e":"a"}`, `{"id":1.5,"e":"a"}`, `{"id":1,"e":"b"}`, `{"id":1,"e":null}`, `{"id":null,"e":"a"}`} {
		if v, err := c.ParseKey(table, []byte(key)); err == nil {
			t.Errorf("%s is read as %v", key, v)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	var columns []event.Column
	for col := range keyCases() {
		columns = append(columns, *col)
	}
	f.Add([]byte(`{"k":1}`), 0)
	f.Add([]byte(`{"k":"2026-01-01 00:00:00"}`), 3)
	f.Fuzz(func(t *testing.T, key []byte, n int) {
		col := columns[uint(n)%uint(len(columns))]
		col.Name = "k"
		c := DefaultConfig()
		v, err := c.ParseKey(&event.Table{Columns: []event.Column{col}, Key: []int{0}}, key)
		if err == nil && len(v) != 1 {
			t.Error(fmt.Sprint(v))
		}
	})
}
