package snapshot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cdcd-io/cdcd/event"
	. "github.com/cdcd-io/cdcd/event/eventtest"
)

func canonical(typ event.Type, v event.Value) string {
	return string(appendKeyValue(nil, &v, padOf(typ)))
}

// TestOneFormForOneStoredValue: what may come in two forms, by the stream and by
// a read, or stored with and without padding.
func TestOneFormForOneStoredValue(t *testing.T) {
	for _, c := range []struct {
		typ  event.Type
		a, b event.Value
	}{
		{event.TypeInt, Int(7), Uint(7)},
		{event.TypeDouble, Double(0), Double(math.Copysign(0, -1))},
		{event.TypeFloat, Float(0), Float(float32(math.Copysign(0, -1)))},
		{event.TypeFloat, Float(0.1), Double(float64(float32(0.1)))},
		{event.TypeDecimal, Decimal(-1250, 2), BigDecimal("-12.50")},
		{event.TypeDecimal, Decimal(-1250, 2), BigDecimal("-0012.5")},
		{event.TypeDecimal, Decimal(0, 4), BigDecimal("-0.0000")},
		{event.TypeDecimal, Decimal(5, 3), BigDecimal(".005")},
		{event.TypeDecimal, Decimal(math.MinInt64, 0), BigDecimal("-9223372036854775808")},
		{event.TypeDecimal, Decimal(1, 18), BigDecimal("0.000000000000000001")},
		{event.TypeDecimal, BigDecimal("100000000000000000000.00"), BigDecimal("100000000000000000000")},
		{event.TypeChar, Text("a"), Text("a   ")},
		{event.TypeChar, Text(""), Text(" ")},
		{event.TypeBinary, Bytes("a"), Bytes("a\x00\x00")},
	} {
		if canonical(c.typ, c.a) != canonical(c.typ, c.b) {
			t.Errorf("%+v and %+v are one value", c.a, c.b)
		}
	}
}

// TestDifferentKeysDiffer: all of one row of values are different keys of one column.
func TestDifferentKeysDiffer(t *testing.T) {
	for typ, values := range map[event.Type][]event.Value{
		event.TypeBigInt:    {Int(0), Int(-1), Int(1), Int(math.MinInt64), Int(math.MaxInt64), Uint(1 << 63), Uint(math.MaxUint64), Null()},
		event.TypeDouble:    {Double(0), Double(1), Double(-1), Double(math.Nextafter(1, 2)), Float(0.1), Double(0.1)},
		event.TypeDecimal:   {Decimal(0, 0), Decimal(1, 0), Decimal(-1, 0), Decimal(10, 0), Decimal(1, 1), Decimal(1, 2), BigDecimal("10.1"), BigDecimal("1.01"), BigDecimal("1010")},
		event.TypeText:      {Text(""), Text("a"), Text("a "), Text("A"), Text("a\x00"), Text("aa"), Null()},
		event.TypeBytes:     {Bytes(""), Bytes("\x00"), Bytes("\x00\x00"), Bytes(" ")},
		event.TypeChar:      {Text(""), Text("a"), Text(" a"), Text("a\x00")},
		event.TypeBinary:    {Bytes(""), Bytes("a"), Bytes("\x00a"), Bytes("a ")},
		event.TypeTime:      {Time(0), Time(-time.Microsecond), Time(time.Microsecond)},
		event.TypeTimestamp: {Timestamp(0), Timestamp(1)},
		event.TypeDateTime:  {DateTime(0, 0, 0, 0, 0, 0, 0), DateTime(2026, 0, 0, 0, 0, 0, 0), DateTime(2026, 0, 0, 0, 0, 0, 1)},
		event.TypeYear:      {Year(0), Year(2000)},
		event.TypeBit:       {Bit(0), Bit(1), Bit(math.MaxUint64)},
		event.TypeEnum:      {Enum(0), Enum(1)},
		event.TypeSet:       {Set(0), Set(1), Set(1 << 63)},
	} {
		seen := map[string]event.Value{}
		for _, v := range values {
			form := canonical(typ, v)
			if other, ok := seen[form]; ok {
				t.Errorf("%+v and %+v have one form", other, v)
			}
			seen[form] = v
		}
	}
}

// TestFormsOfColumnsAreKeptApart: what one column ends with is not taken for the
// beginning of the next.
func TestFormsOfColumnsAreKeptApart(t *testing.T) {
	table := Table("d", "t", []string{"b", "a"}, Col("a", event.TypeText), Col("b", event.TypeText))
	plan, ok := planKey(table, []string{"b", "a"})
	if !ok {
		t.Fatal("no plan")
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("a\x00 s\x01")), 0, 4, -1)
		x := []string{text.Draw(t, "a"), text.Draw(t, "b")}
		y := []string{text.Draw(t, "c"), text.Draw(t, "d")}
		form := func(s []string) []byte {
			b, _ := plan.append(nil, []event.Value{Text(s[0]), Text(s[1])})
			return b
		}
		if same := x[0] == y[0] && x[1] == y[1]; same != bytes.Equal(form(x), form(y)) {
			t.Fatalf("%q and %q: %x and %x", x, y, form(x), form(y))
		}
	})
}

func TestKeyIsFoundByName(t *testing.T) {
	moved := Table("d", "t", nil, Col("x", event.TypeInt), Col("id", event.TypeInt))
	plan, ok := planKey(moved, byID)
	if !ok || plan[0].index != 1 {
		t.Errorf("%+v, %v", plan, ok)
	}
	if _, ok := planKey(moved, []string{"ID"}); ok {
		t.Error("a column of another name was found")
	}
	moved.Columns[1].Excluded = true
	if _, ok := planKey(moved, byID); ok {
		t.Error("a column that is not captured was found")
	}
	if _, ok := plan.append(nil, []event.Value{Int(1), Absent()}); ok {
		t.Error("a key without a value")
	}
}

// parseForm reads a canonical value back: that it can is why forms one behind
// the other are kept apart.
func parseForm(b []byte) (v string, rest []byte, err error) {
	if len(b) == 0 {
		return "", nil, fmt.Errorf("no form")
	}
	part := func() string {
		n, w := binary.Uvarint(b)
		s := b[w : w+int(n)]
		b = b[w+int(n):]
		return string(s)
	}
	tag := b[0]
	b = b[1:]
	switch tag {
	case tagString:
		return fmt.Sprintf("%q", part()), b, nil
	case tagDecimal:
		sign := b[0]
		b = b[1:]
		whole, fraction := part(), part()
		return fmt.Sprintf("%c%s.%s", sign, whole, fraction), b, nil
	}
	return fmt.Sprintf("%d:%d", tag, binary.BigEndian.Uint64(b)), b[8:], nil
}

// FuzzKeyForm: every value has a form that can be read back, in front of anything.
func FuzzKeyForm(f *testing.F) {
	f.Add(uint8(event.Decimal), uint8(2), int64(-7), []byte(nil), uint8(event.TypeDecimal))
	f.Add(uint8(event.Decimal), uint8(0), int64(0), []byte("-000.100"), uint8(event.TypeDecimal))
	f.Add(uint8(event.Text), uint8(0), int64(0), []byte("a  "), uint8(event.TypeChar))
	f.Fuzz(func(t *testing.T, kind, scale uint8, num int64, b []byte, typ uint8) {
		v := event.Value{Kind: event.Kind(kind & 31), Scale: scale, Num: num, Bytes: b}
		form := appendKeyValue([]byte("x"), &v, padOf(event.Type(typ)))
		text, rest, err := parseForm(append(form[1:], "rest"...))
		if err != nil || string(rest) != "rest" {
			t.Fatalf("%+v: %q, %q, %v", v, text, rest, err)
		}
	})
}
