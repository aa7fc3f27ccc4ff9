package proof

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/proof/capture"
	"github.com/cdcd-io/cdcd/internal/testenv"
)

// captureDir holds what Debezium itself wrote, and the statements it wrote it for.
const captureDir = "../../format/debezium/testdata/capture"

// notRead are the columns whose types and character sets this release does not read.
var notRead = []string{
	"shop.texts.sj", "shop.texts.gb", "shop.texts.ko", "shop.texts.u16", "shop.others.p", "shop.others.g", "shop.others.vec",
}

// TestSameAsDebezium: the statements that Debezium was recorded with, through a real server, the daemon and a real broker, give
// the records that Debezium wrote, field by field, on the same partitions and in the same order.
func TestSameAsDebezium(t *testing.T) {
	want, got := expected(readCapture(t, "plain.jsonl")), recordOurs(t, "schemas: false")
	report(t, capture.Differences(want, got))
	t.Logf("%d records of Debezium compared with %d of cdcd", len(want), len(got))
}

// TestSameSchemasAsDebezium: the same with schemas, which come from the metadata in the log here and from the statements there.
func TestSameSchemasAsDebezium(t *testing.T) {
	schemas := readCapture(t, "schemas.jsonl")[1:] // the first is a heartbeat
	for i, c := range schemas {
		cut := unreadSchemas.ReplaceAllString(*c.Value, "")
		schemas[i].Value = &cut
	}
	got := recordOurs(t, "schemas: true")
	report(t, capture.SchemaDifferences(schemas, got))
	for i := range got {
		got[i].Key, got[i].Value = payload(t, got[i].Key), payload(t, got[i].Value)
	}
	report(t, capture.Differences(byKey(expected(readCapture(t, "plain.jsonl"))), byKey(got)))
}

// byKey makes each key a place of its own: a key with its schema is on another partition than without.
func byKey(records []capture.Record) []capture.Record {
	for i, c := range records {
		if c.Key != nil && c.Topic != "prod.transaction" {
			records[i].Topic, records[i].Partition = c.Topic+" "+*c.Key, 0
		}
	}
	return records
}

// recordOurs runs the statements and returns what the daemon made of them.
func recordOurs(t *testing.T, format string) []capture.Record {
	t.Helper()
	r, ctx := newRig(t, RigOptions{
		Schema:  captureSQL(t, "before.sql"),
		Exclude: notRead,
		Format:  "prefix: prod, version: 3.6.1.Final, transaction_metadata: true, " + format,
	})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	r.mustReplay(ctx, t)
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	records, err := r.Kafka.Consume(ctx, testenv.ConsumeOptions{Pattern: `prod\..*`})
	if err != nil {
		t.Fatal(err)
	}
	return comparable(t, capture.FromEnv(records))
}

func report(t *testing.T, differences []string) {
	t.Helper()
	for _, d := range differences {
		t.Error(d)
	}
}

func readCapture(t *testing.T, name string) []capture.Record {
	t.Helper()
	records, err := capture.Read(filepath.Join(captureDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// unreadSchemas cuts the fields of columns that are not read, and defaults, which the metadata in the log lacks.
var unreadSchemas = regexp.MustCompile(`\{"type":"string","optional":true,"field":"(?:sj|gb|ko|u16)"\},|` +
	`\{"type":"struct","fields":\[\{"type":"(?:double|bytes)","optional":false,"field":"(?:x|wkb)"[^]]*\],[^}]*\},|` +
	`\{"type":"array","items":[^}]*\},[^}]*"field":"vec"\},|` +
	`"default":(?:"[a-z]"|\d+),`)

// payload takes the schema off a key or a value.
func payload(t *testing.T, framed *string) *string {
	t.Helper()
	if framed == nil {
		return nil
	}
	var f struct{ Payload json.RawMessage }
	if err := json.Unmarshal([]byte(*framed), &f); err != nil {
		t.Fatalf("%v: %s", err, *framed)
	}
	text := string(f.Payload)
	return &text
}

func captureSQL(t *testing.T, name string) string {
	t.Helper()
	sql, err := os.ReadFile(filepath.Join(captureDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(sql)
}

var xa = regexp.MustCompile(`(?m)^XA .*\n`)

// mustReplay runs the streamed statements, without the XA transaction, which this release refuses.
func (r *Rig) mustReplay(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, name := range []string{"after.sql", "after2.sql"} {
		if err := r.DB.Exec(ctx, "USE shop", xa.ReplaceAllString(captureSQL(t, name), "")); err != nil {
			t.Fatal(err)
		}
	}
}

// expected is what Debezium streamed, with the differences that format/debezium/README.md explains.
func expected(records []capture.Record) []capture.Record {
	var want []capture.Record
	changed := keyChanges(records)
	for _, c := range records {
		tombstone := c.Value == nil && c.Key == nil
		prepared := c.Key != nil && *c.Key == `{"id":400}` // of the XA transaction
		if strings.HasPrefix(c.Topic, "prod.") && !c.Snapshot() && !tombstone && !prepared {
			want = append(want, corrected(c, changed))
		}
	}
	return want
}

// excluded cuts the columns that are not read.
var excluded = regexp.MustCompile(`"(?:sj|gb|ko|u16)":(?:null|"[^"]*"),|"p":(?:null|\{[^}]*\}),"g":(?:null|\{[^}]*\}),"vec":(?:null|\[[^]]*\]),`)

// wrong is what Debezium does wrong, with what is right.
var wrong = strings.NewReplacer(`"y":1900`, `"y":0`, `"e":"a\\,b"`, `"e":"a,b"`, `[1.0,20000000000,`, `[1.0,20000000000.0,`)

// Debezium counts a change of a key as two events of its transaction, cdcd as one; the statements change a key alone.
var (
	secondHalf = strings.NewReplacer(`"total_order":2,"data_collection_order":2}`, `"total_order":1,"data_collection_order":1}`)
	counts     = strings.NewReplacer(`"event_count":2`, `"event_count":1`)
	ofGTID     = regexp.MustCompile(`"transaction":\{("id":"[^"]+")`)
)

// keyChanges returns the ids of the transactions that change keys, as records spell them.
func keyChanges(records []capture.Record) map[string]bool {
	ids := map[string]bool{}
	for _, c := range records {
		if slices.Contains(c.Headers, "__debezium.oldkey") {
			ids[ofGTID.FindStringSubmatch(*c.Value)[1]] = true
		}
	}
	return ids
}

func corrected(c capture.Record, keyChanges map[string]bool) capture.Record {
	if c.Value == nil {
		return c
	}
	v := wrong.Replace(excluded.ReplaceAllString(*c.Value, ""))
	if slices.Contains(c.Headers, "__debezium.oldkey") {
		v = secondHalf.Replace(v)
	}
	if id := strings.Trim(*cmp.Or(c.Key, new(string)), "{}"); keyChanges[id] {
		v = counts.Replace(v)
	}
	c.Value = &v
	return c
}

// comparable leaves out what Debezium has nothing like: the headers of the sink, and records of TRUNCATE.
func comparable(t *testing.T, records []capture.Record) []capture.Record {
	t.Helper()
	for i, c := range records {
		records[i].Headers = slices.Concat(slices.DeleteFunc(slices.Collect(slices.Chunk(c.Headers, 2)), func(pair []string) bool {
			return strings.HasPrefix(pair[0], "cdcd.")
		})...)
	}
	return oneTruncate(t, records)
}

// oneTruncate keeps the record of TRUNCATE that Debezium writes: cdcd writes it to every partition, and for DROP as well.
func oneTruncate(t *testing.T, records []capture.Record) []capture.Record {
	t.Helper()
	perPartition := map[int]int{}
	kept := slices.DeleteFunc(records, func(c capture.Record) bool {
		if !c.Truncate() {
			return false
		}
		perPartition[c.Partition]++
		return c.Partition > 0 || perPartition[0] > 1
	})
	for p := range 3 {
		if perPartition[p] != 2 {
			t.Errorf("%d records of TRUNCATE and DROP in partition %d, want 2", perPartition[p], p)
		}
	}
	return kept
}
