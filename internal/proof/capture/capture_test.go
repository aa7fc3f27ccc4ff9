package capture

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dir = "../../../format/debezium/testdata/capture"

func read(t *testing.T, name string) []Record {
	t.Helper()
	records, err := Read(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// edited returns the records with a text replaced in keys and values.
func edited(records []Record, from, to string) []Record {
	pattern := regexp.MustCompile(from)
	all := slices.Clone(records)
	for i, r := range all {
		for _, s := range []**string{&all[i].Key, &all[i].Value} {
			if *s != nil {
				text := pattern.ReplaceAllString(**s, to)
				*s = &text
			}
		}
		all[i].Headers = slices.Clone(r.Headers)
	}
	return all
}

func TestWrittenAsRead(t *testing.T) {
	for _, name := range []string{"plain.jsonl", "schemas.jsonl"} {
		path := filepath.Join(t.TempDir(), name)
		if err := Write(path, read(t, name)); err != nil {
			t.Fatal(err)
		}
		want, _ := os.ReadFile(filepath.Join(dir, name))
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what it was after reading and writing (%v)", name, err)
		}
	}
}

func TestNatureMakesNoDifference(t *testing.T) {
	records := read(t, "plain.jsonl")
	other := edited(records, `df8e82c8-e70a-11f1-935a-02fc00000001:12`, "00000000-1111-2222-3333-444444444444:9")
	other = edited(other, `("ts_[mun]s"|"thread"):\d+`, "$1:17")
	other = edited(other, `"pos":381`, `"pos":1`)
	other = edited(other, `"file":"binlog.000002"`, `"file":"binlog.000100"`)
	for _, d := range Differences(records, other) {
		t.Error(d)
	}
	slices.Reverse(other)
	if len(Differences(records, other)) == 0 {
		t.Error("the order of records makes no difference")
	}
}

func TestAnythingElseIsADifference(t *testing.T) {
	records := read(t, "plain.jsonl")
	for name, other := range map[string][]Record{
		"a value":                  edited(records, `"i":7,`, `"i":8,`),
		"a thread that is not":     edited(records, `"thread":\d+`, `"thread":null`),
		"the order of fields":      edited(records, `"id":(\d+),"t":(-?\d+)`, `"t":$2,"id":$1`),
		"a row's transaction":      edited(records, `:125564","total_order":3`, `:125563","total_order":3`),
		"the order of GTIDs":       edited(records, `:125570"`, `:125999"`),
		"a place in a transaction": edited(records, `"pos":381971901`, `"pos":381971900`),
		"a count":                  edited(records, `"event_count":3`, `"event_count":4`),
		"a record less":            records[:len(records)-1],
		"a record twice":           append(slices.Clone(records), records[len(records)-1]),
	} {
		if len(Differences(records, other)) == 0 {
			t.Errorf("%s makes no difference", name)
		}
	}
}

func TestSchemaDifferences(t *testing.T) {
	records := read(t, "schemas.jsonl")
	if found := SchemaDifferences(records, OnePerSchema(records)); len(found) > 0 {
		t.Errorf("got %q", found)
	}
	other := edited(records, `"type":"int16","optional":true,"field":"su"|"type":"int32","optional":true,"field":"su"`, `"type":"int8","optional":true,"field":"su"`)
	if found := SchemaDifferences(records, other); len(found) == 0 || len(found)%2 != 0 {
		t.Errorf("got %q, want the old and the new schemas", found)
	}
}

func TestTrim(t *testing.T) {
	beat := Record{Topic: heartbeats + "prod"}
	row := Record{Topic: "prod.shop.t", Headers: []string{"__debezium.newkey", "{}", "__debezium.context.taskId", "0"}}
	got := Trim("prod", []Record{beat, beat, {Topic: "prod"}, row})
	if len(got) != 2 || got[0].Topic != beat.Topic || got[1].Topic != row.Topic || strings.Join(got[1].Headers, " ") != "__debezium.newkey {}" {
		t.Errorf("got %+v", got)
	}
}
