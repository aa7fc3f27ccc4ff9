package cachekey

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
)

var update = flag.Bool("update", false, "rewrite the keys in testdata/vectors.json")

// vector is one example for implementations in other languages: the key is null
// where the row has none.
type vector struct {
	Template string                `json:"template"`
	Row      map[string]vectorItem `json:"row"`
	Key      *string               `json:"key"`
}

// vectorItem is a value: one of the fields but Labels is set.
type vectorItem struct {
	Int, Uint, Text, Hex, Decimal, Date, DateTime *string
	TimestampUS                                   *string `json:"timestamp_us"`
	TimeUS                                        *string `json:"time_us"`
	Enum, Set, Bit, Year, Null                    *string
	Labels                                        []string
}

// sides returns the value as the daemon sees it and as an application has it.
func (i vectorItem) sides(t *testing.T) (event.Column, event.Value, any) {
	t.Helper()
	col := event.Column{Labels: i.Labels}
	switch {
	case i.Int != nil:
		n := number(t, *i.Int)
		col.Type = event.TypeBigInt
		return col, eventtest.Int(n), n
	case i.Uint != nil:
		n, err := strconv.ParseUint(*i.Uint, 10, 64)
		must(t, err)
		col.Type, col.Unsigned = event.TypeBigInt, true
		return col, eventtest.Uint(n), n
	case i.Text != nil:
		col.Type = event.TypeText
		return col, eventtest.Text(*i.Text), *i.Text
	case i.Hex != nil:
		b, err := hex.DecodeString(*i.Hex)
		must(t, err)
		col.Type = event.TypeBytes
		return col, eventtest.Bytes(string(b)), b
	case i.Decimal != nil:
		col.Type = event.TypeDecimal
		return col, decimalValue(*i.Decimal), *i.Decimal
	case i.Date != nil:
		n, ok := parseDateTime(*i.Date, true)
		check(t, ok, *i.Date)
		col.Type = event.TypeDate
		return col, event.Value{Kind: event.Date, Num: n}, *i.Date
	case i.DateTime != nil:
		n, ok := parseDateTime(*i.DateTime, false)
		check(t, ok, *i.DateTime)
		col.Type = event.TypeDateTime
		return col, event.Value{Kind: event.DateTime, Num: n}, *i.DateTime
	case i.Bit != nil:
		n, err := strconv.ParseUint(*i.Bit, 10, 64)
		must(t, err)
		col.Type = event.TypeBit
		return col, eventtest.Bit(n), n
	case i.Year != nil:
		col.Type = event.TypeYear
		return col, eventtest.Year(int(number(t, *i.Year))), number(t, *i.Year)
	case i.Null != nil:
		col.Type, col.Nullable = event.TypeInt, true
		return col, eventtest.Null(), nil
	}
	return i.more(t, col)
}

func (i vectorItem) more(t *testing.T, col event.Column) (event.Column, event.Value, any) {
	t.Helper()
	switch {
	case i.TimestampUS != nil:
		n := number(t, *i.TimestampUS)
		at := time.UnixMicro(n).In(time.FixedZone("somewhere", 3600))
		if n == 0 {
			at = time.Time{}
		}
		col.Type = event.TypeTimestamp
		return col, eventtest.Timestamp(n), at
	case i.TimeUS != nil:
		d := time.Duration(number(t, *i.TimeUS)) * time.Microsecond
		col.Type = event.TypeTime
		return col, eventtest.Time(d), d
	case i.Enum != nil:
		col.Type = event.TypeEnum
		return col, eventtest.Enum(slices.Index(i.Labels, *i.Enum) + 1), *i.Enum
	case i.Set != nil:
		var bits uint64
		for n, label := range i.Labels {
			if slices.Contains(strings.Split(*i.Set, ","), label) {
				bits |= 1 << n
			}
		}
		col.Type = event.TypeSet
		return col, eventtest.Set(bits), *i.Set
	}
	t.Fatal("a value of no kind")
	return col, event.Value{}, nil
}

// decimalValue is what the source makes of decimal text.
func decimalValue(text string) event.Value {
	whole, part, _ := strings.Cut(text, ".")
	if n, err := strconv.ParseInt(whole+part, 10, 64); err == nil && len(whole+part) <= 18 {
		return eventtest.Decimal(n, len(part))
	}
	return eventtest.BigDecimal(text)
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	must(t, err)
	return n
}

func TestVectorsHoldOnBothSides(t *testing.T) {
	const path = "testdata/vectors.json"
	text, err := os.ReadFile(path)
	must(t, err)
	var all []vector
	must(t, json.Unmarshal(text, &all))
	for i := range all {
		v := &all[i]
		key, ok := vectorKeys(t, v)
		switch {
		case *update && ok:
			v.Key = &key
		case *update:
			v.Key = nil
		case ok != (v.Key != nil) || ok && key != *v.Key:
			t.Errorf("%s of %v: %q, %v", v.Template, v.Row, key, ok)
		}
	}
	if *update {
		must(t, os.WriteFile(path, vectorFile(t, text, all), 0o644))
	}
}

// vectorKeys renders the vector on both sides and wants them equal.
func vectorKeys(t *testing.T, v *vector) (string, bool) {
	t.Helper()
	tmpl, err := Parse(v.Template)
	must(t, err)
	table := &event.Table{Database: "shop", Name: "things"}
	var image []event.Value
	row := map[string]any{}
	for name, item := range v.Row {
		col, value, arg := item.sides(t)
		col.Name = name
		table.Columns, image, row[name] = append(table.Columns, col), append(image, value), arg
	}
	c, err := tmpl.Compile(table)
	must(t, err)
	b, ok, err := c.Append([]byte("before"), image)
	must(t, err)
	key, err := tmpl.KeyOf(row)
	if ok != (err == nil) || ok && "before"+key != string(b) || !ok && (!errors.Is(err, ErrNoKey) || string(b) != "before") {
		t.Errorf("%s of %v: the daemon renders %q, %v, an application %q, %v", v.Template, v.Row, b, ok, key, err)
	}
	return key, ok
}

// vectorFile adds the keys to the lines of the file.
func vectorFile(t *testing.T, old []byte, all []vector) []byte {
	t.Helper()
	var raw []map[string]json.RawMessage
	must(t, json.Unmarshal(old, &raw))
	out := bytes.NewBufferString("[\n")
	for i := range raw {
		key, err := json.Marshal(all[i].Key)
		must(t, err)
		out.WriteString(`  {"template": ` + string(raw[i]["template"]) + `, "row": ` + string(raw[i]["row"]) + `, "key": ` + string(key) + "}")
		if i < len(raw)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("]\n")
	return out.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, ok bool, what string) {
	t.Helper()
	if !ok {
		t.Fatalf("%q is not as it should be", what)
	}
}
