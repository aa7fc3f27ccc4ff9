package binlog

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
)

// FuzzEvent wants of any bytes a reading or a classified error.
func FuzzEvent(f *testing.F) {
	for _, flavor := range testenv.Flavors {
		_, events := splitLog(f, gunzipped(f, filepath.Join("testdata", "story_"+flavor.String()+".binlog.gz")))
		var tableMap []byte
		for _, e := range events {
			if e.Type == TypeTableMap {
				tableMap = e.body
			}
			body := e.body
			if e.Type == TypeFormat {
				body = e.raw
			}
			f.Add(uint8(flavorOf(mustFormat(f, events[0].raw))), tableMap, uint8(e.Type), body)
		}
	}
	f.Fuzz(func(t *testing.T, flavor uint8, tableMap []byte, typ uint8, body []byte) {
		s := storyReader{t: t, options: TableOptions{Flavor: event.Flavor(flavor)}, tables: map[uint64]*event.Table{}}
		if _, err := s.table(tableMap); err != nil {
			mustBeClassified(t, err)
		}
		if typ == uint8(TypePayload) {
			return // the reader of stories wants those whole; see FuzzPayload
		}
		if _, err := s.describe(logEvent{Header: Header{Type: EventType(typ)}, raw: body, body: body}); err != nil {
			mustBeClassified(t, err)
		}
	})
}

func mustFormat(t testing.TB, raw []byte) *Format {
	t.Helper()
	f, err := ParseFormat(raw)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustBeClassified(t testing.TB, err error) {
	t.Helper()
	if c := resilience.ClassOf(err); c != resilience.Fatal && c != resilience.Poison || resilience.CodeOf(err) == "" {
		t.Errorf("%s error with code %q: %v", c, resilience.CodeOf(err), err)
	}
}

// fuzzTable is a table of the recorded matrix, for us and for go-mysql.
type fuzzTable struct {
	table  *event.Table
	parser *replication.BinlogParser
	header []byte // of a rows event, up to the column count
}

// matrixTables are the tables of the record and one rows event of each kind.
func matrixTables(f *testing.F, name string) (list []fuzzTable) {
	_, events := splitLog(f, gunzipped(f, matrixPath(name+".binlog.gz")))
	format := mustFormat(f, events[0].raw)
	for i, e := range events {
		if e.Type != TypeTableMap {
			continue
		}
		table, err := CompileTable(e.body, TableOptions{Flavor: flavorOf(format)})
		if err != nil {
			f.Fatal(err)
		}
		rows := events[i+1]
		parsed, err := ParseRows(rows.Type, rows.body)
		if err != nil {
			f.Fatal(err)
		}
		o := newOracle(f, format, events[0].raw)
		o.parser.SetVerifyChecksum(false)
		o.parse(f, e.raw)
		list = append(list, fuzzTable{table: table, parser: o.parser, header: rows.raw[:HeaderSize+len(rows.body)-len(parsed.Body)]})
		if len(parsed.Body) < 5000 {
			f.Add(uint16(len(list)-1), parsed.Body)
		}
	}
	return list
}

// FuzzRows decodes any bytes as rows of each table of the matrix. What we
// accept go-mysql must accept, with the same values.
func FuzzRows(f *testing.F) {
	tables := matrixTables(f, "mysql")
	f.Fuzz(func(t *testing.T, n uint16, body []byte) {
		table := tables[int(n)%len(tables)]
		raw := event.RawRows{Table: table.table, Type: table.header[4], Op: rowsOp(EventType(table.header[4])), Body: body}
		var err error
		if raw.Rows, err = table.table.Layout.Count(raw.Type, body); err != nil {
			mustBeClassified(t, err)
			return
		}
		theirs, theirErr := parseRows(table, body)
		var reader event.RowReader
		o := oracle{}
		image := 0
		p := event.Piece{Events: []event.RawRows{raw}}
		for c, err := range p.Rows(&reader) {
			if err != nil {
				mustBeClassified(t, err)
				return
			}
			if theirErr == nil {
				image = o.compare(t, c, theirs, image)
			}
		}
		if theirErr != nil && table.table.Columns[1].Type != event.TypeJSON {
			t.Errorf("%s: we accept what go-mysql refuses: %v", table.table.Name, theirErr)
		}
	})
}

func parseRows(table fuzzTable, body []byte) ([][]any, error) {
	raw := append([]byte(nil), table.header...)
	raw = append(append(raw, body...), 0, 0, 0, 0) // a checksum nobody verifies
	raw[HeaderSize+6] &^= 1                        // the end of the statement would make its parser forget the table
	raw[9], raw[10], raw[11], raw[12] = byte(len(raw)), byte(len(raw)>>8), byte(len(raw)>>16), byte(len(raw)>>24)
	e, err := table.parser.Parse(raw)
	if err != nil {
		return nil, err
	}
	return e.Event.(*replication.RowsEvent).Rows, nil
}

// FuzzJSON wants of any document text that is JSON, and not much longer.
func FuzzJSON(f *testing.F) {
	for _, doc := range recordedDocuments(f) {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		text, ok := appendJSON(nil, doc)
		if len(text) > 100+40*len(doc) {
			t.Errorf("%d bytes of text from %d", len(text), len(doc))
		}
		if ok && !json.Valid(text) {
			t.Errorf("%x is no JSON: %s", doc, text)
		}
	})
}

// recordedDocuments are the binary JSON documents of the recorded matrix.
func recordedDocuments(f *testing.F) (docs [][]byte) {
	for _, p := range recordedPieces(f, "mysql") {
		raw := &p.Events[0]
		if raw.Table.Columns[1].Type != event.TypeJSON || raw.Op != event.Insert {
			continue
		}
		c := cursor{b: raw.Body[2:]}
		for len(c.b) > 0 {
			nulls := c.u8()
			c.u32()
			if nulls&2 == 0 {
				docs = append(docs, c.take(uint64(c.u32())))
			}
		}
	}
	return docs
}
