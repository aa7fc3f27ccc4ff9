package proof

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

const connectTimeout = 10 * time.Second

// column renders one column of the workload as the envelope must show it.
type column struct{ name, sql string }

var mirrored = map[string][]column{
	"ledger":   {{"writer", "writer"}, {"n", "n"}},
	"accounts": {{"id", "id"}, {"owner", "JSON_QUOTE(owner)"}, {"balance", "JSON_QUOTE(CAST(balance AS CHAR))"}, {"opened", "TIMESTAMPDIFF(MICROSECOND,'1970-01-01',opened)"}, {"ver", "ver"}},
	"orders":   {{"region", "JSON_QUOTE(region)"}, {"n", "n"}, {"state", "JSON_QUOTE(CAST(state AS CHAR))"}, {"body", "JSON_QUOTE(body)"}, {"ver", "ver"}},
	"evolving": {{"id", "id"}, {"v", "JSON_QUOTE(v)"}, {"ver", "ver"}},
	"scratch":  {{"id", "id"}, {"ver", "ver"}},
}

// Table reads a table of the workload as the source shows it: for each row the
// JSON literals of its columns, in the order of the keys as text.
func (w *Workload) Table(conn *client.Conn, table string) ([]string, error) {
	return tableText(conn, w.Database, table, mirrored[table])
}

func tableText(conn *client.Conn, database, table string, cols []column) ([]string, error) {
	exprs := make([]string, len(cols))
	for i, c := range cols {
		exprs[i] = c.sql
	}
	r, err := conn.Execute(fmt.Sprintf("SELECT %s FROM `%s`.`%s`", strings.Join(exprs, ","), database, table))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	rows := make([]string, 0, r.RowNumber())
	for i := range r.RowNumber() {
		row := map[string]json.RawMessage{}
		for j, c := range cols {
			text, err := r.GetString(i, j)
			if err != nil {
				return nil, err
			}
			if isNull, _ := r.IsNull(i, j); isNull {
				text = "null"
			}
			row[c.name] = json.RawMessage(text)
		}
		rows = append(rows, rowText(cols, row))
	}
	sort.Strings(rows)
	return rows, nil
}

// rowText renders the mirrored columns of a row so that two equal rows are
// equal text, however their strings are escaped.
func rowText(cols []column, row map[string]json.RawMessage) string {
	var b strings.Builder
	for _, c := range cols {
		var s string
		raw := row[c.name]
		if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
			fmt.Fprintf(&b, "%s=%q ", c.name, s)
			continue
		}
		fmt.Fprintf(&b, "%s=%s ", c.name, raw)
	}
	return b.String()
}

// Compare reports how the fold of the topics differs from the source's tables.
// topic names the topic of a table.
func (w *Workload) Compare(conn *client.Conn, fold map[string]map[string]map[string]json.RawMessage, topic func(table string) string) ([]Violation, error) {
	var found []Violation
	for table, cols := range mirrored {
		diff, err := compareTable(conn, w.Database, table, cols, fold[topic(table)])
		if err != nil {
			return nil, err
		}
		found = append(found, diff...)
	}
	return found, nil
}

// compareTable reports how the rows of a topic differ from the source's table.
func compareTable(conn *client.Conn, database, table string, cols []column, rows map[string]map[string]json.RawMessage) ([]Violation, error) {
	want, err := tableText(conn, database, table, cols)
	if err != nil {
		return nil, err
	}
	var got []string
	for _, row := range rows {
		got = append(got, rowText(cols, row))
	}
	sort.Strings(got)
	return diff(table, want, got), nil
}

// diff names the first few rows that only one side has.
func diff(table string, want, got []string) []Violation {
	var found []Violation
	i, j := 0, 0
	for (i < len(want) || j < len(got)) && len(found) < 5 {
		switch {
		case j == len(got) || i < len(want) && want[i] < got[j]:
			found = append(found, Violation{"P1", fmt.Sprintf("%s: the source has %.200s, the topic has not", table, want[i])})
			i++
		case i == len(want) || got[j] < want[i]:
			found = append(found, Violation{"P1", fmt.Sprintf("%s: the topic has %.200s, the source has not", table, got[j])})
			j++
		default:
			i, j = i+1, j+1
		}
	}
	return found
}

// CheckLedger compares what the writers know with what arrived: every committed
// transaction, none that was rolled back.
func (w *Workload) CheckLedger(changes []Change, topic string) []Violation {
	seen := map[string]bool{}
	for _, c := range changes {
		if c.Topic == topic && c.After != nil {
			seen[fmt.Sprintf("%s/%s", c.After["writer"], c.After["n"])] = true
		}
	}
	var found []Violation
	for id, o := range w.Ledger() {
		switch {
		case o == Committed && !seen[id]:
			found = append(found, Violation{"P1", "transaction " + id + " was committed and did not arrive"})
		case o == RolledBack && seen[id]:
			found = append(found, Violation{"P1", "transaction " + id + " was rolled back and arrived"})
		}
	}
	return found
}
