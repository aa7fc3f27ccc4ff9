package debezium

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
)

// counter is an Emitter that keeps nothing.
type counter struct {
	records int
	bytes   int64
}

func (c *counter) Emit(r *format.Record) error {
	c.records++
	c.bytes += int64(len(r.Key) + len(r.Value))
	return nil
}

// tenColumns is a usual table; its rows are usual rows.
func tenColumns() (*event.Table, []event.Value, []event.Value) {
	col, val := eventtest.Col, eventtest.Int
	price, made, seen, state := col("price", event.TypeDecimal), col("made", event.TypeDateTime), col("seen", event.TypeTimestamp), col("state", event.TypeEnum)
	price.Precision, price.Scale, made.Scale, seen.Scale, state.Labels = 10, 2, 3, 6, []string{"new", "paid", "sent"}
	t := eventtest.Table("shop", "orders", []string{"id"},
		col("id", event.TypeBigInt), col("customer", event.TypeInt), price, made, seen, state,
		col("weight", event.TypeDouble), col("note", event.TypeText), col("address", event.TypeText), col("born", event.TypeDate))
	before := []event.Value{val(1234567), val(4711), eventtest.Decimal(1234567, 2), eventtest.DateTime(2026, 3, 4, 5, 6, 7, 890000),
		eventtest.Timestamp(1772600767123456), eventtest.Enum(1), eventtest.Double(12.75), eventtest.Text("leave it at the door, please"),
		eventtest.Text("Lange Straße 12, 10243 Berlin"), eventtest.Date(1980, 2, 29)}
	after := append([]event.Value(nil), before...)
	after[5] = eventtest.Enum(2)
	return t, before, after
}

// ready serves one row again and again, so that a benchmark shows the encoder
// and not the stand-in for the decoder.
type ready struct{ before, after []event.Value }

func (l ready) Count(byte, []byte) (uint32, error) { return 1, nil }

func (l ready) Next(raw *event.RawRows, off int, r *event.RowReader) (int, error) {
	r.Change.Before, r.Change.After = l.before, l.after
	return off, nil
}

func readyPiece(rows uint32) *event.Piece {
	t, before, after := tenColumns()
	t.Layout = ready{before, after}
	tx := eventtest.Tx(42)
	tx.Rows, tx.Tables = uint64(rows), []event.TableCount{{Database: "shop", Table: "orders", Rows: uint64(rows)}}
	return &event.Piece{Tx: tx, First: true, Last: true, Events: []event.RawRows{{Table: t, Op: event.Update, Rows: rows, Pos: 5000}}}
}

func benchmarkRows(b *testing.B, set func(*Config), perTx uint32) {
	cfg := DefaultConfig()
	set(&cfg)
	e := New(cfg, Deps{Source: "prod", Flavor: event.MySQL, Routes: new(format.Routes)})
	p, out := readyPiece(perTx), &counter{}
	b.ReportAllocs()
	for n := 0; n < b.N; n += int(perTx) {
		if err := e.Encode(p, out); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(out.bytes / int64(out.records))
}

func BenchmarkUpdateTenColumns(b *testing.B) { benchmarkRows(b, func(*Config) {}, 1000) }

func BenchmarkUpdateWithSchemas(b *testing.B) {
	benchmarkRows(b, func(c *Config) { c.Schemas = true }, 1000)
}

func BenchmarkUpdateWithTransactions(b *testing.B) {
	benchmarkRows(b, func(c *Config) { c.TransactionMetadata = true }, 1000)
}

func BenchmarkTinyTransactions(b *testing.B) { benchmarkRows(b, func(*Config) {}, 1) }
