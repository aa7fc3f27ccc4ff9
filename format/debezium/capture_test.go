package debezium

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
)

// captured is one record of testdata/capture.
type captured struct {
	Topic   string
	Headers []string
	Key     *string
	Value   *string
}

func (c captured) id() string { return c.Topic + " " + text(c.Key) }

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func readCapture(t *testing.T, name string) (all []captured) {
	t.Helper()
	f, err := os.Open("testdata/capture/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var c captured
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// collector keeps records as the capture does.
type collector struct {
	records []captured
	full    []format.Record // without bytes
}

func (c *collector) Emit(r *format.Record) error {
	got := captured{Topic: r.Route.Topic, Headers: []string{}, Key: clone(r.Key), Value: clone(r.Value)}
	for _, h := range r.Headers {
		got.Headers = append(got.Headers, h.Key, string(h.Value))
	}
	c.records = append(c.records, got)
	copied := *r
	copied.Key, copied.Value, copied.Headers = nil, nil, nil
	c.full = append(c.full, copied)
	return nil
}

func clone(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

// origin is what the capture tells about a transaction: the encoder is given
// the same.
type origin struct {
	Source struct {
		TsUs     int64 `json:"ts_us"`
		Table    string
		ServerID uint32 `json:"server_id"`
		Gtid     string
		File     string
		Pos      uint64
		Row      uint32
		Thread   uint32
	}
	Op string
}

// origins are keyed by GTID and table, in the order of the records.
func origins(t *testing.T, records []captured) map[string][]origin {
	t.Helper()
	all := map[string][]origin{}
	for _, r := range records {
		if r.Value == nil || !strings.HasPrefix(r.Topic, "prod.shop.") {
			continue
		}
		var o origin
		if err := json.Unmarshal([]byte(*r.Value), &o); err != nil {
			t.Fatal(err)
		}
		at := o.Source.Gtid + o.Source.Table
		all[at] = append(all[at], o)
	}
	return all
}

var captureSID = [16]byte{0xdf, 0x8e, 0x82, 0xc8, 0xe7, 0x0a, 0x11, 0xf1, 0x93, 0x5a, 0x02, 0xfc, 0x00, 0x00, 0x00, 0x01}

// piece builds the transaction as a source would have.
func (s story) piece(from map[string][]origin) *event.Piece {
	gtid := event.GTID{SID: captureSID, N: s.gtid}
	if s.gtid == 0 {
		gtid = event.GTID{}
	}
	o := from[gtid.String()+s.rows[0].Table.Name][0]
	file := &event.LogFile{Name: o.Source.File}
	tx := &event.Tx{
		Begin: event.Coord{File: file, Offset: o.Source.Pos}, End: event.Coord{File: file, GTID: gtid},
		ServerID: o.Source.ServerID, Thread: o.Source.Thread, Commit: time.UnixMicro(o.Source.TsUs), Micros: true,
		Key: gtid.String(), Silent: gtid.IsZero(),
	}
	if s.rows[0].Op == event.Truncate {
		table := s.rows[0].Table
		tx.DDL = &event.DDL{Kind: event.DDLTruncate, Tables: []event.DDLTable{{Database: "shop", Name: table.Name, Table: table}}}
		return eventtest.Piece(tx)
	}
	p := eventtest.Piece(tx, s.rows...)
	if s.apart {
		p.Events = p.Events[:0]
		for _, single := range eventtest.Pieces(tx, 1, s.rows...) {
			p.Events = append(p.Events, single.Events...)
		}
	}
	for i := range p.Events {
		at := from[gtid.String()+p.Events[i].Table.Name]
		p.Events[i].Pos = at[min(i, len(at)-1)].Source.Pos
	}
	return p
}

func captureEncoder(set func(*Config)) *Encoder {
	cfg := DefaultConfig()
	cfg.TransactionMetadata, cfg.Heartbeat, cfg.Version = true, true, "3.6.1.Final"
	set(&cfg)
	return New(cfg, Deps{Source: "prod", Flavor: event.MySQL, Routes: new(format.Routes), Stats: new(Stats)})
}

// clock cuts what differs by nature: the time of encoding.
var clock = regexp.MustCompile(`"ts_ms":\d+,"ts_us":\d+,"ts_ns":\d+\}$`)

// unsupported cuts the columns of types that have no form yet.
var unsupported = regexp.MustCompile(`"p":(null|\{[^}]*\}),"g":(null|\{[^}]*\}),"vec":(null|\[[^]]*\]),`)

// wrongs is what Debezium does and cdcd does not, with the right form.
var wrongs = strings.NewReplacer(
	`"y":1900`, `"y":0`,
	`"e":"a\\,b"`, `"e":"a,b"`,
)

// snapshots is how Debezium marks rows of its first snapshot.
var snapshots = regexp.MustCompile(`"snapshot":"(first|first_in_data_collection|true|last_in_data_collection|last)"`)

// splitOrder is the order of the second half of a key change: Debezium counts
// it as another event, which would need the pieces before it.
var splitOrder = strings.NewReplacer(`"total_order":2,"data_collection_order":2},"op":"c"`, `"total_order":1,"data_collection_order":1},"op":"c"`)

func normal(c captured) captured {
	if c.Value != nil {
		v := clock.ReplaceAllString(*c.Value, `"ts":0}`)
		v = wrongs.Replace(unsupported.ReplaceAllString(v, ""))
		v = snapshots.ReplaceAllString(v, `"snapshot":"incremental"`)
		if len(c.Headers) > 0 {
			v = splitOrder.Replace(v)
		}
		c.Value = &v
	}
	return c
}

func TestEqualToDebezium(t *testing.T) {
	records := readCapture(t, "plain.jsonl")
	from := origins(t, records)
	want := map[string][]captured{}
	for _, r := range records {
		if !notOurs(r) {
			want[r.id()] = append(want[r.id()], normal(r))
		}
	}
	e, out := captureEncoder(func(*Config) {}), new(collector)
	for _, s := range stories() {
		if err := e.Encode(s.piece(from), out); err != nil {
			t.Fatalf("transaction %d: %v", s.gtid, err)
		}
	}
	for _, got := range out.records {
		if got.Topic == "prod.transaction" {
			continue // see TestTransactionsEqualToDebezium
		}
		got = normal(got)
		match := func(c captured) bool {
			return text(c.Value) == text(got.Value) && slices.Equal(c.Headers, got.Headers)
		}
		i := slices.IndexFunc(want[got.id()], match)
		if i != 0 {
			t.Fatalf("%s: got %v %s\nwant %s", got.id(), got.Headers, text(got.Value), show(want[got.id()]))
		}
		want[got.id()] = want[got.id()][1:]
	}
	for id, left := range want {
		if len(left) > 0 {
			t.Errorf("%s: not rendered: %s", id, show(left))
		}
	}
}

// ownSnapshot are the tables whose rows Debezium renders in its snapshot in
// another way than in its stream.
var ownSnapshot = regexp.MustCompile(`^prod\.shop\.(numbers|times|texts|others)$`)

// notOurs are records without counterpart: those tables in the snapshot, an XA
// transaction at its PREPARE, the tombstone of a table without key, and what
// other tests compare.
func notOurs(r captured) bool {
	return !strings.HasPrefix(r.Topic, "prod.shop.") ||
		ownSnapshot.MatchString(r.Topic) && strings.Contains(text(r.Value), `"op":"r"`) ||
		r.id() == `prod.shop.ints {"id":400}` || r.id() == `prod.shop.nokey null` && r.Value == nil
}

func show(all []captured) string {
	var b strings.Builder
	for _, c := range all {
		b.WriteString(strings.Join(c.Headers, " ") + " " + text(c.Value) + "\n")
	}
	return b.String()
}

func TestTransactionsEqualToDebezium(t *testing.T) {
	records := readCapture(t, "plain.jsonl")
	from := origins(t, records)
	want := map[string][]string{}
	for _, r := range records {
		want[r.id()] = append(want[r.id()], ordered(t, text(r.Value)))
	}
	e, out := captureEncoder(func(*Config) {}), new(collector)
	for _, s := range stories() {
		if err := e.Encode(s.piece(from), out); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for _, got := range out.records {
		if got.Topic != "prod.transaction" {
			continue
		}
		seen++
		if keyChanging := strings.Contains(text(got.Key), ":125565") || strings.Contains(text(got.Key), ":125566"); keyChanging && strings.Contains(text(got.Value), "END") {
			continue // Debezium counts a key change as two events
		}
		if !slices.Contains(want[got.id()], ordered(t, text(got.Value))) {
			t.Errorf("%s: got %s, want one of %q", got.id(), text(got.Value), want[got.id()])
		}
	}
	if seen < 30 {
		t.Errorf("%d transaction records", seen)
	}
}

// ordered sorts the tables of an END, which Debezium lists in no order.
func ordered(t *testing.T, value string) string {
	if !strings.HasPrefix(value, `{"status"`) {
		return value
	}
	head, list, ok := strings.Cut(value, `"data_collections":[`)
	if !ok {
		return value
	}
	list, tail, _ := strings.Cut(list, "]")
	tables := strings.SplitAfter(list, "}")
	for i := range tables {
		tables[i] = strings.TrimPrefix(tables[i], ",")
	}
	slices.Sort(tables)
	return head + strings.Join(tables, " ") + tail
}

func TestHeartbeatEqualToDebezium(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"plain.jsonl":   func(*Config) {},
		"schemas.jsonl": func(c *Config) { c.Schemas = true },
	} {
		want := readCapture(t, name)[0]
		var v struct {
			TsMs    int64 `json:"ts_ms"`
			Payload struct {
				TsMs int64 `json:"ts_ms"`
			}
		}
		if err := json.Unmarshal([]byte(*want.Value), &v); err != nil {
			t.Fatal(err)
		}
		out := new(collector)
		if err := captureEncoder(set).Heartbeat(v.TsMs+v.Payload.TsMs, out); err != nil {
			t.Fatal(err)
		}
		got := out.records[0]
		if got.id() != want.id() || text(got.Value) != text(want.Value) {
			t.Errorf("got %s %s\nwant %s %s", got.id(), text(got.Value), want.id(), text(want.Value))
		}
	}
}

// defaults cuts the defaults of columns, which the metadata of the log lacks.
var defaults = regexp.MustCompile(`"default":("[a-z]"|\d+),`)

var unsupportedSchema = regexp.MustCompile(`\{"type":"struct","fields":\[\{"type":"(double|bytes)","optional":false,"field":"(x|wkb)"[^]]*\],"optional":true,"name":"io.debezium.data.geometry[^}]*\},|\{"type":"array","items":[^}]*\},"optional":true,"name":"io.debezium.data.FloatVector"[^}]*\},`)

func TestSchemasEqualToDebezium(t *testing.T) {
	want := map[string]bool{}
	topics := map[string]bool{}
	for _, r := range readCapture(t, "schemas.jsonl") {
		want[schemaOf(t, r)] = true
		topics[r.Topic] = true
	}
	from := origins(t, readCapture(t, "plain.jsonl"))
	e, out := captureEncoder(func(c *Config) { c.Schemas = true }), new(collector)
	for _, s := range stories() {
		if err := e.Encode(s.piece(from), out); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range out.records {
		delete(topics, got.Topic)
		if got.Value != nil && !strings.Contains(*got.Value, `"op":"t"`) && !want[schemaOf(t, got)] {
			t.Errorf("no such schema in the capture: %s", schemaOf(t, got))
		}
	}
	delete(topics, "__debezium-heartbeat.prod")
	for topic := range topics {
		t.Errorf("nothing was rendered to %s", topic)
	}
}

func schemaOf(t *testing.T, r captured) string {
	t.Helper()
	value := *r.Value
	if !json.Valid([]byte(value)) {
		t.Fatalf("not JSON: %s", value)
	}
	key, _, _ := strings.Cut(text(r.Key), `"payload"`)
	head, _, ok := strings.Cut(value, `"payload"`)
	if !ok {
		t.Fatalf("no payload: %s", value)
	}
	return r.Topic + " " + key + " " + defaults.ReplaceAllString(unsupportedSchema.ReplaceAllString(head, ""), "")
}

// TestSchemasFrameThePlainPayload compares both forms of each record.
func TestSchemasFrameThePlainPayload(t *testing.T) {
	from := origins(t, readCapture(t, "plain.jsonl"))
	now := func() time.Time { return time.Unix(1800000000, 123456789) }
	plain, framed := new(collector), new(collector)
	for _, s := range stories() {
		a, b := captureEncoder(func(*Config) {}), captureEncoder(func(c *Config) { c.Schemas = true })
		a.now, b.now = now, now
		if err := a.Encode(s.piece(from), plain); err != nil {
			t.Fatal(err)
		}
		if err := b.Encode(s.piece(from), framed); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range plain.records {
		got := framed.records[i]
		if payload(t, got.Key) != text(want.Key) || payload(t, got.Value) != text(want.Value) || !slices.Equal(got.Headers, want.Headers) {
			t.Errorf("got %s %s\nwant %s %s", text(got.Key), text(got.Value), text(want.Key), text(want.Value))
		}
	}
}

func payload(t *testing.T, s *string) string {
	t.Helper()
	if s == nil {
		return "null"
	}
	var v struct{ Schema, Payload json.RawMessage }
	d := json.NewDecoder(bytes.NewReader([]byte(*s)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, *s)
	}
	return string(v.Payload)
}
