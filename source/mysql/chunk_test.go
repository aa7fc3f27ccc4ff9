package mysql

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// chunkTable is a table of all kinds of values, with a column that is left out.
func chunkTable() *event.Table {
	ops := []chunkOp{
		chunkInt8, chunkUint8, chunkInt16, chunkUint16, chunkInt32, chunkUint32, chunkInt64, chunkUint64, chunkFloat, chunkDouble, chunkYear,
		chunkSkip, chunkDecimal, chunkDecimalText, chunkBit, chunkDate, chunkTime, chunkDateTime, chunkTimestamp, chunkEnum, chunkSet, chunkText,
		chunkText, chunkBytes, chunkJSON,
	}
	t := &event.Table{Database: "d", Name: "t", Columns: make([]event.Column, len(ops))}
	l := &chunkLayout{table: t, steps: make([]chunkStep, len(ops))}
	for i, op := range ops {
		t.Columns[i].Name = fmt.Sprintf("c%d", i)
		l.steps[i] = chunkStep{op: op, scale: 2, width: 3}
	}
	l.steps[22].text = binlog.DecodeLatin1
	t.Layout = l
	return t
}

// chunkRowOf is a row of chunkTable, behind its length.
func chunkRowOf(null bool) []byte {
	row := []byte{0}
	nulls := make([]byte, (24+9)/8)
	if null {
		nulls[0], nulls[2] = 1<<2, 1<<1 // the first, and the 16th that is selected
	}
	row = append(row, nulls...)
	if !null {
		row = append(row, 0xff)
	}
	row = append(row, 0xfe)
	row = append(row, 1, 0, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0)
	row = append(row, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0)
	row = append(row, 0, 0, 0x80, 0x3f, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0xea, 0x07)
	for _, text := range []string{"-1.50", "0000012345678901234567.25", "\x01\x00"} {
		row = append(append(row, byte(len(text))), text...)
	}
	row = append(row, 4, 0xea, 0x07, 2, 31)
	if !null {
		row = append(row, 8, 1, 34, 0, 0, 0, 22, 59, 59)
	}
	row = append(row, 11, 0xea, 0x07, 2, 28, 23, 59, 58, 1, 0, 0, 0)
	row = append(row, 7, 0xb2, 0x07, 1, 2, 0, 0, 1)
	row = append(row, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0)
	for _, text := range []string{"tä", "\xe4", "\xff\x00", `{"a b": [1, 2], "c\"d: ": null}`} {
		row = append(append(row, byte(len(text))), text...)
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(row))), row...)
}

func TestChunkLayout(t *testing.T) {
	table := chunkTable()
	body := append(chunkRowOf(false), chunkRowOf(true)...)
	if n, err := table.Layout.Count(0, body); n != 2 || err != nil {
		t.Fatalf("%d rows: %v", n, err)
	}
	var got []string
	var r event.RowReader
	p := event.Piece{Events: []event.RawRows{{Table: table, Op: event.Read, Body: body, Rows: 2}}}
	for row, err := range p.Rows(&r) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Before != nil {
			t.Error("a row that was read has no before image")
		}
		var values []string
		for _, v := range row.After {
			text := fmt.Sprint(v.Num)
			if v.Bytes != nil {
				text = fmt.Sprintf("%q", v.Bytes)
			}
			values = append(values, text)
		}
		got = append(got, strings.Join(values, " "))
	}
	first := fmt.Sprintf(`-1 254 1 2 3 4 5 6 1065353216 4607182418800017408 2026 0 -150 "12345678901234567.25" 256 %d -3020399000000 %d 86401000000 3 5 "tä" "ä" "\xff\x00" "{\"a b\":[1,2],\"c\\\"d: \":null}"`,
		event.PackDateTime(2026, 2, 31, 0, 0, 0, 0), event.PackDateTime(2026, 2, 28, 23, 59, 58, 1))
	second := strings.Replace(strings.Replace(first, "-1 254", "0 254", 1), "-3020399000000", "0", 1)
	if !slices.Equal(got, []string{first, second}) {
		t.Errorf("\n%s\nwant\n%s\n%s", strings.Join(got, "\n"), first, second)
	}
}

func TestChunkLayoutDoesNotAllocate(t *testing.T) {
	p := event.Piece{Events: []event.RawRows{{Table: chunkTable(), Op: event.Read, Body: bytes.Repeat(chunkRowOf(false), 50), Rows: 50}}}
	var r event.RowReader
	decode := func() {
		for _, err := range p.Rows(&r) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Events[0].Table.Layout.Count(0, p.Events[0].Body); err != nil {
			t.Fatal(err)
		}
	}
	decode()
	if n := testing.AllocsPerRun(5, decode); n != 0 {
		t.Errorf("%v allocations for 50 rows", n)
	}
}

// FuzzChunkLayout: any bytes are rows or a named error, and a row that is read
// ends inside its body.
func FuzzChunkLayout(f *testing.F) {
	f.Add(chunkRowOf(false))
	f.Add(append(chunkRowOf(false), chunkRowOf(true)...))
	f.Add([]byte{5, 0, 0, 0, 0, 0, 0, 0, 0})
	table := chunkTable()
	d := &definition{table: table, layout: table.Layout.(*chunkLayout)}
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, err := table.Layout.Count(0, body)
		if err != nil {
			return
		}
		var r event.RowReader
		off := 0
		for range rows {
			next, err := table.Layout.Next(&event.RawRows{Table: table, Op: event.Read, Body: body}, off, &r)
			row, end := chunkRow(body, off)
			if c, err := d.cursorAt(row, []int{6, 13, 21, 23, 17, 16}); err == nil {
				if _, err := parseCursor(c.text()); err != nil {
					t.Fatalf("its own place: %v", err)
				}
			}
			if err != nil {
				if class := resilience.ClassOf(err); class != resilience.Fatal && class != resilience.Poison {
					t.Fatalf("%s: %v", class, err)
				}
				return
			}
			if next != end {
				t.Fatalf("a row from %d to %d ends at %d", off, end, next)
			}
			off = next
		}
	})
}

// FuzzParseCursor: what is taken for a place has nothing in it that could mean
// something else in a statement, and is written as it was read.
func FuzzParseCursor(f *testing.F) {
	f.Add([]byte(`{"key":["id","b"],"at":["i-5","t00ff"]}`))
	f.Add([]byte(`{"key":["a","b","c","d","e","f"],"at":["n-1.50","f1.5e+10","xab","d2026-02-31","c-838:59:59.000000","s2026-01-01 00:00:00.000000"]}`))
	f.Add([]byte(`{"key":["id"],"at":["i1) OR (1=1"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseCursor(text)
		if err != nil {
			if resilience.CodeOf(err) != source.CodePlace {
				t.Fatal(err)
			}
			return
		}
		for _, at := range c.At {
			if strings.ContainsAny(at[1:], `'"\()#/*;`) || strings.Contains(at, "--") {
				t.Fatalf("%q", at)
			}
		}
		again, err := parseCursor(c.text())
		if err != nil || !slices.Equal(again.Key, c.Key) || !slices.Equal(again.At, c.At) {
			t.Fatalf("%s: %v", c.text(), err)
		}
	})
}

// FuzzLabels: labels come back from the text that the server makes of them.
func FuzzLabels(f *testing.F) {
	f.Add("a", "it's", "b\\c")
	f.Add("", "','", "\n\r\x00")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		escape := strings.NewReplacer("'", "''", "\\", "\\\\", "\n", "\\n", "\r", "\\r", "\x00", "\\0")
		text := "enum('" + escape.Replace(a) + "','" + escape.Replace(b) + "','" + escape.Replace(c) + "')"
		if got := labelsOf(text); !slices.Equal(got, []string{a, b, c}) {
			t.Fatalf("%s: %q", text, got)
		}
	})
}

// TestRowBuffer reads rows of all sizes around those of bodies and packets, in
// reads of all sizes, and compares them with what was sent.
func TestRowBuffer(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for _, sizes := range [][]int{
		{1, 2, 3}, {chunkBody - 5, chunkBody - 4, chunkBody - 3, chunkBody, 1}, {3 * chunkBody, 1, 1},
		{maxPacket - 1}, {maxPacket, 5}, {maxPacket + 1, 5}, {2 * maxPacket, 5}, {2*maxPacket + 7, maxPacket},
	} {
		for range 40 {
			if sizes = append(sizes, 1+random.IntN(20_000)); sizes[0] > chunkBody {
				break
			}
		}
		var wire []byte
		var rows [][]byte
		sequence := byte(3)
		for _, n := range sizes {
			row := bytes.Repeat([]byte{byte(random.IntN(256))}, n)
			row[0] = 0
			rows = append(rows, row)
			wire, sequence = appendPackets(wire, row, sequence)
		}
		wire, _ = appendPackets(wire, []byte{0xfe, 0, 0, 2, 0, 0, 0}, sequence)
		b := newRowBuffer(iotest.OneByteReader(bytes.NewReader(wire)), 3, 64, 64<<20)
		if len(wire) > chunkBody {
			b.r = iotest.HalfReader(bytes.NewReader(wire))
		}
		var got chunkRows
		if err := got.read(b, 1<<30); err != nil {
			t.Fatal(err)
		}
		sameRows(t, b.bodies, rows)
		if got.count != len(rows) || !bytes.Equal(got.last, rows[len(rows)-1]) || !got.all {
			t.Errorf("%d rows of %d, all %v", got.count, len(rows), got.all)
		}
	}
}

func sameRows(t *testing.T, bodies []event.RawRows, want [][]byte) {
	t.Helper()
	n := 0
	for _, raw := range bodies {
		if len(raw.Body) > chunkBody && raw.Rows > 1 {
			t.Errorf("a body of %d rows has %d bytes", raw.Rows, len(raw.Body))
		}
		for off := 0; off < len(raw.Body); n++ {
			var row []byte
			if row, off = chunkRow(raw.Body, off); off < 0 || n >= len(want) || !bytes.Equal(row, want[n]) {
				t.Fatalf("row %d is not what was sent", n)
			}
		}
	}
	if n != len(want) {
		t.Errorf("%d rows of %d", n, len(want))
	}
}

// TestRowBufferEndsAtItsBounds: the rows behind the bytes wanted are passed
// over, and many of them are not waited for.
func TestRowBufferEndsAtItsBounds(t *testing.T) {
	for _, c := range []struct {
		behind int
		broken bool
	}{{3, false}, {600, true}} {
		var wire []byte
		var rows [][]byte
		sequence := byte(0)
		for range 5 + c.behind {
			row := make([]byte, 10_000)
			rows = append(rows, row)
			wire, sequence = appendPackets(wire, row, sequence)
		}
		wire, _ = appendPackets(wire, []byte{0xfe, 0, 0, 2, 0, 0, 0}, sequence)
		b := newRowBuffer(bytes.NewReader(wire), 0, chunkBody, 1<<20)
		var got chunkRows
		if err := got.read(b, 45_000); err != nil {
			t.Fatal(err)
		}
		sameRows(t, b.bodies, rows[:5])
		if got.all || got.broken != c.broken || got.count != 5 {
			t.Errorf("%d behind: %d rows, all %v, broken %v", c.behind, got.count, got.all, got.broken)
		}
	}
}

func TestRowBufferRefuses(t *testing.T) {
	packet := func(sequence byte, p string) []byte { b, _ := appendPackets(nil, []byte(p), sequence); return b }
	for _, c := range []struct {
		name, code string
		wire       []byte
	}{
		{"a packet out of turn", "connection_garbled", packet(4, "\x00row")},
		{"an empty packet", "connection_garbled", packet(0, "")},
		{"the end of the connection", "connection_lost", packet(0, "\x00row")},
		{"a truncated packet", "connection_lost", packet(0, "\x00row")[:5]},
		{"a row over the limit", codeRowSize, packet(0, strings.Repeat("x", 2000))},
		{"an error", "query_timeout", packet(0, "\xff\xd0\x0b#HY000too long")},
	} {
		b := newRowBuffer(bytes.NewReader(c.wire), 0, 64, 1000)
		var got chunkRows
		err := got.read(b, 1<<20)
		if err = connectError(opReadChunk, err, true); resilience.CodeOf(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestChunkQuery(t *testing.T) {
	x := &tableIndex{name: "PRI`MARY", columns: []indexColumn{{name: "a"}, {name: "b", descending: true}, {name: "e", labels: 3}}}
	q := chunkQuery{table: "`d`.`t`", fields: "*", index: x, limit: 5}
	for _, c := range []struct {
		after, until []string
		where, want  string
	}{
		{nil, nil, "", "SELECT * FROM `d`.`t` FORCE INDEX (`PRI``MARY`) ORDER BY `a`, `b` DESC, `e` LIMIT 5"},
		{[]string{"1", "2", "1"}, nil, "", "WHERE (`a` > 1 OR `a` = 1 AND `b` < 2 OR `a` = 1 AND `b` = 2 AND `e` IN (2, 3)) ORDER"},
		{[]string{"1", "2", "3"}, nil, "", "WHERE (`a` > 1 OR `a` = 1 AND `b` < 2) ORDER"},
		{nil, []string{"1", "2", "1"}, "", "WHERE (`a` < 1 OR `a` = 1 AND `b` > 2 OR `a` = 1 AND `b` = 2 AND `e` IN (0, 1)) ORDER"},
		{nil, nil, "x -- y", "WHERE (x -- y\n) ORDER"},
	} {
		q.after, q.until, q.where = c.after, c.until, c.where
		if got := q.sql(); !strings.Contains(got, c.want) {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	q = chunkQuery{table: "t", fields: "*", limit: 5, after: []string{"3", "3", "7"}, until: []string{"3", "3", "9"},
		index: &tableIndex{name: "k", columns: []indexColumn{{name: "e", labels: 3}, {name: "f", labels: 3}, {name: "n"}}}}
	if got, want := q.sql(), "SELECT * FROM t FORCE INDEX (`k`) WHERE (`e` = 3 AND `f` = 3 AND `n` > 7) AND "+
		"(`e` IN (0, 1, 2) OR `e` = 3 AND `f` IN (0, 1, 2) OR `e` = 3 AND `f` = 3 AND `n` <= 9) ORDER BY `n` LIMIT 5"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
