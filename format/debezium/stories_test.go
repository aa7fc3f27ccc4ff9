package debezium

import (
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
)

// story is one transaction of after.sql, or rows of before.sql where gtid is 0.
type story struct {
	gtid  uint64
	rows  []eventtest.Row
	apart bool // each row has an event of its own
}

type values = []event.Value

// The columns of the tables of before.sql.

func column(name string, typ event.Type, set func(*event.Column)) event.Column {
	c := eventtest.Col(name, typ)
	set(&c)
	return c
}

func unsigned(c *event.Column) { c.Unsigned = true }

func scale(n int) func(*event.Column) { return func(c *event.Column) { c.Scale = n } }

func decimal(precision, scale int) func(*event.Column) {
	return func(c *event.Column) { c.Precision, c.Scale = precision, scale }
}

func length(n int) func(*event.Column) { return func(c *event.Column) { c.Length = n } }

func labels(l ...string) func(*event.Column) { return func(c *event.Column) { c.Labels = l } }

func excluded(c *event.Column) { c.Excluded = true }

func intColumns() []event.Column {
	col := eventtest.Col
	return []event.Column{col("id", event.TypeInt), col("t", event.TypeTinyInt), column("tu", event.TypeTinyInt, unsigned),
		col("t1", event.TypeTinyInt), col("b", event.TypeTinyInt), col("s", event.TypeSmallInt), column("su", event.TypeSmallInt, unsigned),
		col("m", event.TypeMediumInt), column("mu", event.TypeMediumInt, unsigned), col("i", event.TypeInt), column("iu", event.TypeInt, unsigned),
		col("l", event.TypeBigInt), column("lu", event.TypeBigInt, unsigned)}
}

func shop(name string, key []string, columns ...event.Column) *event.Table {
	return eventtest.Table("shop", name, key, columns...)
}

var idKey = []string{"id"}

func numbersTable() *event.Table {
	col := eventtest.Col
	return shop("numbers", idKey, col("id", event.TypeInt), col("f", event.TypeFloat), col("f24", event.TypeFloat),
		col("f53", event.TypeDouble), col("d", event.TypeDouble), column("dec1", event.TypeDecimal, decimal(10, 2)),
		column("dec2", event.TypeDecimal, decimal(65, 30)), column("dec0", event.TypeDecimal, decimal(20, 0)),
		column("b1", event.TypeBit, length(1)), column("b9", event.TypeBit, length(9)), column("b64", event.TypeBit, length(64)),
		col("y", event.TypeYear))
}

func timesTable() *event.Table {
	col := eventtest.Col
	return shop("times", idKey, col("id", event.TypeInt), col("d", event.TypeDate), col("t0", event.TypeTime),
		column("t3", event.TypeTime, scale(3)), column("t6", event.TypeTime, scale(6)), col("dt0", event.TypeDateTime),
		column("dt3", event.TypeDateTime, scale(3)), column("dt6", event.TypeDateTime, scale(6)), col("ts0", event.TypeTimestamp),
		column("ts3", event.TypeTimestamp, scale(3)), column("ts6", event.TypeTimestamp, scale(6)))
}

func textsTable() *event.Table {
	col := eventtest.Col
	return shop("texts", idKey, col("id", event.TypeInt), col("c", event.TypeChar), col("v", event.TypeText), col("t", event.TypeText),
		col("l1", event.TypeText), col("sj", event.TypeText), col("gb", event.TypeText), col("ko", event.TypeText), col("u16", event.TypeText),
		col("b", event.TypeBinary), col("vb", event.TypeBytes), col("bl", event.TypeBytes))
}

func othersTable() *event.Table {
	col := eventtest.Col
	return shop("others", idKey, col("id", event.TypeInt), column("e", event.TypeEnum, labels("new", "paid", "a,b")),
		column("s", event.TypeSet, labels("gift", "rush", "x")), col("j", event.TypeJSON), column("p", event.TypeUnknown, excluded),
		column("g", event.TypeUnknown, excluded), column("vec", event.TypeUnknown, excluded), col("inv", event.TypeInt),
		col("gv", event.TypeInt), col("gs", event.TypeInt))
}

func compositeTable() *event.Table {
	col := eventtest.Col
	return shop("composite", []string{"n", "b", "s"}, col("b", event.TypeBytes), column("n", event.TypeBigInt, unsigned),
		col("s", event.TypeText), col("v", event.TypeInt))
}

// The rows.

func nulls(id int64, n int) values {
	v := values{eventtest.Int(id)}
	for range n {
		v = append(v, eventtest.Null())
	}
	return v
}

func fullInts(id, i int64) values {
	n, u := eventtest.Int, eventtest.Uint
	return values{n(id), n(-128), u(255), n(1), n(1), n(-32768), u(65535), n(-8388608), u(16777215), n(i), u(4294967295),
		n(-9223372036854775808), u(18446744073709551615)}
}

func zeroInts(id int64) values {
	n, u := eventtest.Int, eventtest.Uint
	return values{n(id), n(0), u(0), n(0), n(0), n(0), u(0), n(0), u(0), n(0), u(0), n(0), u(9223372036854775808)}
}

func ints(id, i int64) values {
	v := nulls(id, 12)
	v[9] = eventtest.Int(i)
	return v
}

// extraInts is a row after ADD COLUMN extra and DROP COLUMN t.
func extraInts(id int64, extra string, i event.Value) values {
	v := nulls(id, 12)
	v[1], v[9] = eventtest.Text(extra), i
	return v
}

func numbers() []values {
	n, f, d := eventtest.Int, eventtest.Float, eventtest.Double
	dec, big, bit, year := eventtest.Decimal, eventtest.BigDecimal, eventtest.Bit, eventtest.Year
	return []values{
		{n(11), f(1.5), f(3.402823e38), d(2.718281828459045), d(1.7976931348623157e308), dec(1234567, 2),
			big("12345678901234567890123456789012345.123456789012345678901234567890"), big("99999999999999999999"), bit(1), bit(0x101), bit(0x8000000000000001), year(2155)},
		{n(12), f(-0.1), f(1e-38), d(-0.1), d(5e-324), dec(-1234567, 2),
			big("-0.000000000000000000000000000001"), big("-1"), bit(0), bit(0), bit(0), year(1901)},
		nulls(13, 11),
		{n(14), f(100000000), f(0), d(1e21), d(1e-7), dec(0, 2),
			big("0.000000000000000000000000000000"), big("0"), bit(1), bit(255), bit(18446744073709551615), year(0)},
	}
}

func times() []values {
	n, date, dt, ts := eventtest.Int, eventtest.Date, eventtest.DateTime, eventtest.Timestamp
	clock := func(h, m, s, us int) event.Value {
		return eventtest.Time(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + time.Duration(us)*time.Microsecond)
	}
	return []values{
		{n(11), date(2026, 3, 4), clock(5, 6, 7, 0), clock(5, 6, 7, 890000), clock(5, 6, 7, 123456), dt(2026, 3, 4, 5, 6, 7, 0),
			dt(2026, 3, 4, 5, 6, 7, 890000), dt(2026, 3, 4, 5, 6, 7, 123456), ts(1772600767000000), ts(1772600767890000), ts(1772600767123456)},
		{n(12), date(1000, 1, 1), clock(-838, -59, -59, 0), clock(0, 0, 0, -1000), clock(838, 59, 58, 999999), dt(1000, 1, 1, 0, 0, 0, 0),
			dt(9999, 12, 31, 23, 59, 59, 999000), dt(9999, 12, 31, 23, 59, 59, 999999), ts(1000000), ts(2147483647499000), ts(2147483647499999)},
		nulls(13, 10),
		{n(14), date(0, 0, 0), clock(0, 0, 0, 0), clock(0, 0, 0, 0), clock(0, 0, 0, 0), dt(0, 0, 0, 0, 0, 0, 0), dt(0, 0, 0, 0, 0, 0, 0),
			dt(0, 0, 0, 0, 0, 0, 0), ts(0), ts(0), ts(0)},
		{n(15), date(2026, 0, 10), clock(24, 0, 0, 0), clock(24, 0, 0, 500000), clock(100, 0, 0, 0), dt(2026, 2, 0, 0, 0, 0, 0),
			dt(2026, 0, 1, 1, 2, 3, 4000), dt(0, 1, 1, 0, 0, 0, 1), ts(1772600767000000), ts(1772600767100000), ts(1772600767100000)},
	}
}

func texts() []values {
	n, s, b := eventtest.Int, eventtest.Text, eventtest.Bytes
	empty := values{n(12)}
	for range 8 {
		empty = append(empty, s(""))
	}
	return []values{
		{n(11), s("ab"), s("grüße 😀"), s("line\nbreak \"quoted\" \\ tab\t"), s("éÿ€"), s("日本"), s("中文"), s("Привет"), s("ünï😀"),
			b("ab\x00\x00\x00"), b("\x00\xFF\x10"), b("\xDE\xAD\xBE\xEF\x00")},
		append(empty, b("\x00\x00\x00\x00\x00"), b(""), b("")),
		nulls(13, 11),
	}
}

func other(id int64, e, s, j event.Value) values {
	n, a := eventtest.Int, eventtest.Absent()
	return values{n(id), e, s, j, a, a, a, n(7), n(2 * id), n(3 * id)}
}

func document(k string) event.Value {
	return eventtest.JSON(`{"a":[1.0,20000000000,null,true,"x\u0000y",18446744073709551615,1.1],"k":` + k + `,"long key":{"n":{}}}`)
}

func others() []values {
	null, enum, set, j := eventtest.Null(), eventtest.Enum, eventtest.Set, eventtest.JSON
	return []values{
		other(11, enum(2), set(3), document("1")),
		other(12, null, set(0), null),
		other(13, enum(3), set(4), j(`"scalar"`)),
		other(14, enum(1), set(7), j(`"2026-03-04 05:06:07.123456"`)),
	}
}

func inserts(t *event.Table, rows ...values) (all []eventtest.Row) {
	for _, r := range rows {
		all = append(all, eventtest.Insert(t, r...))
	}
	return all
}

func update(t *event.Table, before, after values) eventtest.Row {
	return eventtest.Update(t, before, after)
}

// stories are the transactions in the order of after.sql.
func stories() []story {
	n, s, null := eventtest.Int, eventtest.Text, eventtest.Null
	intsV1 := shop("ints", idKey, intColumns()...)
	col := eventtest.Col
	numbersT, othersT, compositeT := numbersTable(), othersTable(), compositeTable()
	nokey := shop("nokey", nil, col("a", event.TypeInt), col("b", event.TypeText))
	withExtra := append([]event.Column{col("id", event.TypeInt), col("extra", event.TypeText)}, intColumns()[1:]...)
	withoutT := append([]event.Column{col("id", event.TypeInt), col("extra2", event.TypeText)}, intColumns()[2:]...)
	intsV2, intsV3 := shop("ints", idKey, withExtra...), shop("ints", idKey, withoutT...)
	fresh := func(name string) *event.Table {
		return shop(name, idKey, col("id", event.TypeInt), column("v", event.TypeText, func(c *event.Column) { c.Nullable = false }))
	}
	composite := func(key uint64) values {
		return values{eventtest.Bytes("\x01\xFF"), eventtest.Uint(key), s("Aä"), n(1)}
	}
	return []story{
		{rows: []eventtest.Row{eventtest.Read(intsV1, fullInts(1, -2147483648)...)}},
		{rows: []eventtest.Row{eventtest.Read(intsV1, nulls(2, 12)...)}},
		{rows: []eventtest.Row{eventtest.Read(intsV1, zeroInts(3)...)}},
		{rows: []eventtest.Row{eventtest.Read(nokey, n(1), s("x")), eventtest.Read(nokey, n(1), s("x"))}, apart: true},
		{rows: []eventtest.Row{eventtest.Read(compositeT, composite(18446744073709551615)...)}},
		{gtid: 125559, rows: inserts(intsV1, fullInts(11, -2147483648), nulls(12, 12), zeroInts(13))},
		{gtid: 125560, rows: inserts(numbersT, numbers()...)},
		{gtid: 125561, rows: inserts(timesTable(), times()...)},
		{gtid: 125562, rows: inserts(textsTable(), texts()...)},
		{gtid: 125563, rows: inserts(othersT, others()...)},
		{gtid: 125564, rows: []eventtest.Row{
			update(intsV1, fullInts(1, -2147483648), fullInts(1, -2147483647)),
			update(othersT, others()[0], other(11, eventtest.Enum(2), eventtest.Set(3), document("2"))),
			eventtest.Delete(numbersT, numbers()[2]...),
		}},
		{gtid: 125565, rows: []eventtest.Row{update(intsV1, zeroInts(3), zeroInts(99))}},
		{gtid: 125566, rows: []eventtest.Row{update(compositeT, composite(18446744073709551615), composite(5))}},
		{gtid: 125567, rows: inserts(nokey, values{n(2), null()})},
		{gtid: 125568, rows: []eventtest.Row{update(nokey, values{n(1), s("x")}, values{n(1), s("y")})}},
		{gtid: 125569, rows: []eventtest.Row{eventtest.Delete(nokey, n(2), null())}},
		{gtid: 125570, rows: []eventtest.Row{update(intsV1, zeroInts(99), ints(99, 5))}},
		{gtid: 125571, rows: []eventtest.Row{update(intsV1, fullInts(1, -2147483647), fullInts(1, 7))}},
		{gtid: 125573, rows: inserts(intsV2, append(values{n(200), s("d")}, nulls(0, 12)[1:]...))},
		{gtid: 125575, rows: []eventtest.Row{update(intsV3, extraInts(200, "d", null()), extraInts(200, "z", null()))}},
		{gtid: 125577, rows: inserts(fresh("fresh"), values{n(1), s("q")})},
		{gtid: 125579, rows: inserts(fresh("fresh2"), values{n(2), s("q")})},
		{gtid: 125580, rows: []eventtest.Row{{Table: fresh("fresh2"), Op: event.Truncate}}},
		{gtid: 125582, rows: inserts(intsV3, extraInts(300, "d", n(300)), extraInts(301, "d", n(301)))},
		{gtid: 125584, rows: inserts(nokey, values{n(3), s("between")})},
		{gtid: 125586, rows: inserts(nokey, values{n(4), s("kept")}, values{n(6), s("kept")}), apart: true},
	}
}
