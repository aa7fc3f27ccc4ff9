package cachekeys

import (
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/resilience"
)

// things has a column of each kind that a predicate knows or refuses.
func things() *event.Table {
	col := eventtest.Col
	e := col("e", event.TypeEnum)
	e.Labels = []string{"on", "off"}
	return eventtest.Table("s", "things", nil, col("n", event.TypeInt), col("d", event.TypeDecimal), col("t", event.TypeText), e,
		col("f", event.TypeDouble), col("at", event.TypeDateTime), col("or der", event.TypeInt))
}

func TestWhereHolds(t *testing.T) {
	row := []event.Value{eventtest.Int(-5), eventtest.Decimal(1050, 2), eventtest.Text("Open"), eventtest.Enum(2), eventtest.Double(1),
		eventtest.Null(), eventtest.Absent()}
	for text, want := range map[string]bool{
		"n = -5": true, "n = -5.0": true, "n != -5": false, "n < -4": true, "n < -5": false, "n <= -5": true, "n > -50": true, "n >= 1": false,
		"d = 10.5": true, "d = 10.50": true, "d > 9.99": true, "d < 100": true, "d > 10.51": false, "d <> 10.5": false, "d > -1": true,
		"e = 'off'": true, "e != 'off'": false, "e = 'on'": false, "e <> 'on'": true,
		"t = 'open'": true, "t = 'OPEN  '": true, "t = 'opens'": false, "t = 'ope'": false, "t != 'Open'": false, "t != 'open'": true, "t = 'öpen'": true,
		"at is null": true, "at IS NOT NULL": false, "n is null": false, "n is not null": true, "f is not null": true,
		"`or der` = 1": true, "`or der` is null": true, // not in the image
		"n = 1 or d = 1 or t = 'open'": true, "n = -5 and d = 1": false, "n = -5 or n = 1 and n = 2": true, "(n = -5 or n = 1) and n = 2": false,
		"n = true": false, "n <> false": true,
	} {
		p, err := parseWhere(text)
		if err != nil {
			t.Fatal(err)
		}
		w, err := p.bind(things())
		if err != nil {
			t.Fatal(err)
		}
		if got := w.mayHold(row); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	p, _ := parseWhere("at = 1 or t = 'a'")
	if _, err := p.bind(things()); resilience.CodeOf(err) != "cache_rule_where" {
		t.Error(err)
	}
}

// TestTextIsLeftOutOnlyWhereEveryCollationAgrees: pairs that some collation
// holds equal.
func TestTextIsLeftOutOnlyWhereEveryCollationAgrees(t *testing.T) {
	for _, pair := range [][2]string{{"a", "A"}, {"a", "a  "}, {"ß", "ss"}, {"é", "e"}, {"a\x01b", "ab"}, {"ａ", "a"}, {"", " "}, {"\u200bx", "x"}} {
		if !mayCompare(opEqual, []byte(pair[0]), pair[1]) || !mayCompare(opEqual, []byte(pair[1]), pair[0]) {
			t.Errorf("%q and %q may be equal", pair[0], pair[1])
		}
		if !mayCompare(opNotEqual, []byte(pair[0]), pair[1]) {
			t.Errorf("%q and %q may differ", pair[0], pair[1])
		}
	}
}

func TestWhereNamesTheMistake(t *testing.T) {
	for text, want := range map[string]string{
		"n":                                     "byte 2: an operator is missing",
		"n =":                                   "byte 4: a number or a text is missing",
		"n = null":                              "NULL needs IS NULL",
		"n = 1 n":                               "byte 7: this is more than a predicate",
		"n = 1 and":                             "byte 10: a column is missing",
		"(n = 1":                                "byte 7: a parenthesis is not closed",
		"not n = 1":                             "byte 1: a column is missing",
		"n like 'x'":                            "byte 3: an operator is missing",
		"t = 'x":                                "byte 5: a number or a text is missing",
		"n is 5":                                "byte 6: NULL is missing",
		"n = n":                                 "a number or a text is missing",
		"n = 1e5":                               "a number or a text is missing",
		"":                                      "a column is missing",
		"q = 1":                                 "where names a column that the table does not have",
		"n = 'x'":                               "the column holds numbers",
		"t = 5":                                 "text is compared with",
		"t < 'x'":                               "text is compared with",
		"e = 'ON'":                              "labels are 'on', 'off'",
		"f = 1":                                 "columns of this type are not compared",
		"at > '2026-01-01'":                     "columns of this type are not compared",
		strings.Repeat("(", 17) + "n = 1":       "nested too deep",
		"n = 1" + strings.Repeat(" or n=1", 64): "too many conditions",
	} {
		p, err := parseWhere(text)
		if err == nil {
			_, err = p.bind(things())
		}
		if err == nil || !strings.Contains(err.Error(), want) || resilience.HintOf(err) == "" {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func TestCompareNumbers(t *testing.T) {
	ordered := []string{"-100", "-10.5", "-10", "-9.99", "-0.01", "0", "0.001", "0.01", "1", "1.5", "9", "10", "10.01", "100", "12345678901234567890"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := compareNumbers(a, []byte(b)); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}

func FuzzWhere(f *testing.F) {
	for _, s := range []string{"n = 1 and (t = 'it''s' or `a``b` is not null)", "d <> -0.5", "e = 'on' OR n >= +7", "t = 'x"} {
		f.Add(s)
	}
	row := []event.Value{eventtest.Int(1), eventtest.Decimal(5, 1), eventtest.Text("x"), eventtest.Enum(1), eventtest.Double(1), eventtest.Null(), eventtest.Null()}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseWhere(text)
		if err == nil {
			var w *boundWhere
			if w, err = p.bind(things()); err == nil {
				w.mayHold(row)
			}
		}
		if err != nil && (resilience.HintOf(err) == "" || resilience.CodeOf(err) == "") {
			t.Fatal(err)
		}
	})
}
