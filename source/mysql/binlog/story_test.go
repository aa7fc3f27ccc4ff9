package binlog

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
)

// TestStory reads stories: testdata/story_*.sql is what a session did, the log is
// what the server wrote (-record lets it write again), the text is our reading.
func TestStory(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			path := filepath.Join("testdata", "story_"+flavor.String())
			if *record {
				saveFile(t, path+".binlog.gz", gzipped(t, tellStory(t, flavor, path+".sql")))
			}
			_, events := splitLog(t, gunzipped(t, path+".binlog.gz"))
			got := readStory(t, events)
			if *update {
				saveFile(t, path+".txt", []byte(got))
			}
			want, err := os.ReadFile(path + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			compareLines(t, got, string(want))
		})
	}
}

func compareLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("line %d:\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Fatalf("%d lines, want %d", len(g), len(w))
	}
}

// tellStory runs the statements, one a line, and returns the log. A line
// "-- name" switches to the session of that name; a line in double quotes is a
// Go string, for bytes that are no UTF-8.
func tellStory(t *testing.T, flavor testenv.Flavor, path string) []byte {
	ctx := context.Background()
	m := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Flavor: flavor, ServerID: 9})
	m.MustExec(t, "CREATE DATABASE story", "FLUSH BINARY LOGS")
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sessions := map[string]func(string){}
	run := func(string) {}
	for line := range strings.Lines(string(script)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "-- "); ok {
			if sessions[name] == nil {
				conn, err := m.Conn(ctx, "story")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				sessions[name] = func(sql string) {
					if _, err := conn.Execute(sql); err != nil {
						t.Fatalf("%s: %v", sql, err)
					}
				}
			}
			run = sessions[name]
		} else if sql, err := strconv.Unquote(line); err == nil {
			run(sql)
		} else if line != "" {
			run(line)
		}
	}
	return currentLog(t, m)
}

// readStory renders each event in a line, as the parsers of this package read it.
func readStory(t testing.TB, events []logEvent) string {
	t.Helper()
	f, err := ParseFormat(events[0].raw)
	if err != nil {
		t.Fatal(err)
	}
	options := TableOptions{Flavor: flavorOf(f), Excluded: func(_, _, column string) bool { return column == "excluded" }}
	s := storyReader{t: t, options: options, tables: map[uint64]*event.Table{}}
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s %s\n", e.Type, s.event(e))
	}
	return b.String()
}

// storyReader keeps the tables that the events of a log have defined so far.
type storyReader struct {
	t       testing.TB
	options TableOptions
	tables  map[uint64]*event.Table
}

func (s *storyReader) event(e logEvent) string {
	s.t.Helper()
	text, err := s.describe(e)
	if err != nil {
		s.t.Fatalf("%s at %d: %v", e.Type, e.offset, err)
	}
	return text
}

func (s *storyReader) describe(e logEvent) (string, error) {
	switch e.Type {
	case TypeFormat:
		f, err := ParseFormat(e.raw)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("checksum %v, server id %d", f.Checksum, f.StampServer), nil
	case TypeQuery:
		return describeQuery(e.body)
	case TypeQueryCompressed:
		f := Inflater{Max: 1 << 20}
		body, err := f.Query(e.body)
		if err != nil {
			return "", err
		}
		return describeQuery(body)
	case TypeGTID, TypeAnonymousGTID, TypeTaggedGTID:
		g, err := ParseGTID(e.Type, e.body)
		timed := g.Immediate > 1e15 && g.Original >= g.Immediate
		return fmt.Sprintf("tag %q number %d, sequence %d after %d, times known %v, length %d", g.GTID.Tag, g.GTID.N, g.SequenceNumber, g.LastCommitted, timed, g.Length), err
	case TypeMariaDBGTID:
		g, err := ParseMariaDBGTID(e.Header, e.body)
		text := fmt.Sprintf("%v standalone %v prepared %v", g.GTID, g.Standalone(), g.PreparedXA())
		if g.XID != nil {
			text += fmt.Sprintf(" xid %d %q %q", g.XID.FormatID, g.XID.GTRID, g.XID.BQUAL)
		}
		return text, err
	case TypeTableMap:
		return s.table(e.body)
	case TypeXAPrepare:
		x, err := ParseXAPrepare(e.body)
		return fmt.Sprintf("one phase %v, %d %q %q", x.OnePhase, x.FormatID, x.GTRID, x.BQUAL), err
	case TypeRotate:
		r, err := ParseRotate(e.body)
		return fmt.Sprint(r), err
	case TypeRowsQuery:
		return string(e.body[1:]), nil // behind its length
	case TypeAnnotate:
		return string(e.body), nil
	case TypePayload:
		return s.payload(e)
	}
	if e.Type.IsRows() {
		return s.rows(e)
	}
	return "", nil
}

func (s *storyReader) table(body []byte) (string, error) {
	head, err := ParseTableMap(body)
	if err != nil {
		return "", err
	}
	table, err := CompileTable(body, s.options)
	if err != nil {
		return "", err
	}
	s.tables[head.ID] = table
	text := fmt.Sprintf("%s.%s key %v", table.Database, table.Name, table.Key)
	for _, c := range table.Columns {
		text += " " + c.Name
	}
	return text, nil
}

// rows renders the rows of an event, or the code of the error they end in.
func (s *storyReader) rows(e logEvent) (string, error) {
	r, err := ParseRows(e.Type, e.body)
	if err != nil {
		return "", err
	}
	text := r.Op.String()
	if r.Type.IsCompressedRows() {
		f := Inflater{Max: 1 << 20}
		if r, err = f.Rows(r); err != nil {
			return "", err
		}
	}
	table := s.tables[r.TableID]
	if table == nil {
		return text + ", table not known", nil
	}
	raw := event.RawRows{Table: table, Op: r.Op, Type: byte(r.Type), Body: r.Body}
	if raw.Rows, err = raw.Table.Layout.Count(raw.Type, raw.Body); err != nil {
		return text + " " + resilience.CodeOf(err), nil
	}
	var reader event.RowReader
	p := event.Piece{Events: []event.RawRows{raw}}
	for c, err := range p.Rows(&reader) {
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("\n    %s -> %s", imageText(c.Table, c.Before), imageText(c.Table, c.After))
	}
	return text, nil
}

func imageText(table *event.Table, image []event.Value) string {
	var list []string
	for i, v := range image {
		switch v.Kind {
		case event.Null:
			list = append(list, "NULL")
		case event.Absent:
			list = append(list, "absent")
		default:
			list = append(list, selectText(table.Columns[i], v))
		}
	}
	return strings.Join(list, " ")
}

func describeQuery(body []byte) (string, error) {
	q, err := ParseQuery(body)
	if err != nil {
		return "", err
	}
	q.Decode(nil)
	s := Classify(q.SQL, q.Database, q.Mode)
	if q.Undecoded != "" {
		return fmt.Sprintf("[%s] charset %d, not decoded: %+q", s.Kind, q.Charset, q.SQL), nil
	}
	text := fmt.Sprintf("[%s] db %q error %d charset %d: %s", s.Kind, q.Database, q.ErrorCode, q.Charset, q.SQL)
	if s.Name != "" {
		text += fmt.Sprintf(" | name %q", s.Name)
	}
	if s.Tables != nil {
		text += fmt.Sprintf(" | tables %v", s.Tables)
	}
	if s.WithRows || s.Replace || s.Partial || s.OnePhase {
		text += fmt.Sprintf(" | rows %v replace %v partial %v one phase %v", s.WithRows, s.Replace, s.Partial, s.OnePhase)
	}
	return text, nil
}

// payload reads the events inside, and checks the head against them.
func (s *storyReader) payload(e logEvent) (string, error) {
	head, n, err := ParsePayload(e.body)
	if err != nil {
		return "", err
	}
	if int(head.Size) != len(e.body)-n {
		return "", fmt.Errorf("%d bytes of payload, the head says %d", len(e.body)-n, head.Size)
	}
	p, err := NewPayloadReader(1 << 20)
	if err != nil {
		return "", err
	}
	defer p.Close()
	if err := p.Reset(head, strings.NewReader(string(e.body[n:]))); err != nil {
		return "", err
	}
	text, total := "", uint64(0)
	for {
		h, err := p.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		body, err := p.Body()
		if err != nil {
			return "", err
		}
		total += uint64(h.Size)
		text += fmt.Sprintf("\n  %s %s", h.Type, s.event(logEvent{Header: h, body: body}))
	}
	if total != head.Uncompressed {
		return "", fmt.Errorf("%d bytes inside, the head says %d", total, head.Uncompressed)
	}
	return fmt.Sprintf("compression %d%s", head.Compression, text), nil
}
