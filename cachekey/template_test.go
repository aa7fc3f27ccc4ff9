package cachekey

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/resilience"
)

func TestParseNamesTheMistake(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "the template is empty",
		"user:{id":                 "byte 6: this brace is never closed",
		"cart:{{tenant}:{id}":      "byte 6: this brace is never closed",
		"user:id}":                 "byte 8: nothing opens this brace",
		"user:{}":                  "byte 6: this is no column name",
		"user:{a b}":               "byte 6: this is no column name",
		"user: {id}":               "byte 6: white space",
		`user\x:{id}`:              "byte 5: a backslash stands before a brace",
		`user:{id}\`:               "byte 10: a backslash stands before a brace",
		"{a}{b}":                   "byte 1: nothing tells this column from the next one",
		"{a}-{b}":                  "byte 1: nothing tells this column from the next one",
		"user:{id|upper}":          "byte 6: unknown modifier upper",
		"user:{id|lower|fold}":     "byte 6: modifier fold does not go",
		"user:{id|hex|lower}":      "byte 6: modifier lower does not go",
		"x:{{a}}:{{b}}":            "byte 9: this is the second hash tag",
		"x:{{{a}}}":                "byte 4: a hash tag cannot stand inside another",
		"\xff":                     "not valid UTF-8",
		strings.Repeat("x", 513):   "the template is too long",
		strings.Repeat("{a}:", 17): "the template has too many columns",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || resilience.HintOf(err) == "" || resilience.CodeOf(err) != "cache_key_syntax" {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

// users has a column of every type.
func users() *event.Table {
	col := eventtest.Col
	table := eventtest.Table("shop", "users", []string{"id"}, col("id", event.TypeInt), col("email", event.TypeText),
		col("note", event.TypeText), col("price", event.TypeDecimal), col("uid", event.TypeBinary), col("at", event.TypeDateTime),
		col("ts", event.TypeTimestamp), col("f", event.TypeDouble), col("doc", event.TypeJSON), col("secret", event.TypeInt))
	for i := range table.Columns {
		table.Columns[i].Nullable = table.Columns[i].Name == "note"
	}
	table.Columns[9].Excluded = true
	return table
}

func TestCompileNamesTheColumnAndTheRemedy(t *testing.T) {
	for text, want := range map[string]string{
		"u:{emial}":      "cache_key_column_missing, the nearest name is email",
		"u:{zzzzzzzzzz}": "cache_key_column_missing, the table has id, email",
		"u:{note}":       "cache_key_column_nullable, {note|null=skip}",
		"u:{secret}":     "cache_key_column_excluded, columns.exclude",
		"u:{f}":          "cache_key_column_type, use another column",
		"u:{doc}":        "cache_key_column_type, use another column",
		"u:{price}":      "cache_key_column_type, write {price|decimal}",
		"u:{at|date}":    "cache_key_column_type, write {at|datetime}",
		"u:{ts}":         "cache_key_column_type, write {ts|timestamp}",
		"u:{uid}":        "cache_key_column_type, write {uid|hex}",
		"u:{id|hex}":     "cache_key_column_type, write {id}",
		"u:{id|lower}":   "cache_key_column_type, leave out the modifier",
	} {
		code, hint, _ := strings.Cut(want, ", ")
		_, err := MustParse(text).Compile(users())
		if resilience.CodeOf(err) != code || !strings.Contains(resilience.HintOf(err), hint) ||
			!strings.Contains(err.Error(), "for shop.users, column ") || resilience.ClassOf(err) != resilience.Fatal {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
	for _, text := range []string{"u:{ID}", "u:{uid|uuid}", "u:{email|fold}", "u:{note|null=token}", "all"} {
		if _, err := MustParse(text).Compile(users()); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestImagesWithoutAKey(t *testing.T) {
	table := eventtest.Orders()
	for want, v := range map[error]event.Value{ErrAbsent: eventtest.Absent(), ErrNull: eventtest.Null(), ErrValue: eventtest.Double(1)} {
		c, err := MustParse("o:{id}").Compile(table)
		must(t, err)
		b, ok, err := c.Append([]byte("x"), []event.Value{v, eventtest.Null()})
		if !errors.Is(err, want) || ok || string(b) != "x" {
			t.Errorf("%q, %v, %v; want %v", b, ok, err, want)
		}
	}
}

func TestArguments(t *testing.T) {
	type id int32
	type name string
	seven, when := id(7), time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.FixedZone("", 7200))
	for _, c := range []struct {
		template string
		value    any
		want     string
	}{
		{"{a}", seven, "7"}, {"{a}", &seven, "7"}, {"{a}", uint8(7), "7"}, {"{a}", true, "1"}, {"{a}", false, "0"},
		{"{a}", name("x"), "x"}, {"{a}", sql.NullString{String: "x", Valid: true}, "x"}, {"{a|null=token}", sql.NullString{}, "%N"},
		{"{a|null=token}", (*id)(nil), "%N"}, {"{a|null=token}", []byte(nil), "%N"}, {"{a|hex|null=token}", sql.RawBytes(nil), "%N"},
		{"{a|decimal}", 5, "5"}, {"{a|decimal}", "+007.10", "7.1"}, {"{a|decimal}", ".5", "0.5"}, {"{a|decimal}", "5.", "5"},
		{"{a|decimal}", []byte("-00"), "0"},
		{"{a|date}", when, "2026-01-02"}, {"{a|datetime}", when, "2026-01-02%2003%3A04%3A05.006"},
		{"{a|timestamp}", when, "2026-01-02%2001%3A04%3A05.006"}, {"{a|date}", time.Time{}, "0000-00-00"},
		{"{a|time}", -90 * time.Second, "-00%3A01%3A30"},
		{"{a|uuid}", [16]byte{0x3e, 15: 1}, "3e000000-0000-0000-0000-000000000001"},
		{"{a|uuid}", "3E000000-0000-0000-0000-000000000001", "3e000000-0000-0000-0000-000000000001"},
	} {
		if got, err := MustParse(c.template).Key(c.value); err != nil || got != c.want {
			t.Errorf("%s of %T %v: %q, %v; want %q", c.template, c.value, c.value, got, err, c.want)
		}
	}
}

func TestArgumentsThatCouldBeMistaken(t *testing.T) {
	for _, c := range []struct {
		template string
		value    any
		want     string
	}{
		{"{a}", 1.5, "float64 is not a value of a key"}, {"{a}", nil, "the value is NULL"}, {"{a}", []byte("x"), "convert it to string"},
		{"{a}", time.Now(), "neither an integer nor text"}, {"{a}", struct{}{}, "is not a value of a key"},
		{"{a|decimal}", "1e5", "no decimal number"}, {"{a|decimal}", "", "no decimal number"}, {"{a|decimal}", "1.2.3", "no decimal number"},
		{"{a|datetime}", "yesterday", "not as the server writes it"}, {"{a|datetime}", "2026-01-02 03:04:05.", "not as the server"},
		{"{a|date}", "2026-13-01", "not as the server"}, {"{a|timestamp}", "2026-01-02 03:04:05", "no time.Time"},
		{"{a|date}", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "no date of MySQL"},
		{"{a|hex}", "00ff", "no []byte"}, {"{a|uuid}", "3e00", "no UUID"}, {"{a|time}", 5, "no time.Duration"},
	} {
		_, err := MustParse(c.template).Key(c.value)
		if resilience.CodeOf(err) != "cache_key_value" || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "column a") {
			t.Errorf("%s of %T %v: %v; want %q", c.template, c.value, c.value, err, c.want)
		}
	}
	if _, err := MustParse("{a}:{b}").Key(1); resilience.CodeOf(err) != "cache_key_arguments" {
		t.Error(err)
	}
	if _, err := MustParse("{a}").KeyOf(map[string]any{"b": 1}); resilience.CodeOf(err) != "cache_key_value" {
		t.Error(err)
	}
}

// TestDifferentRowsHaveDifferentKeys: texts that hold separators, braces and
// escapes of all kinds never meet in one key.
func TestDifferentRowsHaveDifferentKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tmpl := MustParse(rapid.SampledFrom([]string{"{a}:{b}", "x{a}y/z{b}w", "{{a}}{b}", "{{a}|{b}}", "k%20{a}|%4{b|null=token}"}).Draw(t, "template"))
		text := rapid.StringOf(rapid.SampledFrom([]rune(":/|#{}%\\20HNxyzw é\x00")))
		a, b, c, d := text.Draw(t, "a"), text.Draw(t, "b"), text.Draw(t, "c"), text.Draw(t, "d")
		one, err := tmpl.Key(a, b)
		must2(t, err)
		two, err := tmpl.Key(c, d)
		must2(t, err)
		if (one == two) != (a == c && b == d) {
			t.Fatalf("%q, %q is %q; %q, %q is %q", a, b, one, c, d, two)
		}
	})
}

// TestBothSidesAgree on random text and numbers, through every modifier.
func TestBothSidesAgree(t *testing.T) {
	table := eventtest.Table("shop", "t", []string{"n", "s", "b"}, eventtest.Col("n", event.TypeBigInt),
		eventtest.Col("s", event.TypeText), eventtest.Col("b", event.TypeBytes))
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"{n}:{s}", "{s|lower}", "{s|fold}:{b|hex}", "{s|trim}/{b|uuid}"}).Draw(t, "template")
		n, s, b := rapid.Int64().Draw(t, "n"), rapid.String().Draw(t, "s"), rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "b")
		tmpl := MustParse(text)
		c, err := tmpl.Compile(table)
		must2(t, err)
		daemon, ok, err := c.Append(nil, []event.Value{eventtest.Int(n), eventtest.Text(s), eventtest.Bytes(string(b))})
		must2(t, err)
		app, err := tmpl.KeyOf(map[string]any{"n": n, "s": s, "b": b})
		must2(t, err)
		if !ok || string(daemon) != app {
			t.Fatalf("the daemon renders %q, an application %q", daemon, app)
		}
	})
}

func must2(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestColumnsInOrderOfFirstAppearance(t *testing.T) {
	tmpl := MustParse("{b}:{a}:{B}")
	if got := tmpl.Columns(); !slices.Equal(got, []string{"b", "a"}) || tmpl.String() != "{b}:{a}:{B}" {
		t.Error(got)
	}
	if key, err := tmpl.Key(2, 1); err != nil || key != "2:1:2" {
		t.Error(key, err)
	}
}

func TestGenerationKey(t *testing.T) {
	for want, names := range map[string][2]string{
		"gen:{shop.users}": {"shop", "users"}, "gen:{a%2Eb.c}": {"a.b", "c"}, "gen:{a.b%2Ec}": {"a", "b.c"}, "gen:{a.%7Bx%7D}": {"a", "{x}"},
	} {
		if got := Generation(names[0], names[1]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRenderingDoesNotAllocate(t *testing.T) {
	col := eventtest.Col
	table := eventtest.Table("shop", "t", nil, col("n", event.TypeBigInt), col("s", event.TypeText), col("b", event.TypeBytes),
		col("d", event.TypeDecimal), col("at", event.TypeDateTime), col("ts", event.TypeTimestamp), col("e", event.TypeEnum))
	for i := range table.Columns {
		table.Columns[i].Nullable = false
	}
	table.Columns[6].Labels = []string{"new", "on hold"}
	c, err := MustParse("{n}:{s}:{s|lower}:{s|fold}:{b|hex}:{d|decimal}:{at|datetime}:{ts|timestamp}:{e|lower}").Compile(table)
	must(t, err)
	image := []event.Value{eventtest.Int(-7), eventtest.Text(strings.Repeat("Jürgen: ", 40)), eventtest.Bytes("0123456789abcdef"),
		eventtest.BigDecimal("12345678901234567890.1200"), eventtest.DateTime(2026, 1, 2, 3, 4, 5, 6), eventtest.Timestamp(1767323045600000),
		eventtest.Enum(2)}
	var b []byte
	if n := testing.AllocsPerRun(200, func() { b, _, _ = c.Append(b[:0], image) }); n != 0 {
		t.Errorf("%v allocations for %q", n, b)
	}
}

func BenchmarkAppend(b *testing.B) {
	c, err := MustParse("user:{id}").Compile(eventtest.Orders())
	must(b, err)
	image := []event.Value{eventtest.Int(123456), eventtest.Null()}
	var dst []byte
	for b.Loop() {
		dst, _, _ = c.Append(dst[:0], image)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"user:{id}", "cart:{{a}:{b|lower|null=skip}}", `\{x\}{a|fold}`, "{a}#{b|decimal}", "{{a}}{b}", "{a|null=token}"} {
		f.Add(s, "v:1", "w{}%")
	}
	f.Fuzz(func(t *testing.T, text, one, two string) {
		tmpl, err := Parse(text)
		if err != nil {
			if resilience.CodeOf(err) != "cache_key_syntax" || resilience.HintOf(err) == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		table := &event.Table{Database: "d", Name: "t"}
		for _, name := range tmpl.names {
			table.Columns = append(table.Columns, event.Column{Name: name, Type: event.TypeText})
		}
		c, err := tmpl.Compile(table)
		if err != nil {
			return // forms of other types
		}
		image, args := make([]event.Value, len(tmpl.names)), make([]any, len(tmpl.names))
		for i := range image {
			v := []string{one, two}[i%2]
			image[i], args[i] = eventtest.Text(v), v
		}
		daemon, _, err := c.Append(nil, image)
		app, appErr := tmpl.Key(args...)
		if err != nil || appErr != nil || string(daemon) != app {
			t.Fatalf("%q: the daemon renders %q, %v, an application %q, %v", text, daemon, err, app, appErr)
		}
		if limit := len(text) + MaxColumns*maxValue; len(app) > limit {
			t.Fatalf("%d bytes, the most are %d", len(app), limit)
		}
	})
}
