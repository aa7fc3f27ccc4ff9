package binlog

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cdcd-io/cdcd/event"
)

// benchTable builds a rows event of n rows by hand: two integers, two strings,
// DECIMAL(12,2), DATETIME(6), TIMESTAMP, TINYINT, DOUBLE and BLOB.
func benchTable(t testing.TB, n int) *event.Piece {
	t.Helper()
	types := []byte{colLongLong, colLong, colVarchar, colVarchar, colDecimal, colDateTime2, colTimestamp2, colTiny, colDouble, colBlob}
	meta := []byte{0x90, 0x01, 0x90, 0x01, 12, 2, 6, 0, 8, 2}
	body := []byte{1, 0, 0, 0, 0, 0, 1, 0, 4, 's', 'h', 'o', 'p', 0, 6, 'o', 'r', 'd', 'e', 'r', 's', 0}
	body = append(append(body, byte(len(types))), types...)
	body = append(append(body, byte(len(meta))), meta...)
	body = append(body, 0xfe, 0x03)
	body = append(body, metaColumnCharset, 7, 0xfc, 0xff, 0x00, 0xfc, 0xff, 0x00, 63)
	var names []byte
	for i := range types {
		names = append(names, 2, 'c', byte('0'+i))
	}
	body = append(append(body, metaColumnName, byte(len(names))), names...)
	body = append(body, metaSimpleKey, 1, 0)
	table, err := CompileTable(body, TableOptions{Flavor: event.MySQL})
	if err != nil {
		t.Fatal(err)
	}
	rows := []byte{byte(len(types)), 0xff, 0x03}
	for i := range n {
		rows = append(rows, 0, 0)
		rows = binary.LittleEndian.AppendUint64(rows, uint64(i))
		rows = binary.LittleEndian.AppendUint32(rows, uint32(i*7))
		rows = append(append(rows, 24, 0), "customer-name-of-24-byte"...)
		rows = append(append(rows, 12, 0), "a short one "...)
		rows = append(rows, 0x80, 0, 0, 0x30, 0x39, 0x2b)
		rows = append(rows, 0x99, 0xb9, 0x44, 0x51, 0x45, 0x01, 0xe2, 0x40)
		rows = binary.BigEndian.AppendUint32(rows, 1772600767)
		rows = append(rows, 3)
		rows = binary.LittleEndian.AppendUint64(rows, 0x400921fb54442d18)
		rows = append(append(rows, 16, 0), "0123456789abcdef"...)
	}
	raw := event.RawRows{Table: table, Op: event.Insert, Type: byte(TypeWriteRows), Body: rows}
	if raw.Rows, err = table.Layout.Count(raw.Type, raw.Body); err != nil || raw.Rows != uint32(n) {
		t.Fatal(raw.Rows, err)
	}
	return &event.Piece{Events: []event.RawRows{raw}, Bytes: len(rows)}
}

// BenchmarkDecodeRow is the cost of one row of ten columns.
func BenchmarkDecodeRow(b *testing.B) {
	const rows = 100
	pieces := []*event.Piece{benchTable(b, rows)}
	var r event.RowReader
	b.SetBytes(int64(pieces[0].Bytes / rows))
	b.ReportAllocs()
	for i := 0; i < b.N; i += rows {
		drain(b, pieces, &r)
	}
}

// BenchmarkCountRow is the cost of walking over one row of ten columns.
func BenchmarkCountRow(b *testing.B) {
	const rows = 100
	pieces := []*event.Piece{benchTable(b, rows)}
	for i := 0; i < b.N; i += rows {
		countAll(b, pieces)
	}
}

// BenchmarkDecodeColumn is the cost of one value, by column type.
func BenchmarkDecodeColumn(b *testing.B) {
	var r event.RowReader
	seen := map[string]bool{}
	for _, p := range recordedPieces(b, "mysql") {
		raw := &p.Events[0]
		c := raw.Table.Columns[1]
		name := fmt.Sprintf("type%d-%s-%d-%d", c.Type, c.Charset, c.Precision, c.Scale)
		if raw.Op != event.Insert || seen[name] || len(raw.Body) > 4000 {
			continue
		}
		seen[name] = true
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i += int(raw.Rows) {
				drain(b, []*event.Piece{p}, &r)
			}
		})
	}
}

func BenchmarkCompileTable(b *testing.B) {
	_, events := splitLog(b, gunzipped(b, matrixPath("mysql.binlog.gz")))
	for _, e := range events {
		if e.Type != TypeTableMap {
			continue
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := CompileTable(e.body, TableOptions{Flavor: event.MySQL}); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
}
