package binlog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/internal/testenv/typematrix"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// matrixColumn is what the server showed of one column of the matrix.
type matrixColumn struct {
	Decl   string
	Values []*string // by row, from id 1
}

// matrixRecord is what a SELECT showed of each table of the matrix.
type matrixRecord map[string]matrixColumn

// TestMatrix writes every supported type with its edge values to both servers
// and wants each value from the log, in all three kinds of row events, to equal
// what SELECT shows, and what go-mysql decodes.
func TestMatrix(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			m := testenv.SharedMySQL(t, flavor)
			log, want := runMatrix(t, m)
			checkMatrix(t, log, want)
			if *record {
				saveMatrix(t, flavor.String(), log, want)
			}
		})
	}
}

// TestMatrixRecorded is TestMatrix on the logs that were recorded.
func TestMatrixRecorded(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			log, want := loadMatrix(t, flavor.String())
			checkMatrix(t, log, want)
		})
	}
}

// runMatrix returns the log file that the matrix filled.
func runMatrix(t *testing.T, m *testenv.MySQL) ([]byte, matrixRecord) {
	ctx := context.Background()
	db := m.Database(t)
	conn, err := m.Conn(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Execute(sql); err != nil {
			t.Fatalf("%.200s: %v", sql, err)
		}
	}
	exec("SET sql_mode = ''")
	exec("FLUSH BINARY LOGS")
	record := matrixRecord{}
	for i, c := range typematrix.Cases() {
		if c.Only != "" && c.Only != m.Flavor().String() {
			continue
		}
		table := fmt.Sprintf("t%03d", i)
		exec(fmt.Sprintf("CREATE TABLE %s (id INT PRIMARY KEY, v %s)", table, c.Decl))
		var rows []string
		for j, v := range append(c.Values, "NULL") {
			rows = append(rows, fmt.Sprintf("(%d, %s)", j+1, v))
		}
		exec(fmt.Sprintf("INSERT INTO %s VALUES %s", table, strings.Join(rows, ",")))
		get := c.Get
		if get == "" {
			get = "v"
		}
		shown, err := conn.Execute(fmt.Sprintf("SELECT %s FROM %s ORDER BY id", get, table))
		if err != nil {
			t.Fatal(err)
		}
		column := matrixColumn{Decl: c.Decl}
		for r := range shown.RowNumber() {
			column.Values = append(column.Values, cell(t, shown, r))
		}
		record[table] = column
		exec(fmt.Sprintf("UPDATE %s SET id = id + 1000", table))
		exec(fmt.Sprintf("DELETE FROM %s", table))
	}
	return currentLog(t, m), record
}

// currentLog returns the log file the server writes now.
func currentLog(t *testing.T, m *testenv.MySQL) []byte {
	t.Helper()
	logs := m.MustQuery(t, "SHOW BINARY LOGS")
	b, err := os.ReadFile(filepath.Join(m.DataDir(), *logs[len(logs)-1][0]))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkMatrix decodes log and compares every row image with what SELECT showed.
func checkMatrix(t *testing.T, log []byte, want matrixRecord) {
	images := map[string]int{}
	decodeLog(t, log, func(c *event.RowChange) {
		column, ok := want[c.Table.Name]
		if !ok {
			t.Fatalf("rows of %s, which is not in the matrix", c.Table.Name)
		}
		for _, image := range [][]event.Value{c.Before, c.After} {
			if image == nil {
				continue
			}
			images[c.Table.Name]++
			shown := column.Values[(image[0].Num-1)%1000]
			if diff := differs(c.Table.Columns[1], image[1], shown); diff != "" {
				t.Errorf("%s (%s) row %d, %s: %s", c.Table.Name, column.Decl, image[0].Num, c.Op, diff)
			}
		}
	})
	for table, column := range want {
		if images[table] != 4*len(column.Values) {
			t.Errorf("%s: %d images, want %d", table, images[table], 4*len(column.Values))
		}
	}
}

// decodeLog decodes all rows of a log file and compares them with go-mysql on the way.
func decodeLog(t *testing.T, log []byte, each func(*event.RowChange)) {
	t.Helper()
	f, events := splitLog(t, log)
	oracle := newOracle(t, f, events[0].raw)
	options := TableOptions{Flavor: flavorOf(f)}
	tables := map[uint64]*event.Table{}
	var reader event.RowReader
	for _, e := range events[1:] {
		theirs := oracle.parse(t, e.raw)
		switch {
		case e.Type == TypeTableMap:
			head, err := ParseTableMap(e.body)
			if err != nil {
				t.Fatal(err)
			}
			if tables[head.ID], err = CompileTable(e.body, options); err != nil {
				t.Fatal(err)
			}
		case e.Type.IsRows():
			piece := rowsPiece(t, e, tables)
			n := 0
			for c, err := range piece.Rows(&reader) {
				if err != nil {
					t.Fatalf("%s at %d: %v", e.Type, e.offset, err)
				}
				n = oracle.compare(t, c, theirs, n)
				each(c)
			}
		}
	}
}

func flavorOf(f *Format) event.Flavor {
	if f.MariaDB() {
		return event.MariaDB
	}
	return event.MySQL
}

// rowsPiece is a piece of one rows event.
func rowsPiece(t testing.TB, e logEvent, tables map[uint64]*event.Table) *event.Piece {
	t.Helper()
	rows, err := ParseRows(e.Type, e.body)
	if err != nil {
		t.Fatal(err)
	}
	if rows.Type.IsCompressedRows() {
		inflater := Inflater{Max: 64 << 20}
		if rows, err = inflater.Rows(rows); err != nil {
			t.Fatal(err)
		}
	}
	table := tables[rows.TableID]
	n, err := table.Layout.Count(byte(rows.Type), rows.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &event.Piece{Events: []event.RawRows{{Table: table, Op: rows.Op, Type: byte(rows.Type), Body: rows.Body, Rows: n}}}
}

func matrixPath(name string) string { return filepath.Join("testdata", "matrix_"+name) }

func saveMatrix(t *testing.T, name string, log []byte, want matrixRecord) {
	t.Helper()
	text, err := json.MarshalIndent(want, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	saveFile(t, matrixPath(name+".json.gz"), gzipped(t, text))
	saveFile(t, matrixPath(name+".binlog.gz"), gzipped(t, log))
}

func loadMatrix(t *testing.T, name string) ([]byte, matrixRecord) {
	t.Helper()
	var want matrixRecord
	if err := json.NewDecoder(bytes.NewReader(gunzipped(t, matrixPath(name+".json.gz")))).Decode(&want); err != nil {
		t.Fatal(err)
	}
	return gunzipped(t, matrixPath(name+".binlog.gz")), want
}
