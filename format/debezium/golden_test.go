package debezium

import (
	"flag"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
)

var rewrite = flag.Bool("update", false, "write the golden files anew")

// goldenColumn is a column, how it is configured, and values of it.
type goldenColumn struct {
	about  string
	col    event.Column
	set    func(*Config)
	values []event.Value
}

func plain(*Config) {}

// goldens are the files of testdata/golden.
func goldens() map[string][]goldenColumn {
	n, u, null := eventtest.Int, eventtest.Uint, eventtest.Null()
	col := eventtest.Col
	integers := []goldenColumn{
		{"TINYINT", col("c", event.TypeTinyInt), plain, values{n(-128), n(127), null}},
		{"TINYINT, tinyint: int8", col("c", event.TypeTinyInt), func(c *Config) { c.TinyInt = "int8" }, values{n(-128)}},
		{"TINYINT UNSIGNED", column("c", event.TypeTinyInt, unsigned), plain, values{u(0), u(255)}},
		{"SMALLINT", col("c", event.TypeSmallInt), plain, values{n(-32768), n(32767)}},
		{"SMALLINT UNSIGNED", column("c", event.TypeSmallInt, unsigned), plain, values{u(65535)}},
		{"MEDIUMINT", col("c", event.TypeMediumInt), plain, values{n(-8388608), n(8388607)}},
		{"MEDIUMINT UNSIGNED", column("c", event.TypeMediumInt, unsigned), plain, values{u(16777215)}},
		{"INT", col("c", event.TypeInt), plain, values{n(math.MinInt32), n(math.MaxInt32)}},
		{"INT UNSIGNED", column("c", event.TypeInt, unsigned), plain, values{u(math.MaxUint32)}},
		{"BIGINT", col("c", event.TypeBigInt), plain, values{n(math.MinInt64), n(math.MaxInt64)}},
		{"BIGINT UNSIGNED, bigint_unsigned: long", column("c", event.TypeBigInt, unsigned), plain,
			values{u(0), u(math.MaxInt64), u(1 << 63), u(14446744073709551615), u(math.MaxUint64)}},
		{"BIGINT UNSIGNED, bigint_unsigned: precise", column("c", event.TypeBigInt, unsigned),
			func(c *Config) { c.BigintUnsigned = "precise" }, values{u(0), u(255), u(math.MaxInt64), u(1 << 63), u(math.MaxUint64), null}},
	}
	decimals := values{eventtest.Decimal(1234567, 2), eventtest.Decimal(-1234567, 2), eventtest.Decimal(0, 2), eventtest.Decimal(-5, 2),
		eventtest.Decimal(math.MaxInt64, 2), eventtest.Decimal(math.MinInt64, 2),
		eventtest.BigDecimal("999999999999999999999999999999999999999999999999999999999999999.99"),
		eventtest.BigDecimal("-999999999999999999999999999999999999999999999999999999999999999.99"), null}
	long := column("c", event.TypeDecimal, decimal(65, 2))
	binary := values{eventtest.Bytes(""), eventtest.Bytes("\x00"), eventtest.Bytes("\xfb\xff\xfe"), eventtest.Bytes("text"), null}
	f, d, bit := eventtest.Float, eventtest.Double, eventtest.Bit
	return map[string][]goldenColumn{
		"integer": integers,
		"decimal": {
			{"DECIMAL(65,2), decimal: precise", long, plain, decimals},
			{"DECIMAL(65,2), decimal: string", long, func(c *Config) { c.Decimal = "string" }, decimals},
			{"DECIMAL(65,2), decimal: double", long, func(c *Config) { c.Decimal = "double" }, decimals},
		},
		"float": {
			{"FLOAT", col("c", event.TypeFloat), plain, values{f(0), f(float32(math.Copysign(0, -1))), f(1), f(-0.1), f(1e7), f(9999999), f(1e-3),
				f(9.99e-4), f(math.MaxFloat32), f(math.SmallestNonzeroFloat32), f(16777216), f(3.4e10), null}},
			{"DOUBLE", col("c", event.TypeDouble), plain, values{d(0), d(math.Copysign(0, -1)), d(100), d(0.5), d(-1234567.5), d(1e7), d(12345678.9), d(1e-3),
				d(0.00123), d(1e-5), d(123456), d(1e21), d(math.MaxFloat64), d(math.SmallestNonzeroFloat64), d(math.Pi), null}},
		},
		"bit": {
			{"BIT(1)", column("c", event.TypeBit, length(1)), plain, values{bit(0), bit(1), null}},
			{"BIT(9)", column("c", event.TypeBit, length(9)), plain, values{bit(0), bit(0x1FF), null}},
			{"BIT(64)", column("c", event.TypeBit, length(64)), plain, values{bit(23989979), bit(math.MaxUint64)}},
		},
		"text": {
			{"CHAR", col("c", event.TypeChar), plain, values{eventtest.Text(""), eventtest.Text("a b"), null}},
			{"TEXT", col("c", event.TypeText), plain, values{eventtest.Text("\x00\x01\b\t\n\v\f\r\x1f \"\\/\x7f"), eventtest.Text("é€😀\u2028\uFFFD")}},
			{"JSON", col("c", event.TypeJSON), plain, values{eventtest.JSON(`{"a":[1,"x\u0000"]}`), null}},
		},
		"binary": {
			{"BINARY, binary: bytes", col("c", event.TypeBinary), plain, binary},
			{"BLOB, binary: base64", col("c", event.TypeBytes), func(c *Config) { c.Binary = "base64" }, binary},
			{"BLOB, binary: base64_url_safe", col("c", event.TypeBytes), func(c *Config) { c.Binary = "base64_url_safe" }, binary},
			{"BLOB, binary: hex", col("c", event.TypeBytes), func(c *Config) { c.Binary = "hex" }, binary},
		},
		"enum_set": {
			{"ENUM", column("c", event.TypeEnum, labels("new", "a,b", `q"\`)), plain, values{eventtest.Enum(0), eventtest.Enum(1), eventtest.Enum(2), eventtest.Enum(3), null}},
			{"SET", column("c", event.TypeSet, labels("gift", `q"`, "x")), plain, values{eventtest.Set(0), eventtest.Set(1), eventtest.Set(6), eventtest.Set(7), null}},
		},
		"temporal": temporalGoldens(),
	}
}

func temporalGoldens() (all []goldenColumn) {
	null, date, dt, ts := eventtest.Null(), eventtest.Date, eventtest.DateTime, eventtest.Timestamp
	dates := values{date(2026, 3, 4), date(1970, 1, 1), date(1969, 12, 31), date(18, 4, 1), date(1, 1, 1), date(9999, 12, 31), date(2000, 2, 29), null}
	badDates := values{date(0, 0, 0), date(2026, 0, 10), date(2026, 2, 0), date(0, 1, 1), date(2026, 2, 31), date(1900, 2, 29)}
	datetimes := values{dt(2026, 3, 4, 5, 6, 7, 890123), dt(1969, 12, 31, 23, 59, 59, 999999), dt(1, 1, 1, 0, 0, 0, 1), dt(9999, 12, 31, 23, 59, 59, 999999),
		dt(0, 0, 0, 0, 0, 0, 0), dt(0, 1, 1, 0, 0, 0, 1)}
	instants := values{ts(1772600767123456), ts(1), ts(2147483647499999), ts(4294967295999999), ts(951782400000000), ts(0)}
	notNull := func(c *event.Column) { c.Nullable = false }
	add := func(about string, col event.Column, set func(*Config), v values) {
		all = append(all, goldenColumn{about, col, set, v})
	}
	asText := func(c *Config) { c.InvalidDates = "text" }
	add("DATE", eventtest.Col("c", event.TypeDate), plain, append(dates, badDates...))
	add("DATE NOT NULL", column("c", event.TypeDate, notNull), plain, badDates)
	add("DATE, invalid_dates: text", eventtest.Col("c", event.TypeDate), asText, badDates)
	add("TIME(6)", column("c", event.TypeTime, scale(6)), plain, values{eventtest.Time(0), eventtest.Time(-13*time.Hour - 14*time.Minute - 50*time.Second),
		eventtest.Time(838*time.Hour + 59*time.Minute + 59*time.Second), null})
	for _, digits := range []int{0, 3, 4, 6} {
		name := "(" + string(rune('0'+digits)) + ")"
		add("DATETIME"+name, column("c", event.TypeDateTime, scale(digits)), plain, datetimes)
		add("DATETIME"+name+" NOT NULL", column("c", event.TypeDateTime, func(c *event.Column) { c.Scale, c.Nullable = digits, false }), plain, datetimes[4:])
		add("DATETIME"+name+", invalid_dates: text", column("c", event.TypeDateTime, scale(digits)), asText, datetimes[4:])
		add("TIMESTAMP"+name, column("c", event.TypeTimestamp, scale(digits)), plain, instants)
	}
	add("TIMESTAMP NOT NULL", column("c", event.TypeTimestamp, notNull), plain, values{ts(0)})
	add("TIMESTAMP(2), invalid_dates: text", column("c", event.TypeTimestamp, scale(2)), asText, values{ts(0), ts(120000)})
	add("YEAR", eventtest.Col("c", event.TypeYear), plain, values{eventtest.Year(0), eventtest.Year(1901), eventtest.Year(2155), null})
	return all
}

func TestGolden(t *testing.T) {
	for name, columns := range goldens() {
		var b strings.Builder
		for _, g := range columns {
			renderGolden(t, &b, g)
		}
		compareGolden(t, "testdata/golden/"+name+".txt", b.String())
	}
}

func renderGolden(t *testing.T, b *strings.Builder, g goldenColumn) {
	t.Helper()
	cfg := DefaultConfig()
	g.set(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	e := newEncoder(cfg)
	m, _ := cfg.mapColumn(&g.col)
	f := schemaField{&g.col, m}
	b.WriteString("# " + g.about + "\n" + string(f.append(nil)) + "\n")
	fields := []field{newField(true, 0, &g.col, m, false)}
	for _, v := range g.values {
		got, ok := e.appendFields(nil, fields, values{v})
		if !ok {
			t.Fatalf("%s: %v: %s", g.about, v, e.fault.cause)
		}
		b.WriteString("  " + string(got[len(`{"c":`):len(got)-1]) + "\n")
	}
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update and read the diff): got\n%s", file, got)
	}
}
