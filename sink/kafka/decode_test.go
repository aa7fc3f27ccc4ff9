package kafka

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/segmentio/kafka-go/protocol"

	_ "github.com/segmentio/kafka-go" // registers the codecs
)

// record is a record as kafka-go's reader sees it.
type record struct {
	offset     int64
	millis     int64
	key, value []byte
	headers    []protocol.Header
}

func (r *record) header(key string) string {
	for _, h := range r.headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return "-"
}

// decodeBatch reads a batch of ours with kafka-go's reader, which checks the
// checksum. The batch must have been stamped.
func decodeBatch(t testing.TB, prefixed []byte) (protocol.RecordBatch, []record) {
	t.Helper()
	var set protocol.RecordSet
	if _, err := set.ReadFrom(bytes.NewReader(prefixed)); err != nil {
		t.Fatalf("kafka-go cannot read the batch: %v", err)
	}
	b := set.Records.(*protocol.RecordStream).Records[0].(*protocol.RecordBatch)
	var all []record
	for {
		r, err := b.ReadRecord()
		if errors.Is(err, io.EOF) {
			return *b, all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record{r.Offset, r.Time.UnixMilli(), content(t, r.Key), content(t, r.Value), r.Headers})
	}
}

func content(t testing.TB, b protocol.Bytes) []byte {
	t.Helper()
	c, err := protocol.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
