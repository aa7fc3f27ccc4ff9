package debezium

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

func order(id int64, note string) values { return values{eventtest.Int(id), eventtest.Text(note)} }

func TestOneRecordOfEachKind(t *testing.T) {
	e := configured(t, func(c *Config) { c.TransactionMetadata = true })
	e.now = func() time.Time { return time.Unix(1767225700, 123456789) }
	table := eventtest.Orders()
	tx := eventtest.Tx(4)
	out := encode(t, e, eventtest.Piece(tx, eventtest.Insert(table, order(1, "a")...), eventtest.Delete(table, order(2, "b")...)))
	source := func(op, pos, n string) string {
		return `"source":{"version":"cdcd","connector":"mysql","name":"prod","ts_ms":1767225604123,"snapshot":"false","db":"shop","sequence":null,` +
			`"ts_us":1767225604123456,"ts_ns":1767225604123456000,"table":"orders","server_id":31,` +
			`"gtid":"3e11fa47-71ca-11e1-9e33-c80aa9429562:4","file":"binlog.000007","pos":` + pos + `,"row":0,"thread":18,"query":null},` +
			`"transaction":{"id":"3e11fa47-71ca-11e1-9e33-c80aa9429562:4","total_order":` + n + `,"data_collection_order":` + n + `},"op":"` + op +
			`","ts_ms":1767225700123,"ts_us":1767225700123456,"ts_ns":1767225700123456789}`
	}
	want := []string{
		`prod.transaction {"id":"3e11fa47-71ca-11e1-9e33-c80aa9429562:4"} {"status":"BEGIN","id":"3e11fa47-71ca-11e1-9e33-c80aa9429562:4","event_count":null,"data_collections":null,"ts_ms":1767225604123}`,
		`prod.shop.orders {"id":1} {"before":null,"after":{"id":1,"note":"a"},` + source("c", "4100", "1"),
		`prod.shop.orders {"id":2} {"before":{"id":2,"note":"b"},"after":null,` + source("d", "4123", "2"),
		`prod.shop.orders {"id":2} null`,
		`prod.transaction {"id":"3e11fa47-71ca-11e1-9e33-c80aa9429562:4"} {"status":"END","id":"3e11fa47-71ca-11e1-9e33-c80aa9429562:4","event_count":2,"data_collections":[{"data_collection":"shop.orders","event_count":2}],"ts_ms":1767225604123}`,
	}
	for i, r := range out.records {
		if got := r.id() + " " + text(r.Value); got != want[i] {
			t.Errorf("got  %s\nwant %s", got, want[i])
		}
	}
	if out.full[1].Millis != 1767225604123 {
		t.Errorf("record time %d", out.full[1].Millis)
	}
}

// numbering is what places a record in its transaction.
func numbering(out *collector) (all [][3]uint64) {
	for _, r := range out.full {
		all = append(all, [3]uint64{r.Ordinal, uint64(r.Part), uint64(r.Parts)})
	}
	return all
}

func TestNumbersOfRecords(t *testing.T) {
	table := eventtest.Orders()
	rows := []eventtest.Row{
		eventtest.Insert(table, order(1, "a")...),
		eventtest.Delete(table, order(2, "b")...),
		eventtest.Update(table, order(3, "c"), order(3, "d")),
		eventtest.Update(table, order(4, "e"), order(5, "e")),
	}
	with := [][3]uint64{{0, 0, 0}, {1, 1, 1}, {2, 1, 2}, {2, 2, 2}, {3, 1, 1}, {4, 1, 3}, {4, 2, 3}, {4, 3, 3}, {0, 0, 0}}
	without := [][3]uint64{{1, 1, 1}, {2, 1, 1}, {3, 1, 1}, {4, 1, 2}, {4, 2, 2}}
	for perPiece := 1; perPiece <= 4; perPiece++ {
		e := configured(t, func(c *Config) { c.TransactionMetadata = true })
		if got := numbering(encode(t, e, eventtest.Pieces(eventtest.Tx(1), perPiece, rows...)...)); !slices.Equal(got, with) {
			t.Errorf("%d rows a piece: got %v, want %v", perPiece, got, with)
		}
		e = configured(t, func(c *Config) { c.Tombstones = false })
		if got := numbering(encode(t, e, eventtest.Pieces(eventtest.Tx(1), perPiece, rows...)...)); !slices.Equal(got, without) {
			t.Errorf("no tombstones, %d rows a piece: got %v, want %v", perPiece, got, without)
		}
	}
}

// TestPiecesAreRenderedAlone renders the pieces by encoders of their own, last
// piece first.
func TestPiecesAreRenderedAlone(t *testing.T) {
	table := eventtest.Orders()
	var rows []eventtest.Row
	for i := range int64(20) {
		rows = append(rows, eventtest.Insert(table, order(i, "x")...))
	}
	now := func() time.Time { return time.Unix(1, 0) }
	e := configured(t, func(c *Config) { c.TransactionMetadata = true })
	e.now = now
	tx := eventtest.Tx(1)
	pieces := eventtest.Pieces(tx, 7, rows...)
	want := encode(t, e, pieces...).records
	var got []captured
	slices.Reverse(pieces)
	for _, p := range pieces {
		alone := configured(t, func(c *Config) { c.TransactionMetadata = true })
		alone.now = now
		got = append(encode(t, alone, p).records, got...)
	}
	for i := range want {
		if got[i].id() != want[i].id() || text(got[i].Value) != text(want[i].Value) {
			t.Errorf("got %s, want %s", text(got[i].Value), text(want[i].Value))
		}
	}
}

func TestNothingForTransactionsWithoutRows(t *testing.T) {
	e := configured(t, func(c *Config) { c.TransactionMetadata = true })
	tx := eventtest.Tx(1)
	tx.DDL = &event.DDL{Kind: event.DDLAlter, SQL: "ALTER TABLE orders ADD x INT"}
	if out := encode(t, e, eventtest.Piece(eventtest.Tx(2)), eventtest.Piece(tx)); len(out.records) != 0 {
		t.Errorf("got %v", out.records)
	}
}

func truncation(kind event.DDLKind, tables ...event.DDLTable) *event.Piece {
	tx := eventtest.Tx(9)
	tx.DDL = &event.DDL{Kind: kind, SQL: "TRUNCATE TABLE orders", Tables: tables}
	return eventtest.Piece(tx)
}

func TestTruncate(t *testing.T) {
	orders := event.DDLTable{Database: "shop", Name: "orders", Table: eventtest.Orders()}
	never := event.DDLTable{Database: "shop", Name: "never seen"}
	for _, kind := range []event.DDLKind{event.DDLTruncate, event.DDLDrop} {
		out := encode(t, configured(t, func(c *Config) { c.Schemas = true }), truncation(kind, orders, never))
		if len(out.records) != 2 || out.records[0].Topic != "prod.shop.orders" || out.records[1].Topic != "prod.shop.never_seen" {
			t.Fatalf("got %v", out.records)
		}
		for i, r := range out.full {
			v := text(out.records[i].Value)
			if !r.Broadcast || out.records[i].Key != nil || r.Part != uint16(i+1) || r.Parts != 2 ||
				!strings.Contains(v, `"payload":{"before":null,"after":null,`) || !strings.Contains(v, `"thread":null,"query":null},"transaction":null,"op":"t"`) {
				t.Errorf("got %+v %s", r, v)
			}
		}
	}
	if out := encode(t, configured(t, func(c *Config) { c.Truncate = "skip" }), truncation(event.DDLTruncate, orders)); len(out.records) != 0 {
		t.Errorf("skip: got %v", out.records)
	}
	stop := configured(t, func(c *Config) { c.Truncate = "stop" })
	err := stop.Encode(truncation(event.DDLTruncate, orders), new(collector))
	if resilience.ClassOf(err) != resilience.Fatal || resilience.CodeOf(err) != "table_truncated" {
		t.Errorf("stop: got %v", err)
	}
}

func TestTablesReadAgainBeginWithTruncate(t *testing.T) {
	reread := func(gap bool) *event.Piece {
		p := truncation(event.DDLTruncate, event.DDLTable{Database: "shop", Name: "orders"})
		p.Tx.DDL.Reread, p.Tx.DDL.Gap = true, gap
		return p
	}
	for _, policy := range []string{"event", "stop"} {
		out := encode(t, configured(t, func(c *Config) { c.Truncate = policy }), reread(true), reread(false), truncation(event.DDLAlter))
		if len(out.records) != 2 || !slices.Equal(out.records[0].Headers, []string{"cdcd.gap", "true"}) || len(out.records[1].Headers) != 0 {
			t.Errorf("%s: got %v", policy, out.records)
		}
	}
	skip := configured(t, func(c *Config) { c.Truncate = "skip" })
	if out := encode(t, skip, reread(false)); len(out.records) != 0 {
		t.Errorf("skip: got %v", out.records)
	}
	if err := skip.Encode(reread(true), new(collector)); resilience.CodeOf(err) != "gap_needs_truncate" {
		t.Errorf("skip behind a gap: got %v", err)
	}
}

// TestRowsOfASnapshot: whole records, as the pipeline makes them of a chunk: no
// event of the log holds the rows, so they have the place where they joined the
// stream, the time of that, and neither GTID, server, thread nor transaction.
func TestRowsOfASnapshot(t *testing.T) {
	tx := eventtest.Tx(1)
	tx.Begin.Offset = tx.End.Offset
	tx.Silent, tx.End.GTID, tx.Thread, tx.ServerID, tx.Key = true, event.GTID{}, 0, 0, "snapshot:shop.orders:1:7"
	piece := eventtest.Piece(tx, eventtest.Read(eventtest.Orders(), order(1, "a")...), eventtest.Read(eventtest.Orders(), order(2, "b")...))
	for i := range piece.Events {
		piece.Events[i].Pos, piece.Events[i].Time = 0, 0
	}
	var b strings.Builder
	for _, set := range []func(*Config){plain, func(c *Config) { c.TransactionMetadata = true }} {
		e := configured(t, set)
		e.now = func() time.Time { return time.Unix(1767225700, 123456789) }
		for _, r := range encode(t, e, piece).records {
			b.WriteString(r.id() + " " + text(r.Value) + "\n")
		}
	}
	compareGolden(t, "testdata/golden/snapshot.txt", b.String())
}

func TestFaults(t *testing.T) {
	date := eventtest.Table("shop", "days", []string{"day"}, eventtest.Col("day", event.TypeDate), column("e", event.TypeEnum, labels("a")))
	orders, price := eventtest.Orders(), eventtest.Table("shop", "prices", nil, column("p", event.TypeDecimal, decimal(65, 30)))
	null, absent, zero := eventtest.Null(), eventtest.Absent(), eventtest.Date(0, 0, 0)
	day := eventtest.Date(2026, 1, 1)
	for _, c := range []struct {
		code string
		set  func(*Config)
		row  eventtest.Row
	}{
		{"partial_row_image", plain, eventtest.Insert(orders, eventtest.Int(1), absent)},
		{"partial_row_image", plain, eventtest.Delete(orders, absent, null)},
		{"unexpected_null", plain, eventtest.Insert(orders, null, null)},
		{"unexpected_value", plain, eventtest.Insert(orders, eventtest.Text("1"), null)},
		{"unexpected_value", plain, eventtest.Insert(price, eventtest.Decimal(1, 2))},
		{"unexpected_value", func(c *Config) { c.Decimal = "string" }, eventtest.Insert(price, eventtest.Decimal(1, 30))},
		{"unexpected_value", plain, eventtest.Insert(price, eventtest.BigDecimal("1e5"))},
		{"invalid_utf8", plain, eventtest.Insert(orders, eventtest.Int(1), eventtest.Text("\xff"))},
		{"invalid_utf8", plain, eventtest.Update(orders, order(1, "\xff"), order(1, "x"))},
		{"invalid_utf8", plain, eventtest.Update(orders, order(1, "x"), order(2, "\xff"))},
		{"unknown_label", plain, eventtest.Insert(date, day, eventtest.Enum(2))},
		{"invalid_date_in_key", plain, eventtest.Insert(date, zero, null)},
		{"invalid_date", func(c *Config) { c.InvalidDates = "error" }, eventtest.Delete(date, zero, null)},
	} {
		e := configured(t, c.set)
		err := e.Encode(eventtest.Piece(eventtest.Tx(1), c.row), new(collector))
		if resilience.ClassOf(err) != resilience.Poison || resilience.CodeOf(err) != c.code {
			t.Errorf("%s: got %v", c.code, err)
			continue
		}
		if s := err.Error(); !strings.Contains(s, "shop."+c.row.Table.Name) || !strings.Contains(s, "column ") || !strings.Contains(s, "binlog.000007:1100") {
			t.Errorf("%s: no place in %q", c.code, s)
		}
	}
}

func TestTablesWithoutForm(t *testing.T) {
	point := eventtest.Table("shop", "points", nil, eventtest.Col("p", event.TypeUnknown))
	hidden := eventtest.Table("shop", "hidden", []string{"id"}, column("id", event.TypeInt, excluded))
	for table, code := range map[*event.Table]string{point: "unsupported_column_type", hidden: "key_column_excluded"} {
		err := configured(t, plain).Encode(eventtest.Piece(eventtest.Tx(1), eventtest.Insert(table, eventtest.Absent())), new(collector))
		if resilience.ClassOf(err) != resilience.Fatal || resilience.CodeOf(err) != code {
			t.Errorf("%s: got %v", code, err)
		}
	}
}

func TestInvalidDatesAreCounted(t *testing.T) {
	table := eventtest.Table("shop", "days", nil, eventtest.Col("d", event.TypeDate), eventtest.Col("t", event.TypeTimestamp))
	e := configured(t, plain)
	row := values{eventtest.Date(2026, 2, 30), eventtest.Timestamp(0)}
	encode(t, e, eventtest.Piece(eventtest.Tx(1), eventtest.Insert(table, row...), eventtest.Update(table, row, row)))
	if n := e.stats.InvalidDates.Load(); n != 6 {
		t.Errorf("counted %d, want 6", n)
	}
}

func TestEmitErrorEndsThePiece(t *testing.T) {
	e := configured(t, func(c *Config) { c.TransactionMetadata = true })
	table := eventtest.Orders()
	p := eventtest.Piece(eventtest.Tx(1), eventtest.Update(table, order(1, "a"), order(2, "a")), eventtest.Delete(table, order(1, "a")...))
	whole := encode(t, e, p)
	for n := range whole.records {
		out := &failing{after: n}
		if err := e.Encode(p, out); err != errFull || out.seen != n+1 {
			t.Errorf("after %d records: %d seen, error %v", n, out.seen, err)
		}
	}
}

type failing struct{ after, seen int }

var errFull = resilience.Errorf(resilience.Transient, "full", "emit", "no room")

func (f *failing) Emit(*format.Record) error {
	if f.seen++; f.seen > f.after {
		return errFull
	}
	return nil
}

func TestProgramsAreBounded(t *testing.T) {
	e := configured(t, plain)
	kept := eventtest.Orders()
	for range 5 * cacheSize {
		encode(t, e, eventtest.Piece(eventtest.Tx(1), eventtest.Insert(kept, order(1, "a")...)),
			eventtest.Piece(eventtest.Tx(2), eventtest.Insert(eventtest.Orders(), order(1, "a")...)))
		if n := len(e.programs.fresh) + len(e.programs.old); n > 2*cacheSize {
			t.Fatalf("%d programs are kept", n)
		}
		if e.programs.get(kept) == nil {
			t.Fatal("a table in use was dropped")
		}
	}
}

func TestHugeRowsLeaveNoMemoryBehind(t *testing.T) {
	e := configured(t, plain)
	encode(t, e, eventtest.Piece(eventtest.Tx(1), eventtest.Insert(eventtest.Orders(), order(1, strings.Repeat("x", 2*keepBytes))...)))
	if cap(e.value) > keepBytes {
		t.Errorf("%d bytes are kept", cap(e.value))
	}
}

func TestNoAllocationPerRow(t *testing.T) {
	every := everyType()
	for name, set := range map[string]func(*Config){
		"plain":        plain,
		"schemas":      func(c *Config) { c.Schemas = true },
		"transactions": func(c *Config) { c.TransactionMetadata = true },
		"other modes": func(c *Config) {
			c.Decimal, c.BigintUnsigned, c.Binary, c.InvalidDates = "double", "precise", "hex", "text"
		},
	} {
		few, many := allocations(t, configured(t, set), every, 1), allocations(t, configured(t, set), every, 400)
		if many > few {
			t.Errorf("%s: %v allocations for 3 rows, %v for 1200", name, few, many)
		}
	}
}

func allocations(t *testing.T, e *Encoder, rows []eventtest.Row, times int) float64 {
	t.Helper()
	var all []eventtest.Row
	for range times {
		all = append(all, rows...)
	}
	p, out := eventtest.Piece(eventtest.Tx(1), all...), &counter{}
	return testing.AllocsPerRun(5, func() {
		if err := e.Encode(p, out); err != nil {
			t.Fatal(err)
		}
	})
}

// everyType are an insert, a key change and a delete in a table with all types.
func everyType() []eventtest.Row {
	columns := []event.Column{eventtest.Col("id", event.TypeInt)}
	row := values{eventtest.Int(1)}
	add := func(t *event.Table, v values) {
		for i := range t.Columns[1:] {
			c := t.Columns[i+1]
			c.Name = t.Name + c.Name
			columns, row = append(columns, c), append(row, v[i+1])
		}
	}
	add(shop("ints", nil, intColumns()...), fullInts(1, 2))
	add(numbersTable(), numbers()[0])
	add(timesTable(), times()[0])
	add(shop("bad", nil, timesTable().Columns...), times()[3])
	add(textsTable(), texts()[0])
	add(othersTable(), others()[0])
	table := eventtest.Table("shop", "every", idKey, columns...)
	other := append(values{eventtest.Int(2)}, row[1:]...)
	return []eventtest.Row{eventtest.Insert(table, row...), eventtest.Update(table, row, other), eventtest.Delete(table, other...)}
}

// TestTheRestOfATransactionIsAsInTheWhole: where an earlier line has delivered
// the first rows, the others are rendered as if it had not, wherever the cut
// lies, and BEGIN does not come again.
func TestTheRestOfATransactionIsAsInTheWhole(t *testing.T) {
	table, other := eventtest.Orders(), eventtest.Table("shop", "other", []string{"id"}, eventtest.Col("id", event.TypeBigInt))
	var rows []eventtest.Row
	for i := range int64(6) {
		rows = append(rows, eventtest.Insert(table, order(i, "x")...), eventtest.Insert(table, order(10+i, "x")...),
			eventtest.Update(table, order(i, "x"), order(i+100, "y")), eventtest.Insert(other, eventtest.Int(i)))
	}
	render := func(done uint64, perPiece int) *collector {
		e := configured(t, func(c *Config) { c.TransactionMetadata = true })
		e.now = func() time.Time { return time.Unix(1, 0) }
		pieces := eventtest.Pieces(eventtest.Tx(1), perPiece, rows...)
		pieces[0].Tx.Done, pieces[0].First = done, done == 0
		return encode(t, e, pieces...)
	}
	for _, perPiece := range []int{5, 1000} {
		whole := render(0, perPiece)
		for done := uint64(1); done <= uint64(len(rows)); done++ {
			from := slices.IndexFunc(whole.full, func(r format.Record) bool { return r.Ordinal > done })
			if from < 0 {
				from = len(whole.full) - 1 // END
			}
			if got, want := show(render(done, perPiece).records), show(whole.records[from:]); got != want {
				t.Fatalf("%d rows done, %d a piece: got\n%s\nwant\n%s", done, perPiece, got, want)
			}
		}
	}
}

// narrow is an emitter with room for values of so many bytes.
type narrow struct {
	collector
	room int
}

func (n *narrow) Emit(r *format.Record) error {
	if len(r.Value) > n.room && r.Oversize == 0 {
		return &format.Oversize{Bytes: len(r.Value), Err: resilience.Errorf(resilience.Poison, "no_room", "emit", "%d bytes", len(r.Value))}
	}
	return n.collector.Emit(r)
}

// TestRowsWithoutRoomComeWithTheirKeyOnly: the records around them are as ever,
// their own too but for the columns that are not in the key.
func TestRowsWithoutRoomComeWithTheirKeyOnly(t *testing.T) {
	table := eventtest.Table("shop", "notes", []string{"n", "shop"}, eventtest.Col("shop", event.TypeInt),
		eventtest.Col("note", event.TypeText), eventtest.Col("n", event.TypeInt))
	huge := strings.Repeat("x", 5000)
	row := func(shop, n int64, note string) values {
		return values{eventtest.Int(shop), eventtest.Text(note), eventtest.Int(n)}
	}
	out := &narrow{room: 2000}
	e := configured(t, plain)
	piece := eventtest.Piece(eventtest.Tx(1),
		eventtest.Insert(table, row(1, 2, "small")...), eventtest.Insert(table, row(3, 4, huge)...),
		eventtest.Update(table, row(1, 2, "small"), row(5, 6, huge)), eventtest.Delete(table, row(3, 4, huge)...),
		eventtest.Insert(table, row(7, 8, "small")...))
	if err := e.Encode(piece, out); err != nil {
		t.Fatal(err)
	}
	want := []struct {
		key, before, after string
		oversize           bool
	}{
		{`{"n":2,"shop":1}`, `null`, `{"shop":1,"note":"small","n":2}`, false},
		{`{"n":4,"shop":3}`, `null`, `{"shop":3,"n":4}`, true},
		{`{"n":2,"shop":1}`, `{"shop":1,"note":"small","n":2}`, `null`, false},
		{`{"n":2,"shop":1}`, ``, ``, false},
		{`{"n":6,"shop":5}`, `null`, `{"shop":5,"n":6}`, true},
		{`{"n":4,"shop":3}`, `{"shop":3,"n":4}`, `null`, true},
		{`{"n":4,"shop":3}`, ``, ``, false},
		{`{"n":8,"shop":7}`, `null`, `{"shop":7,"note":"small","n":8}`, false},
	}
	if len(out.records) != len(want) {
		t.Fatalf("%d records, want %d:\n%s", len(out.records), len(want), show(out.records))
	}
	for i, w := range want {
		r, size := out.records[i], out.full[i].Oversize
		images := ""
		if w.before != "" {
			images = `{"before":` + w.before + `,"after":` + w.after + `,"source":{`
		}
		if text(r.Key) != w.key || r.Value != nil && !strings.HasPrefix(*r.Value, images) || (r.Value == nil) != (images == "") {
			t.Errorf("record %d is %s, want %s %s", i, show(out.records[i:i+1]), w.key, images)
		}
		if (size > 5000) != w.oversize || size != 0 && !w.oversize {
			t.Errorf("record %d: oversize is %d", i, size)
		}
	}
	if h := out.records[4].Headers; !slices.Equal(h, []string{"__debezium.oldkey", `{"n":2,"shop":1}`}) {
		t.Errorf("headers of a key change: %v", h)
	}
}

// TestRowsThatHaveNoSmallerForm end the piece with the emitter's error.
func TestRowsThatHaveNoSmallerForm(t *testing.T) {
	keyless := eventtest.Table("shop", "log", nil, eventtest.Col("line", event.TypeText))
	huge := eventtest.Text(strings.Repeat("x", 5000))
	for name, tt := range map[string]struct {
		e   *Encoder
		row eventtest.Row
	}{
		"no key":  {configured(t, plain), eventtest.Insert(keyless, huge)},
		"schemas": {configured(t, func(c *Config) { c.Schemas = true }), eventtest.Insert(eventtest.Orders(), eventtest.Int(1), huge)},
	} {
		err := tt.e.Encode(eventtest.Piece(eventtest.Tx(1), tt.row), &narrow{room: 2000})
		if resilience.CodeOf(err) != "no_room" || resilience.ClassOf(err) != resilience.Poison {
			t.Errorf("%s: %v", name, err)
		}
	}
}
