package capture

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// Record is one line of a recording. Headers are a flat list of names and values; a nil Key or Value is null.
type Record struct {
	Topic     string   `json:"topic"`
	Partition int      `json:"partition"`
	Offset    int64    `json:"offset"`
	Headers   []string `json:"headers"`
	Key       *string  `json:"key"`
	Value     *string  `json:"value"`
}

// maxLine bounds a line: schemas make a record of a few kilobytes about ten times as long.
const maxLine = 4 << 20

// Read reads a file of records.
func Read(path string) ([]Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Record
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(all)+1, err)
		}
		all = append(all, r)
	}
	return all, lines.Err()
}

// Write writes the records to a file, one on a line.
func Write(path string, records []Record) error {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	for _, r := range records {
		if err := lines.Encode(r); err != nil {
			return err
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// FromEnv converts what the Java consumer has read and sorts it by topic and partition.
func FromEnv(records []testenv.Record) []Record {
	all := make([]Record, len(records))
	for i, r := range records {
		all[i] = Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Headers: []string{}, Key: text(r.Key), Value: text(r.Value)}
		for _, h := range r.Headers {
			all[i].Headers = append(all[i].Headers, h.Key, string(h.Value))
		}
	}
	slices.SortStableFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all
}

func text(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

const heartbeats = "__debezium-heartbeat."

// Trim leaves out what no comparison needs: the schema change topic, all heartbeats but the first, and the headers that name
// the run of the connector. prefix is topic.prefix.
func Trim(prefix string, records []Record) []Record {
	var kept []Record
	beaten := false
	for _, r := range records {
		if beat := strings.HasPrefix(r.Topic, heartbeats); r.Topic == prefix || beat && beaten {
			continue
		} else if beat {
			beaten = true
		}
		r.Headers = dataHeaders(r.Headers)
		kept = append(kept, r)
	}
	return kept
}

func dataHeaders(headers []string) []string {
	kept := []string{}
	for pair := range slices.Chunk(headers, 2) {
		if !strings.HasPrefix(pair[0], "__debezium.context.") {
			kept = append(kept, pair...)
		}
	}
	return kept
}

// OnePerSchema keeps one streamed record for each schema of a trimmed recording made with schemas.enable.
func OnePerSchema(records []Record) []Record {
	var kept []Record
	seen := map[string]bool{}
	for _, r := range records {
		if schema, ok := r.schema(); ok && !seen[schema] {
			seen[schema] = true
			kept = append(kept, r)
		}
	}
	return kept
}

// schema is the part of a record that OnePerSchema keeps one of. Rows of a snapshot repeat the schemas of streamed ones;
// records of TRUNCATE have that of the rows without the key's; tombstones have none.
func (r Record) schema() (string, bool) {
	if r.Value == nil || r.Snapshot() || r.Truncate() {
		return "", false
	}
	key := ""
	if r.Key != nil {
		key, _, _ = strings.Cut(*r.Key, `"payload"`)
	}
	value, _, ok := strings.Cut(*r.Value, `"payload"`)
	return r.Topic + " " + key + " " + value, ok
}

// Snapshot tells whether the record is a row read by a snapshot.
func (r Record) Snapshot() bool { return r.op("r") }

// Truncate tells whether the record stands for a whole table that became empty.
func (r Record) Truncate() bool { return r.op("t") }

func (r Record) op(op string) bool {
	return r.Value != nil && strings.Contains(*r.Value, `"op":"`+op+`","ts_ms":`)
}
