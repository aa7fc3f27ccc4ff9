package typematrix

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Case is one column type with the SQL expressions of its edge values.
type Case struct {
	Decl   string   // the column's type as it stands in CREATE TABLE
	Values []string // SQL expressions
	Only   string   // "mysql", "mariadb", or "" for both
	Get    string   // expression that shows the value of column v; "v" when empty
}

// Cases is every supported column type with values at its edges. NULL is
// added to each.
func Cases() []Case {
	var all []Case
	for _, part := range [][]Case{
		integerCases(), decimalCases(), floatCases(), temporalCases(), textCases(), binaryCases(), labelCases(), jsonCases(),
	} {
		all = append(all, part...)
	}
	return all
}

func integerCases() (all []Case) {
	for _, w := range []struct {
		name string
		bits uint
	}{{"TINYINT", 8}, {"SMALLINT", 16}, {"MEDIUMINT", 24}, {"INT", 32}, {"BIGINT", 64}} {
		half := uint64(1) << (w.bits - 1)
		all = append(all,
			Case{Decl: w.name, Values: []string{"0", "1", "-1", fmt.Sprintf("-%d", half), fmt.Sprint(half - 1)}},
			Case{Decl: w.name + " UNSIGNED", Values: []string{"0", "1", fmt.Sprint(half), fmt.Sprint(half + (half - 1))}},
		)
	}
	for _, n := range []int{1, 7, 8, 9, 17, 33, 64} {
		all = append(all, Case{Decl: fmt.Sprintf("BIT(%d)", n), Values: []string{"0", "1", "b'" + strings.Repeat("1", n) + "'", "b'1" + strings.Repeat("0", n-1) + "'"}})
	}
	return append(all, Case{Decl: "YEAR", Values: []string{"0", "1901", "2026", "2155"}})
}

func decimalCases() (all []Case) {
	for _, d := range [][2]int{{1, 0}, {1, 1}, {5, 0}, {9, 9}, {10, 2}, {10, 1}, {18, 0}, {18, 9}, {18, 18}, {19, 0}, {19, 9}, {20, 2}, {27, 9}, {30, 15}, {36, 30}, {65, 0}, {65, 30}} {
		p, s := d[0], d[1]
		digits := strings.Repeat("1234567890", 7)[:p]
		if s > 0 {
			digits = digits[:p-s] + "." + digits[p-s:]
		}
		nines := strings.Repeat("9", p-s) + "." + strings.Repeat("9", s)
		smallest := "1"
		if s > 0 {
			smallest = "0." + strings.Repeat("0", s-1) + "1"
		}
		values := []string{"0", "-0.0", digits, "-" + digits, nines, "-" + nines, smallest, "-" + smallest}
		all = append(all, Case{Decl: fmt.Sprintf("DECIMAL(%d,%d)", p, s), Values: values})
	}
	return append(all, Case{Decl: "DECIMAL(12,3) UNSIGNED", Values: []string{"0", "999999999.999", "1.5"}})
}

func floatCases() []Case {
	doubles := []string{"0", "1", "-1.5", "3.141592653589793", "1e15", "1e16", "-1e-300", "1.7976931348623157e308", "2.2250738585072014e-308", "0.1", "123456789.125"}
	return []Case{
		{Decl: "FLOAT", Values: []string{"0", "1", "-1.5", "3.1415927", "3.4028234e38", "1.17549435e-38", "0.1", "16777217"}, Get: "v + 0e0"},
		{Decl: "FLOAT UNSIGNED", Values: []string{"0", "1.25"}, Get: "v + 0e0"},
		{Decl: "DOUBLE", Values: doubles},
		{Decl: "REAL", Values: doubles[:4]},
	}
}

func temporalCases() (all []Case) {
	all = append(all, Case{Decl: "DATE", Values: quote("0000-00-00", "2026-00-00", "2026-02-00", "0000-01-01", "0001-01-01", "1000-01-01", "1582-10-10", "1970-01-01", "2026-02-28", "9999-12-31")})
	for f := range 7 {
		frac := ""
		if f > 0 {
			frac = "." + "123456"[:f]
		}
		all = append(all,
			Case{Decl: fmt.Sprintf("TIME(%d)", f), Values: quote("00:00:00", "00:00:01"+frac, "-00:00:01"+frac, "-00:00:00"+frac, "838:59:59", "-838:59:59", "838:59:58"+frac, "-838:59:58"+frac, "23:59:59.999999", "-100:00:00", "25:00:00"+frac, "-00:00:01")},
			Case{Decl: fmt.Sprintf("DATETIME(%d)", f), Values: quote("0000-00-00 00:00:00", "2026-00-00 10:11:12"+frac, "2026-02-00 00:00:00"+frac, "0001-01-01 00:00:00", "1000-01-01 00:00:00"+frac, "1969-12-31 23:59:59"+frac, "2026-02-28 23:59:59.999999", "9999-12-31 23:59:59"+frac)},
			Case{Decl: fmt.Sprintf("TIMESTAMP(%d) NULL", f), Values: quote("0000-00-00 00:00:00", "1970-01-01 00:00:01", "1970-01-01 00:00:01"+frac, "2026-02-28 12:34:56"+frac, "2038-01-19 03:14:07"+frac)},
		)
	}
	return append(all, Case{Decl: "TIMESTAMP(6) NULL", Values: quote("2106-02-07 06:28:15.999999"), Only: "mariadb"})
}

func quote(values ...string) []string {
	for i, v := range values {
		values[i] = "'" + v + "'"
	}
	return values
}

func textCases() (all []Case) {
	plain := []string{"''", "'a'", `'quote " back\\\\slash'`, "'tab\tnl\n'", "REPEAT('x', 40)"}
	wide := append([]string{"'äöü'", "'日本'", "CONVERT(0x00 USING utf8mb4)"}, plain...)
	for _, decl := range []string{"CHAR(40)", "CHAR(255)", "VARCHAR(40)", "VARCHAR(255)", "VARCHAR(5000)", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"} {
		all = append(all,
			Case{Decl: decl + " CHARACTER SET utf8mb4", Values: append([]string{"'😀'", "'  sp'"}, wide...)},
			Case{Decl: decl + " CHARACTER SET utf8mb3", Values: wide},
			Case{Decl: decl + " CHARACTER SET ascii", Values: plain},
			Case{Decl: decl + " CHARACTER SET latin1", Values: append([]string{"'äÿ€'", "CONVERT(0x80818d8f909d9fa0ff USING latin1)", "UNHEX('80818d8f909d9fa0ff')"}, plain...)},
		)
	}
	return append(all,
		Case{Decl: "VARCHAR(300) COLLATE utf8mb4_bin", Values: []string{"REPEAT('é', 256)"}},
		Case{Decl: "LONGTEXT", Values: []string{"REPEAT('é', 70000)"}},
		Case{Decl: "VARCHAR(256) CHARACTER SET ascii", Values: []string{"''", "'a'", "REPEAT('x', 256)"}},
		Case{Decl: "MEDIUMTEXT CHARACTER SET latin1", Values: []string{"REPEAT('é', 70000)"}},
	)
}

func binaryCases() (all []Case) {
	values := []string{"''", "0x00", "0x0001", "0x2000", "0xff00ff", "'abc'"}
	for _, decl := range []string{"BINARY(4)", "BINARY(255)", "VARBINARY(4)", "VARBINARY(255)", "VARBINARY(256)", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"} {
		all = append(all, Case{Decl: decl, Values: values})
	}
	return append(all, Case{Decl: "LONGBLOB", Values: []string{"REPEAT(0x00ff, 40000)"}})
}

func labelCases() []Case {
	many, bits := make([]string, 300), make([]string, 64)
	for i := range many {
		many[i] = fmt.Sprintf("'l%d'", i+1)
	}
	copy(bits, many)
	return []Case{
		{Decl: "ENUM('a','b c','d,e','ü','日')", Values: []string{"1", "2", "3", "4", "5", "'nonsense'"}},
		{Decl: "ENUM('ä','€') CHARACTER SET latin1", Values: []string{"1", "2"}},
		{Decl: "ENUM(" + strings.Join(many, ",") + ")", Values: []string{"1", "255", "256", "300"}},
		{Decl: "SET('x','ü','z')", Values: []string{"0", "1", "2", "5", "7"}},
		{Decl: "SET('ä','€') CHARACTER SET latin1", Values: []string{"3"}},
		{Decl: "SET(" + strings.Join(bits[:9], ",") + ")", Values: []string{"0", "256", "511"}},
		{Decl: "SET(" + strings.Join(bits[:17], ",") + ")", Values: []string{"65536"}},
		{Decl: "SET(" + strings.Join(bits[:25], ",") + ")", Values: []string{"16777216"}},
		{Decl: "SET(" + strings.Join(bits, ",") + ")", Values: []string{"0", "1", "9223372036854775808", "18446744073709551615"}},
	}
}

// randomDoubles are literals of doubles of all magnitudes.
func randomDoubles(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]string, n)
	for i := range list {
		f := (r.Float64()*2 - 1) * math.Pow10(r.IntN(40)-20)
		if i%3 == 0 {
			f = math.Round(f)
		}
		if i%50 == 0 {
			f *= math.Pow10(r.IntN(500) - 250)
		}
		list[i] = strconv.FormatFloat(f, 'e', -1, 64)
	}
	return strings.Join(list, ",")
}

func jsonCases() []Case {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	values := quote("null", "true", "false", "0", "-1", "32767", "32768", "-32768", "-32769", "65535", "65536", "2147483647", "2147483648",
		"-2147483648", "-2147483649", "4294967296", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "18446744073709551616",
		"1.0", "-0.0", "0.1", "1e15", "1e14", "123456789012345.0", "1234567890123456.0", "1234567890123456.5", "2e10", "1e20", "-1.5e-16", "1e-15", "1e-14", "0.000012",
		"1.7976931348623157e308", "5e-324", `"a\\"b\\\\c\\/d\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f é 日 😀"`, `""`, "[]", "{}", `[1,"a",null,true,{"k":[]}]`,
		`{"bb":1,"a":{"c":[1.5,{"d":"e"}]},"":2,"ccc":3,"é\\"":4}`, deep)
	values = append(values,
		"JSON_OBJECT('d', CAST('2026-02-28' AS DATE), 't', CAST('-12:34:56.789' AS TIME(3)), 'h', CAST('838:59:59' AS TIME), 'z', CAST('00:00:00' AS TIME))",
		"JSON_OBJECT('dt', CAST('2026-02-28 12:34:56.123456' AS DATETIME(6)), 'ts', TIMESTAMP'2026-02-28 12:34:56', 'zero', CAST('0000-00-00 00:00:00' AS DATETIME), 'zd', CAST('0000-00-00' AS DATE))",
		"JSON_ARRAY(1.50, CAST(-0.001 AS DECIMAL(10,3)), CAST('12345678901234567890123456789012345.123456789012345678901234567890' AS DECIMAL(65,30)), CAST(7 AS DECIMAL(5,0)), CAST('-0.5' AS DECIMAL(3,2)))",
		"JSON_ARRAY(CAST('abc' AS BINARY), 0x00ff, CAST(REPEAT('x', 100) AS BINARY), b'101', CAST(2026 AS YEAR))",
		"JSON_ARRAY(CAST(REPEAT('x', 57) AS BINARY), CAST(REPEAT('x', 58) AS BINARY), CAST(REPEAT('x', 114) AS BINARY), CAST(REPEAT('x', 115) AS BINARY), CAST('' AS BINARY))",
		"JSON_ARRAY(POINT(1,2), CAST(1.5e0 AS FLOAT), CAST(0.1 AS FLOAT), UUID_TO_BIN('6ccd780c-baba-1026-9564-5b8c656024db'))",
		"JSON_OBJECT('long', REPEAT('y', 70000), 'n', 70000, 'm', 7)",
		"JSON_ARRAY("+randomDoubles(2000)+")",
		"CAST(CONCAT('[', REPEAT('123456,', 20000), '1]') AS JSON)",
	)
	text := []string{"'[1, 2,  {\"a\" : 1.50}]'", "'\"x\"'"}
	return []Case{{Decl: "JSON", Values: values, Only: "mysql"}, {Decl: "JSON", Values: text, Only: "mariadb"}}
}
