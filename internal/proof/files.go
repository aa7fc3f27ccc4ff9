package proof

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// fileLine is a line of a file sink.
type fileLine struct {
	Topic          string
	Key, Value     json.RawMessage
	Seq, Row, Rows uint64
	Part, Parts    int
	Tx             string
}

// ReadFiles reads what a file sink has written, as records of topics of one
// partition: the full files in their order, and the one that is being written. A
// last line without its end is an error.
func ReadFiles(path string) ([]Record, error) {
	files, err := filepath.Glob(path + ".0*")
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var recs []Record
	next := map[string]int64{} // offset, by topic
	for _, name := range append(files, path) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		recs, err = appendLines(recs, f, next)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return recs, nil
}

func appendLines(recs []Record, f io.Reader, next map[string]int64) ([]Record, error) {
	for r := bufio.NewReader(f); ; {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			return recs, nil
		}
		if err != nil {
			return recs, fmt.Errorf("after %d lines: %w", len(recs), err)
		}
		var l fileLine
		if err := json.Unmarshal(text, &l); err != nil {
			return recs, fmt.Errorf("%w: %s", err, text)
		}
		recs = append(recs, l.record(next[l.Topic]))
		next[l.Topic]++
	}
}

// record is the line as a record of a topic. The term is no part of a line.
func (l *fileLine) record(offset int64) Record {
	h := map[string]string{"cdcd.seq": strconv.FormatUint(l.Seq, 10), "cdcd.term": "1", "cdcd.tx": l.Tx}
	if l.Row > 0 {
		h["cdcd.row"] = strconv.FormatUint(l.Row, 10)
	}
	if l.Parts > 1 {
		h["cdcd.row"] += fmt.Sprintf(".%d/%d", l.Part, l.Parts)
	}
	if l.Rows > 0 {
		h["cdcd.rows"] = strconv.FormatUint(l.Rows, 10)
	}
	return Record{Topic: l.Topic, Offset: offset, Key: orNil(l.Key), Value: orNil(l.Value), Headers: h}
}

func orNil(raw json.RawMessage) []byte {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}
