package cachekey

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/internal/testenv/typematrix"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// TestKeysOfTheLogAreKeysOfASelect: for each type of column that a key may have,
// the row in the log and what an application reads by SELECT make the same key.
func TestKeysOfTheLogAreKeysOfASelect(t *testing.T) {
	env := testenv.ForTest(t)
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			m := env.MySQL(testenv.MySQLOptions{Flavor: flavor})
			db := m.Database(t)
			cfg := mysql.DefaultConfig()
			cfg.Hosts, cfg.User, cfg.Password = []string{m.Addr()}, testenv.ReaderUser, testenv.ReaderPassword
			cfg.Tables.Include = []string{db + ".*"}
			src := mysql.New(cfg, "cdcd", "keys")
			from, err := src.Start(t.Context())
			must(t, err)
			stream, err := src.Open(t.Context(), from)
			must(t, err)
			defer stream.Close()
			cases := createMatrix(t, m, db)
			keys := 0
			var ev event.Event
			for last := fmt.Sprintf("t%d", len(cases)-1); ; {
				must(t, stream.Next(t.Context(), &ev))
				if ev.Kind != event.EvRows {
					continue
				}
				n, _ := strconv.Atoi(ev.Raw.Table.Name[1:])
				keys += compareRows(t, m, &ev.Raw, cases[n])
				if ev.Raw.Table.Name == last {
					break
				}
			}
			if keys < 300 {
				t.Errorf("only %d keys were compared", keys)
			}
			t.Logf("%d keys", keys)
		})
	}
}

// createMatrix makes a table for each case, with a row for each value.
func createMatrix(t *testing.T, m *testenv.MySQL, db string) (cases []typematrix.Case) {
	t.Helper()
	var sql strings.Builder
	sql.WriteString("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'; USE " + db)
	for _, c := range typematrix.Cases() {
		if c.Only != "" && c.Only != m.Flavor().String() {
			continue
		}
		fmt.Fprintf(&sql, "; CREATE TABLE t%d (id INT PRIMARY KEY, v %s)", len(cases), c.Decl)
		fmt.Fprintf(&sql, "; INSERT INTO t%d VALUES", len(cases))
		for i, v := range c.Values {
			fmt.Fprintf(&sql, "(%d, %s),", i, v)
		}
		sql.WriteString("(-1, NULL)")
		cases = append(cases, c)
	}
	m.MustExec(t, sql.String())
	return cases
}

// compareRows compares the keys of one event with those of a SELECT.
func compareRows(t *testing.T, m *testenv.MySQL, raw *event.RawRows, c typematrix.Case) (keys int) {
	t.Helper()
	col := &raw.Table.Columns[1]
	f, ok := formOf(col.Type)
	if !ok {
		return 0
	}
	tmpl := MustParse("k:{v" + f.modifier() + "|null=token}:{id}")
	compiled, err := tmpl.Compile(raw.Table)
	must(t, err)
	selected := map[string]any{}
	for _, row := range m.MustQuery(t, "SELECT id, "+expression(col.Type)+" FROM "+raw.Table.Database+"."+raw.Table.Name) {
		selected[*row[0]] = argument(t, col.Type, row[1])
	}
	counted := *raw
	counted.Rows, err = raw.Table.Layout.Count(raw.Type, raw.Body)
	must(t, err)
	piece := event.Piece{Tx: &event.Tx{}, Events: []event.RawRows{counted}}
	var reader event.RowReader
	for row, err := range piece.Rows(&reader) {
		must(t, err)
		daemon, _, err := compiled.Append(nil, row.After)
		must(t, err)
		id := row.After[0].Num
		app, err := tmpl.Key(selected[strconv.FormatInt(id, 10)], id)
		if err != nil || string(daemon) != app {
			t.Errorf("%s, row %d: the daemon renders %q, an application %q, %v", c.Decl, id, daemon, app, err)
		}
		keys++
	}
	return keys
}

// expression shows a column so that no client library stands between.
func expression(typ event.Type) string {
	switch typ {
	case event.TypeBinary, event.TypeBytes:
		return "HEX(v)"
	case event.TypeBit, event.TypeYear:
		return "v + 0"
	case event.TypeTime:
		return "CAST(v AS CHAR)"
	case event.TypeTimestamp:
		return "CAST(UNIX_TIMESTAMP(v) * 1000000 AS SIGNED)"
	case event.TypeChar, event.TypeText, event.TypeEnum, event.TypeSet:
		return "CONVERT(v USING utf8mb4)"
	}
	return "v"
}

// argument is the value as a program has it.
func argument(t *testing.T, typ event.Type, text *string) any {
	t.Helper()
	if text == nil {
		return nil
	}
	switch typ {
	case event.TypeBinary, event.TypeBytes:
		b, err := hex.DecodeString(*text)
		must(t, err)
		return b
	case event.TypeTime:
		return duration(t, *text)
	case event.TypeTimestamp:
		if n := number(t, *text); n != 0 {
			return time.UnixMicro(n)
		}
		return time.Time{}
	case event.TypeTinyInt, event.TypeSmallInt, event.TypeMediumInt, event.TypeInt, event.TypeBigInt, event.TypeBit, event.TypeYear:
		if n, err := strconv.ParseUint(*text, 10, 64); err == nil {
			return n
		}
		return number(t, *text)
	}
	return *text
}

// duration reads a TIME as the server writes it.
func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	size := strings.TrimPrefix(text, "-")
	part := strings.Split(size, ":")
	d, err := time.ParseDuration(part[0] + "h" + part[1] + "m" + part[2] + "s")
	must(t, err)
	if size != text {
		return -d
	}
	return d
}
