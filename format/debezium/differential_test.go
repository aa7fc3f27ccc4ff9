package debezium

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"pgregory.net/rapid"
)

// TestOutputReadsBackAsTheValues renders random rows of random tables, reads
// them with encoding/json, and compares with a naive rendering of the values.
func TestOutputReadsBackAsTheValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := DefaultConfig()
		cfg.Schemas = rapid.Bool().Draw(t, "schemas")
		cfg.Decimal = rapid.SampledFrom([]string{"precise", "string", "double"}).Draw(t, "decimal")
		cfg.BigintUnsigned = rapid.SampledFrom([]string{"long", "precise"}).Draw(t, "bigint")
		cfg.Binary = rapid.SampledFrom([]string{"bytes", "base64_url_safe", "hex"}).Draw(t, "binary")
		n := rapid.IntRange(1, 8).Draw(t, "columns")
		columns, gens := make([]event.Column, n), make([]*rapid.Generator[event.Value], n)
		for i := range columns {
			columns[i], gens[i] = drawColumn(t)
			columns[i].Name = fmt.Sprintf("%d%s", i, rapid.String().Draw(t, "name"))
		}
		table := eventtest.Table("shop", "orders", []string{columns[0].Name}, columns...)
		before, after := drawRow(t, gens), drawRow(t, gens)
		e, out := newEncoder(cfg), new(collector)
		if err := e.Encode(eventtest.Piece(eventtest.Tx(1), eventtest.Update(table, before, after)), out); err != nil {
			t.Fatal(err)
		}
		var images []map[string]any
		for _, r := range out.records {
			if r.Value != nil {
				v := parse(t, *r.Value, cfg.Schemas)
				images = append(images, image(v["before"]), image(v["after"]))
			}
		}
		first, last := images[0], images[len(images)-1]
		for i := range columns {
			name := columns[i].Name
			compareValue(t, &cfg, &columns[i], before[i], first[name])
			compareValue(t, &cfg, &columns[i], after[i], last[name])
		}
		key := parse(t, *out.records[0].Key, cfg.Schemas)
		compareValue(t, &cfg, &columns[0], before[0], key[columns[0].Name])
	})
}

func image(v any) map[string]any { m, _ := v.(map[string]any); return m }

func parse(t *rapid.T, s string, schemas bool) map[string]any {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	if d.More() {
		t.Fatalf("more than one document: %s", s)
	}
	if schemas {
		v = image(v["payload"])
	}
	return v
}

// drawRow never makes the key NULL.
func drawRow(t *rapid.T, gens []*rapid.Generator[event.Value]) []event.Value {
	row := make([]event.Value, len(gens))
	for i, g := range gens {
		if i > 0 && rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			row[i] = eventtest.Null()
		} else {
			row[i] = g.Draw(t, "value")
		}
	}
	return row
}

func drawColumn(t *rapid.T) (event.Column, *rapid.Generator[event.Value]) {
	kind := rapid.IntRange(0, 11).Draw(t, "type")
	c := eventtest.Col("", []event.Type{event.TypeBigInt, event.TypeBigInt, event.TypeDecimal, event.TypeFloat, event.TypeDouble, event.TypeBit,
		event.TypeText, event.TypeBytes, event.TypeDate, event.TypeDateTime, event.TypeTimestamp, event.TypeSet}[kind])
	switch kind {
	case 0:
		return c, rapid.Map(rapid.Int64(), eventtest.Int)
	case 1:
		c.Unsigned = true
		return c, rapid.Map(rapid.Uint64(), eventtest.Uint)
	case 2:
		c.Precision = rapid.IntRange(1, 65).Draw(t, "precision")
		c.Scale = rapid.IntRange(0, min(30, c.Precision)).Draw(t, "scale")
		return c, rapid.Custom(func(t *rapid.T) event.Value { return drawDecimal(t, c.Precision, c.Scale) })
	case 3:
		return c, rapid.Map(rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32), eventtest.Float)
	case 4:
		return c, rapid.Map(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), eventtest.Double)
	case 5:
		c.Length = rapid.IntRange(2, 64).Draw(t, "length")
		return c, rapid.Map(rapid.Uint64Max(1<<c.Length-1), eventtest.Bit)
	case 6:
		return c, rapid.Map(rapid.String(), eventtest.Text)
	case 7:
		return c, rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) event.Value { return eventtest.Bytes(string(b)) })
	case 8:
		return c, rapid.Map(drawTime(), func(t time.Time) event.Value { return eventtest.Date(t.Year(), int(t.Month()), t.Day()) })
	case 9:
		c.Scale = rapid.SampledFrom([]int{0, 3, 6}).Draw(t, "digits")
		return c, rapid.Map(drawTime(), func(t time.Time) event.Value {
			return eventtest.DateTime(t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/1000)
		})
	case 10:
		c.Scale = rapid.IntRange(0, 6).Draw(t, "digits")
		return c, rapid.Map(rapid.Int64Range(1, 4294967295999999), eventtest.Timestamp)
	}
	n := rapid.IntRange(1, 64).Draw(t, "labels")
	for i := range n {
		c.Labels = append(c.Labels, fmt.Sprintf("l%d\"é", i))
	}
	return c, rapid.Map(rapid.Uint64Max(1<<n-1), eventtest.Set)
}

func drawTime() *rapid.Generator[time.Time] {
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	return rapid.Custom(func(t *rapid.T) time.Time {
		s := rapid.Int64Range(first.Unix(), last.Unix()).Draw(t, "seconds")
		return time.Unix(s, rapid.Int64Range(0, 999999).Draw(t, "micros")*1000).UTC()
	})
}

func drawDecimal(t *rapid.T, precision, scale int) event.Value {
	digits := rapid.StringMatching(fmt.Sprintf("[0-9]{%d}", precision)).Draw(t, "digits")
	neg := rapid.Bool().Draw(t, "negative") && strings.Trim(digits, "0") != ""
	if precision <= 18 {
		n, _ := strconv.ParseInt(digits, 10, 64)
		if neg {
			n = -n
		}
		return eventtest.Decimal(n, scale)
	}
	whole := strings.TrimLeft(digits[:precision-scale], "0")
	if whole == "" {
		whole = "0"
	}
	if scale > 0 {
		whole += "." + digits[precision-scale:]
	}
	if neg {
		whole = "-" + whole
	}
	return eventtest.BigDecimal(whole)
}

// compareValue holds the naive rendering against what was read.
func compareValue(t *rapid.T, cfg *Config, col *event.Column, v event.Value, got any) {
	if want := naive(cfg, col, v); !same(want, got) {
		t.Fatalf("%+v in %+v: got %#v, want %#v", v, col, got, want)
	}
}

func same(want, got any) bool {
	n, ok := got.(json.Number)
	if !ok {
		return want == got
	}
	switch w := want.(type) {
	case int64:
		return n.String() == strconv.FormatInt(w, 10)
	case float32:
		f, err := strconv.ParseFloat(n.String(), 32)
		return err == nil && float32(f) == w
	case float64:
		f, err := strconv.ParseFloat(n.String(), 64)
		return err == nil && f == w
	}
	return false
}

func naive(cfg *Config, col *event.Column, v event.Value) any {
	y, mo, d, h, mi, s, us := event.UnpackDateTime(v.Num)
	civil := time.Date(y, time.Month(mo), d, h, mi, s, us*1000, time.UTC)
	switch v.Kind {
	case event.Null:
		return nil
	case event.Int:
		return v.Num
	case event.Uint:
		if cfg.BigintUnsigned == "precise" {
			return twos(new(big.Int).SetUint64(uint64(v.Num)))
		}
		return v.Num
	case event.Decimal:
		return naiveDecimal(cfg, col, v)
	case event.Float:
		return math.Float32frombits(uint32(v.Num))
	case event.Double:
		return math.Float64frombits(uint64(v.Num))
	case event.Bit:
		b := new(big.Int).SetUint64(uint64(v.Num)).FillBytes(make([]byte, (col.Length+7)/8))
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		return base64.StdEncoding.EncodeToString(b)
	case event.Text:
		return string(v.Bytes)
	case event.Bytes:
		return naiveBytes(cfg, v.Bytes)
	case event.Date:
		return civil.Unix() / 86400
	case event.DateTime:
		if col.Scale <= 3 {
			return civil.UnixMilli()
		}
		return civil.UnixMicro()
	case event.Timestamp:
		layout := "2006-01-02T15:04:05"
		if col.Scale > 0 {
			layout += "." + strings.Repeat("0", col.Scale)
		}
		return time.UnixMicro(v.Num).UTC().Format(layout + "Z")
	}
	var set []string
	for i, l := range col.Labels {
		if v.Num&(1<<i) != 0 {
			set = append(set, l)
		}
	}
	return strings.Join(set, ",")
}

func naiveBytes(cfg *Config, b []byte) string {
	switch cfg.Binary {
	case "hex":
		return hex.EncodeToString(b)
	case "base64_url_safe":
		return base64.URLEncoding.EncodeToString(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func naiveDecimal(cfg *Config, col *event.Column, v event.Value) any {
	s := string(v.Bytes)
	if v.Bytes == nil {
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(col.Scale)), nil)
		s = new(big.Rat).SetFrac(big.NewInt(v.Num), unit).FloatString(col.Scale)
	}
	switch cfg.Decimal {
	case "string":
		return s
	case "double":
		f, _ := strconv.ParseFloat(s, 64)
		return f
	}
	n, _ := new(big.Int).SetString(strings.Replace(s, ".", "", 1), 10)
	return twos(n)
}

// twos is BigInteger.toByteArray of Java, in base64.
func twos(n *big.Int) string {
	size := n.BitLen()
	if n.Sign() < 0 {
		size = new(big.Int).Not(n).BitLen()
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(size/8+1)*8))
	}
	return base64.StdEncoding.EncodeToString(n.FillBytes(make([]byte, size/8+1)))
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain text that is longer than eight bytes", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "grüße 😀", "\xff", "a\xed\xa0\x80", "\xf4\x90\x80\x80", "1234567\"", "12345678\x1f", "\u2028"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		got, ok := appendString([]byte("x"), s)
		if valid := bytes.Equal(bytes.ToValidUTF8(s, nil), s); ok != valid {
			t.Fatalf("%q: ok %v, valid UTF-8 %v", s, ok, valid)
		}
		if !ok {
			return
		}
		var back string
		if err := json.Unmarshal(got[1:], &back); err != nil || back != string(s) {
			t.Fatalf("%q: rendered %s, read back %q, %v", s, got, back, err)
		}
	})
}

func FuzzFloat(f *testing.F) {
	for _, x := range []float64{0, 1, 0.1, 1e-3, 9.995e-4, 1e7, 123456789.125, 5e-324, 2e23, math.MaxFloat64} {
		f.Add(math.Float64bits(x))
	}
	f.Fuzz(func(t *testing.T, b uint64) {
		x := math.Float64frombits(b)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		checkFloat(t, string(appendFloat(nil, x, 64)), x, 64)
		if y := math.Float32frombits(uint32(b)); y == y && !math.IsInf(float64(y), 0) {
			checkFloat(t, string(appendFloat(nil, float64(y), 32)), float64(y), 32)
		}
	})
}

// checkFloat holds the text to Java's form and to its value.
func checkFloat(t *testing.T, s string, want float64, bits int) {
	t.Helper()
	got, err := strconv.ParseFloat(s, bits)
	if err != nil || got != want || math.Signbit(got) != math.Signbit(want) {
		t.Errorf("%g: rendered %s, read back %g, %v", want, s, got, err)
	}
	mantissa, exp, scientific := strings.Cut(strings.TrimPrefix(s, "-"), "E")
	whole, part, pointed := strings.Cut(mantissa, ".")
	plain := want == 0 || math.Abs(want) >= 1e-3 && math.Abs(want) < 1e7
	if !pointed || part == "" || whole == "" || scientific == plain || scientific && (len(whole) != 1 || whole == "0" || exp[0] == '+') {
		t.Errorf("%g: %s is not Java's form", want, s)
	}
}
