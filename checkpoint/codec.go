package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// Version is the newest format that Decode reads. Encode writes the oldest one
// that can say what there is, so that an earlier release reads all it can make
// sense of: format 2 is 1 with a transaction that is done in part.
const Version = 2

// MaxBytes bounds an encoded checkpoint without its marks, and each mark, so
// that it fits a Kafka record or an etcd value with room to spare. Stores of
// small values keep each mark under a key of its own. MaxMarks bounds all marks.
const (
	MaxBytes = 512 << 10
	MaxMarks = 16 << 20
)

// magic opens the first line, "cdcd-checkpoint VERSION CRC32C", in every
// version: that line must never change its form, or an old program could not
// tell a newer checkpoint from a damaged one.
const magic = "cdcd-checkpoint "

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// body is the JSON of both versions. 64-bit numbers are strings: many readers of
// JSON keep only 53 bits of a number.
type body struct {
	Installation string `json:"installation"`
	Pipeline     string `json:"pipeline"`
	Generation   uint64 `json:"generation,string"`
	Term         uint64 `json:"term,string"`
	Saved        string `json:"saved"`
	Flavor       string `json:"flavor"`
	Server       string `json:"server"`
	File         string `json:"file"`
	StampTime    uint32 `json:"stamp_time"`
	StampServer  uint32 `json:"stamp_server"`
	Offset       uint64 `json:"offset,string"`
	GTIDs        string `json:"gtids"`
	Seq          uint64 `json:"seq,string"`
	Partial      *part  `json:"partial,omitempty"`
	Prepared     []xa   `json:"prepared,omitempty"`
	Marks        marks  `json:"marks,omitempty"`
	Sink         string `json:"sink,omitempty"`       // the sink's part when it is text
	SinkBytes    []byte `json:"sink_bytes,omitempty"` // else
}

// marks are the named parts of a position.
type marks map[string]string

// part is what is done of the next transaction.
type part struct {
	Rows  uint64 `json:"rows,string"`
	Tx    string `json:"transaction"`
	Print uint64 `json:"print,string"`
}

type xa struct {
	XID    string `json:"xid"`
	GTID   string `json:"gtid"`
	File   string `json:"file"`
	Offset uint64 `json:"offset,string"`
}

// Encode renders c as text that a person can read: a line with version and
// checksum, and JSON. The result is the content of a file or the value of a
// Kafka record.
func Encode(c Checkpoint) ([]byte, error) {
	b := bodyOf(c)
	if err := b.check(); err != nil {
		return nil, resilience.Errorf(resilience.Fatal, "checkpoint_invalid", "encode checkpoint", "%w", err).
			WithHint("this is a fault of cdcd: report it")
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return nil, resilience.Errorf(resilience.Fatal, "checkpoint_invalid", "encode checkpoint", "%w", err)
	}
	text = append(text, '\n')
	version := b.version()
	out := fmt.Appendf(nil, "%s%d %08x\n", magic, version, checksum(version, text))
	out = append(out, text...)
	if len(b.Marks) > 0 {
		return out, checkMarks(out)
	}
	return out, CheckSize(out)
}

func checkMarks(b []byte) error {
	if len(b) <= MaxMarks {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "checkpoint_too_large", "encode checkpoint",
		"%d bytes with the state of all snapshots, at most %d are allowed", len(b), MaxMarks).
		WithHint("the pipeline captures too many tables: divide them among several pipelines")
}

// CheckSize refuses an encoded checkpoint, or another state that is kept the
// same way, of more than MaxBytes.
func CheckSize(b []byte) error {
	if len(b) <= MaxBytes {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "checkpoint_too_large", "encode checkpoint",
		"%d bytes, at most %d are allowed", len(b), MaxBytes).
		WithHint("the GTID set of the source has too many gaps or source ids; fill the gaps with empty transactions, or purge retired servers from gtid_executed")
}

// Decode reads what Encode wrote. It refuses what is damaged
// (checkpoint_corrupt) and what a later version of cdcd wrote
// (checkpoint_newer).
func Decode(b []byte) (Checkpoint, error) {
	version, text, err := open(b)
	if err != nil {
		return Checkpoint{}, corrupt(err)
	}
	if version > Version {
		return Checkpoint{}, resilience.Errorf(resilience.Fatal, "checkpoint_newer", "decode checkpoint",
			"it has format %d, this cdcd reads up to %d", version, Version).
			WithHint("a later release of cdcd wrote it: run that release, or a still later one")
	}
	var body body
	if err := unmarshal(text, &body); err != nil {
		return Checkpoint{}, corrupt(err)
	}
	c, err := body.checkpoint()
	if err == nil && version != body.version() {
		err = fmt.Errorf("format %d does not have what it holds", version)
	}
	if err != nil {
		return Checkpoint{}, corrupt(err)
	}
	return c, nil
}

func corrupt(err error) error {
	return resilience.Errorf(resilience.Fatal, "checkpoint_corrupt", "decode checkpoint", "%w", err).
		WithHint("it was damaged after it was written: restore it from a copy, or %s", resilience.StartOver)
}

// open takes the first line off and holds the checksum against the rest.
func open(b []byte) (version uint64, text []byte, err error) {
	if len(b) > MaxMarks {
		return 0, nil, fmt.Errorf("%d bytes, at most %d are allowed", len(b), MaxMarks)
	}
	line, text, ok := bytes.Cut(b, []byte("\n"))
	line, found := bytes.CutPrefix(line, []byte(magic))
	v, sum, split := bytes.Cut(line, []byte(" "))
	if !ok || !found || !split {
		return 0, nil, fmt.Errorf("the first line is not %q with version and checksum", magic)
	}
	if version, err = strconv.ParseUint(string(v), 10, 32); err != nil || version == 0 {
		return 0, nil, fmt.Errorf("the first line has the version %q", v)
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if got := checksum(version, text); err != nil || len(sum) != 8 || uint32(want) != got {
		return 0, nil, fmt.Errorf("the checksum is %08x, the first line says %q", got, sum)
	}
	return version, text, nil
}

// checksum covers the version too: a damaged digit there must read as damage,
// not as a newer version.
func checksum(version uint64, text []byte) uint32 {
	head := strconv.AppendUint(nil, version, 10)
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, text)
}

func unmarshal(text []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("text follows the JSON object")
	}
	return nil
}

func bodyOf(c Checkpoint) body {
	p := c.Position
	b := body{
		Installation: c.Installation, Pipeline: c.Pipeline, Generation: c.Generation, Term: c.Term,
		Saved:  c.Saved.UTC().Format(time.RFC3339Nano),
		Server: p.Server, File: p.File.Name, StampTime: p.File.StampTime, StampServer: p.File.StampServer,
		Offset: p.Offset, GTIDs: p.GTIDs.String(), Seq: p.Seq,
	}
	if p.Flavor != 0 {
		b.Flavor = p.Flavor.String()
	}
	if !p.Partial.IsZero() {
		p := part(p.Partial)
		b.Partial = &p
	}
	for _, x := range p.Prepared {
		b.Prepared = append(b.Prepared, xa(x))
	}
	for k, v := range p.Marks {
		if b.Marks == nil {
			b.Marks = marks{}
		}
		b.Marks[k] = string(v)
	}
	if utf8.Valid(c.Sink) {
		b.Sink = string(c.Sink)
	} else {
		b.SinkBytes = c.Sink
	}
	return b
}

// version is the oldest format that can say it.
func (b *body) version() uint64 {
	if b.Partial != nil {
		return 2
	}
	return 1
}

// check refuses what would not read back the same.
func (b *body) check() error {
	if b.Pipeline == "" {
		return errors.New("it names no pipeline")
	}
	texts := []string{b.Installation, b.Pipeline, b.Server, b.File}
	if b.Partial != nil {
		texts = append(texts, b.Partial.Tx)
	}
	for _, x := range b.Prepared {
		texts = append(texts, x.XID, x.GTID, x.File)
	}
	for k, v := range b.Marks {
		texts = append(texts, k, v)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%q is not UTF-8", s)
		}
	}
	_, err := b.checkpoint()
	return err
}

func (b *body) checkpoint() (Checkpoint, error) {
	c := Checkpoint{
		Installation: b.Installation, Pipeline: b.Pipeline, Generation: b.Generation, Term: b.Term, Sink: b.SinkBytes,
		Position: event.Position{
			Server: b.Server, Offset: b.Offset, Seq: b.Seq,
			File: event.LogFile{Name: b.File, StampTime: b.StampTime, StampServer: b.StampServer},
		},
	}
	if b.Sink != "" {
		c.Sink = []byte(b.Sink)
	}
	if b.Partial != nil {
		c.Position.Partial = event.Partial(*b.Partial)
	}
	for _, x := range b.Prepared {
		c.Position.Prepared = append(c.Position.Prepared, event.PreparedXA(x))
	}
	for k, v := range b.Marks {
		if c.Position.Marks == nil {
			c.Position.Marks = map[string][]byte{}
		}
		c.Position.Marks[k] = []byte(v)
	}
	if b.Pipeline == "" {
		return c, errors.New("it names no pipeline")
	}
	if b.Partial != nil && (b.Partial.Rows == 0 || b.Partial.Tx == "") {
		return c, errors.New("it names no rows or no transaction that is done in part")
	}
	if b.Sink != "" && b.SinkBytes != nil {
		return c, errors.New("it holds the sink's part twice")
	}
	var err error
	if c.Saved, err = time.Parse(time.RFC3339Nano, b.Saved); err != nil {
		return c, fmt.Errorf("saved: %w", err)
	}
	c.Saved = c.Saved.UTC()
	return c, b.gtids(&c.Position)
}

func (b *body) gtids(p *event.Position) error {
	switch b.Flavor {
	case event.MySQL.String():
		p.Flavor = event.MySQL
	case event.MariaDB.String():
		p.Flavor = event.MariaDB
	case "":
		if b.GTIDs != "" {
			return errors.New("it has GTIDs and no flavor")
		}
		return nil
	default:
		return fmt.Errorf("unknown flavor %q", b.Flavor)
	}
	set, err := event.ParseGTIDSet(p.Flavor, b.GTIDs)
	if err != nil {
		return fmt.Errorf("gtids: %w", err)
	}
	p.GTIDs = set
	return nil
}
