package binlog

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// mapBuilder builds the body of a table map.
type mapBuilder struct {
	types, meta, optional []byte
}

func (b *mapBuilder) column(typ byte, meta ...byte) *mapBuilder {
	b.types, b.meta = append(b.types, typ), append(b.meta, meta...)
	return b
}

func (b *mapBuilder) field(kind byte, content ...byte) *mapBuilder {
	b.optional = append(append(b.optional, kind, byte(len(content))), content...)
	return b
}

// named adds the names c0, c1 and so on.
func (b *mapBuilder) named() *mapBuilder {
	var names []byte
	for i := range b.types {
		names = append(names, 2, 'c', byte('0'+i))
	}
	return b.field(metaColumnName, names...)
}

func (b *mapBuilder) body() []byte {
	out := append([]byte{1, 0, 0, 0, 0, 0, 1, 0}, "\x01d\x00\x01t\x00"...)
	out = append(append(out, byte(len(b.types))), b.types...)
	out = append(append(out, byte(len(b.meta))), b.meta...)
	out = append(out, make([]byte, (len(b.types)+7)/8)...)
	return append(out, b.optional...)
}

func newMap() *mapBuilder { return &mapBuilder{} }

func TestCompileRefusals(t *testing.T) {
	text := func(collation ...byte) *mapBuilder {
		return newMap().column(colVarchar, 40, 0).named().field(metaDefaultCharset, collation...)
	}
	for _, c := range []struct {
		name, code, says string
		body             []byte
	}{
		{"no names", CodeMetadata, "binlog_row_metadata = FULL", newMap().column(colLong).body()},
		{"geometry", CodeColumnType, "d.t.c0: column type GEOMETRY (exclude the column", newMap().column(colGeometry, 4).named().body()},
		{"vector", CodeColumnType, "VECTOR", newMap().column(colVector, 4).named().body()},
		{"compressed column", CodeColumnType, "BLOB COMPRESSED", newMap().column(colBlobCompressed, 4).named().body()},
		{"old timestamp", CodeColumnType, "mysql56_temporal_format", newMap().column(colTimestamp).named().body()},
		{"unknown type", CodeColumnType, "code 99", newMap().column(99).named().body()},
		{"charset", CodeCharset, "character set gbk", text(28).body()},
		{"unknown collation", CodeCharset, "collation id 99", text(99).body()},
		{"label", CodeCharset, "label 1", newMap().column(colString, colEnum, 1).named().field(metaLabelDefault, 45).field(metaEnumValues, 1, 1, 0xff).body()},
		{"labels missing", CodeMalformed, "0 labels", newMap().column(colString, colEnum, 1).named().field(metaLabelDefault, 45).body()},
		{"decimal", CodeColumnType, "", newMap().column(colDecimal, 66, 2).named().body()},
		{"names twice", CodeMalformed, "optional", newMap().column(colLong).named().named().body()},
		{"key", CodeMalformed, "optional", newMap().column(colLong).named().field(metaSimpleKey, 1).body()},
		{"no columns", CodeMalformed, "0 columns", newMap().body()},
	} {
		_, err := CompileTable(c.body, TableOptions{Flavor: event.MySQL, Charsets: Charsets{28: "gbk"}})
		if resilience.CodeOf(err) != c.code || resilience.ClassOf(err) != resilience.Fatal || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestExcludedColumnsAreSkipped(t *testing.T) {
	body := newMap().column(colGeometry, 4).column(colLong).column(colVarchar, 40, 0).named().field(metaDefaultCharset, 28).body()
	table, err := CompileTable(body, TableOptions{Flavor: event.MySQL, Excluded: func(db, table, column string) bool { return db == "d" && table == "t" && column != "c1" }})
	if err != nil {
		t.Fatal(err)
	}
	rows := []byte{3, 7, 0, 2, 0, 0, 0, 'g', 'g', 9, 0, 0, 0, 1, 'x', 5, 8, 0, 0, 0}
	raw := event.RawRows{Table: table, Op: event.Insert, Type: byte(TypeWriteRows), Body: rows}
	if raw.Rows, err = table.Layout.Count(raw.Type, rows); err != nil || raw.Rows != 2 {
		t.Fatal(raw.Rows, err)
	}
	var r event.RowReader
	next := int64(9)
	for c, err := range (&event.Piece{Events: []event.RawRows{raw}}).Rows(&r) {
		if err != nil || c.After[0].Kind != event.Absent || c.After[1].Num != next || c.After[2].Kind != event.Absent {
			t.Errorf("%v, %v", c, err)
		}
		next--
	}
}

// TestCollationsCountOtherTypes has one collation for each column that the
// server counts as text, as both servers were seen to write them.
func TestCollationsCountOtherTypes(t *testing.T) {
	for _, c := range []struct {
		flavor     event.Flavor
		body       *mapBuilder
		collations []byte
	}{
		{event.MySQL, newMap().column(colGeometry, 4).column(colVector, 4).column(colVarchar, 40, 0), []byte{63, 8}},
		{event.MariaDB, newMap().column(colGeometry, 4).column(colBlobCompressed, 2).column(colVarchar, 40, 0), []byte{63, 63, 8}},
		{event.MariaDB, newMap().column(colVarcharCompressed, 40, 0).column(colLong).column(colVarchar, 40, 0), []byte{63, 8}},
	} {
		table, err := CompileTable(c.body.named().field(metaColumnCharset, c.collations...).body(),
			TableOptions{Flavor: c.flavor, Excluded: func(_, _, column string) bool { return column != "c2" }})
		if err != nil || table.Columns[2].Charset != charsetLatin1 {
			t.Errorf("%s: %v, %v", c.flavor, table, err)
		}
	}
}

func TestCompiledColumns(t *testing.T) {
	b := newMap().column(colLong).column(colLongLong).column(colVarchar, 40, 0).column(colString, 0xfe, 200).column(colDecimal, 12, 3).column(colDateTime2, 4).column(colBit, 1, 2)
	b.named().field(metaSignedness, 0x60).field(metaDefaultCharset, 45, 1, 63).field(metaVisibility, 0xbe).field(metaPrefixKey, 2, 10, 0, 0)
	table, err := CompileTable(b.body(), TableOptions{Flavor: event.MySQL})
	if err != nil {
		t.Fatal(err)
	}
	want := []event.Column{
		{Name: "c0", Type: event.TypeInt},
		{Name: "c1", Type: event.TypeBigInt, Unsigned: true, Invisible: true},
		{Name: "c2", Type: event.TypeText, Length: 40, Charset: charsetUTF8MB4},
		{Name: "c3", Type: event.TypeBinary, Length: 200},
		{Name: "c4", Type: event.TypeDecimal, Unsigned: true, Precision: 12, Scale: 3},
		{Name: "c5", Type: event.TypeDateTime, Scale: 4},
		{Name: "c6", Type: event.TypeBit, Length: 17},
	}
	if !reflect.DeepEqual(table.Columns, want) || !reflect.DeepEqual(table.Key, []int{2, 0}) {
		t.Errorf("%+v key %v", table.Columns, table.Key)
	}
}

func TestRowsWithoutColumns(t *testing.T) {
	table, err := CompileTable(newMap().column(colLong).named().body(), TableOptions{Excluded: func(_, _, _ string) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Layout.Count(byte(TypeWriteRows), []byte{1, 0, 0}); resilience.CodeOf(err) != CodeMalformed {
		t.Error(err)
	}
}

func TestTruncatedTableMaps(t *testing.T) {
	body := newMap().column(colLong).column(colVarchar, 40, 0).column(colString, colEnum, 1).named().
		field(metaSignedness, 0x80).field(metaDefaultCharset, 45).field(metaLabelCharset, 45).field(metaEnumValues, 1, 1, 'a').field(metaPrefixKey, 1, 10).body()
	if _, err := CompileTable(body, TableOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range body {
		if _, err := CompileTable(body[:i], TableOptions{}); err != nil {
			mustBeClassified(t, err)
		}
	}
}

func TestRowRefusals(t *testing.T) {
	table, err := CompileTable(newMap().column(colLong).column(colVarchar, 40, 0).column(colDate).named().field(metaDefaultCharset, 45).body(), TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good := []byte{3, 7, 0, 1, 0, 0, 0, 1, 'a', 0x41, 0xd5, 0x0f}
	change := func(at int, b byte) []byte {
		c := bytes.Clone(good)
		c[at] = b
		return c
	}
	for _, c := range []struct {
		name  string
		typ   EventType
		body  []byte
		class resilience.Class
		code  string
	}{
		{"good", TypeWriteRows, good, 0, ""},
		{"cut", TypeWriteRows, good[:9], resilience.Fatal, CodeMalformed},
		{"more columns", TypeWriteRows, change(0, 4), resilience.Fatal, CodeMalformed},
		{"partial image", TypeWriteRows, change(1, 5), resilience.Fatal, CodePartialImage},
		{"partial JSON", TypePartialUpdateRows, good, resilience.Fatal, CodePartialJSON},
		{"compressed", TypeWriteRowsCompressed, good, resilience.Fatal, CodeMalformed},
		{"no rows event", TypeXID, good, resilience.Fatal, CodeMalformed},
		{"no text", TypeWriteRows, change(8, 0xff), resilience.Poison, CodeInvalidText},
		{"month 14", TypeWriteRows, change(9, 0xc1), resilience.Fatal, CodeMalformed},
		{"one image of two", TypeUpdateRows, append([]byte{3, 7, 7}, good[2:]...), resilience.Fatal, CodeMalformed},
	} {
		raw := event.RawRows{Table: table, Op: event.Insert, Type: byte(c.typ), Body: c.body}
		raw.Rows, err = table.Layout.Count(raw.Type, raw.Body)
		var r event.RowReader
		if err == nil {
			_, err = table.Layout.Next(&raw, 0, &r)
		}
		if resilience.CodeOf(err) != c.code || resilience.ClassOf(err) != c.class {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.code == CodeInvalidText && !strings.Contains(err.Error(), "d.t.c1") {
			t.Errorf("%s does not name the column: %v", c.name, err)
		}
	}
}

// sealed gives an event of the type its header and checksum.
func sealed(typ EventType, flags uint16, end uint32, body []byte) []byte {
	ev := make([]byte, HeaderSize, HeaderSize+len(body)+checksumSize)
	ev[4] = byte(typ)
	binary.LittleEndian.PutUint32(ev[9:], uint32(cap(ev)))
	binary.LittleEndian.PutUint32(ev[13:], end)
	binary.LittleEndian.PutUint16(ev[17:], flags)
	ev = append(ev, body...)
	return binary.LittleEndian.AppendUint32(ev, crc32.ChecksumIEEE(ev))
}

func TestChecksums(t *testing.T) {
	rotate := append(make([]byte, 8), "binlog.000002"...)
	for _, c := range []struct {
		name     string
		checksum bool
		ev       []byte
		body     int // -1: refused
	}{
		{"verified and cut", true, sealed(TypeXID, 0, 500, make([]byte, 8)), 8},
		{"damaged", true, append(sealed(TypeXID, 0, 500, make([]byte, 8))[:27], 1, 2, 3, 4), -1},
		{"none", false, sealed(TypeXID, 0, 500, make([]byte, 8)), 12},
		{"artificial rotate with one", false, sealed(TypeRotate, FlagArtificial, 0, rotate), len(rotate)},
		{"artificial rotate without", true, unsealed(sealed(TypeRotate, FlagArtificial, 0, rotate)), len(rotate)},
		{"real rotate", true, sealed(TypeRotate, 0, 900, rotate), len(rotate)},
		{"damaged rotate", true, unsealed(sealed(TypeRotate, 0, 900, rotate)), -1},
		{"heartbeat without", true, unsealed(sealed(TypeHeartbeat, 0, 900, rotate[8:])), len(rotate) - 8},
		{"too short for one", true, unsealed(sealed(TypeXID, 0, 1, nil)), -1},
	} {
		h, err := ParseHeader(c.ev)
		if err != nil {
			t.Fatal(err)
		}
		f := Format{Checksum: c.checksum}
		body, err := f.Body(h, c.ev)
		if c.body < 0 && resilience.CodeOf(err) != CodeChecksum || c.body >= 0 && (err != nil || len(body) != c.body) {
			t.Errorf("%s: %d bytes, %v", c.name, len(body), err)
		}
	}
}

// unsealed cuts the checksum off again.
func unsealed(ev []byte) []byte {
	ev = ev[:len(ev)-checksumSize]
	binary.LittleEndian.PutUint32(ev[9:], uint32(len(ev)))
	return ev
}

func TestHeartbeats(t *testing.T) {
	h, err := ParseHeartbeat(Header{Type: TypeHeartbeat, End: 77}, []byte("binlog.000001"))
	if err != nil || h != (Heartbeat{File: "binlog.000001", Offset: 77}) {
		t.Error(h, err)
	}
	v2 := append([]byte{1, 4}, "b.01\x02\x09\xfe\x00\x00\x00\x00\x02\x00\x00\x00\x00"...)
	h, err = ParseHeartbeat(Header{Type: TypeHeartbeatV2}, v2)
	if err != nil || h != (Heartbeat{File: "b.01", Offset: 2 << 32}) {
		t.Error(h, err)
	}
	for i := range len(v2) - 1 {
		if _, err := ParseHeartbeat(Header{Type: TypeHeartbeatV2}, v2[:i]); err == nil {
			t.Errorf("%d bytes are enough", i)
		}
	}
}

func TestIncident(t *testing.T) {
	if reason, err := ParseIncident(append([]byte{1, 0, 4}, "lost"...)); reason != "lost" || err != nil {
		t.Error(reason, err)
	}
	if _, err := ParseIncident([]byte{1, 0, 9, 'x'}); resilience.CodeOf(err) != CodeMalformed {
		t.Error(err)
	}
}

// TestTaggedGTIDOfALaterServer reads a message with an original commit time, a
// group ticket, and a field that is not known here but may be ignored.
func TestTaggedGTIDOfALaterServer(t *testing.T) {
	body := []byte{0, 200, 1, 0, 0, 0, 2}
	for i := range 16 {
		body = append(body, byte(i)<<1)
	}
	body = append(body, 4, 14<<1<<1, 6, 1<<1, 'x', 8, 1<<2, 10, 2<<2)
	body = append(body, 12, 100<<1, 14, 90<<1, 16, 5<<1, 18, 0, 22, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 24, 1, 2, 3)
	g, err := ParseGTID(TypeTaggedGTID, body)
	if err != nil || g.GTID.N != 14 || g.GTID.Tag != "x" || g.GTID.SID[15] != 15 || g.Immediate != 100 || g.Original != 90 || g.Length != 5 {
		t.Errorf("%+v, %v", g, err)
	}
}
