package debezium

import (
	"strconv"

	"github.com/cdcd-io/cdcd/event"
)

// txFragments are the parts of a record that all rows of a transaction share.
type txFragments struct {
	constant []byte // `,"source":{"version":…,"ts_ms":`, the same for ever

	id, file   string // Tx.Key, and the file of the log
	pos        uint64 // where in it the transaction begins
	millis     int64
	ms, us, ns []byte // digits of the commit time
	origin     []byte // server_id to `"pos":`
	thread     []byte // `,"thread":…}` to the block of the transaction
	quotedID   []byte
	clock      []byte // `","ts_ms":…` to the end of the payload
}

// eventFragments are the parts that all rows of one event share.
type eventFragments struct {
	head []byte // `,"source":` to `"row":`
	op   byte
	// block is whether rows have the block of their transaction: rows of a
	// snapshot belong to none.
	block bool
}

func sourceConstant(version, connector, name string) []byte {
	b := append([]byte(`,"source":{"version":`), quote(version)...)
	b = append(append(b, `,"connector":`...), quote(connector)...)
	b = append(append(b, `,"name":`...), quote(name)...)
	return append(b, `,"ts_ms":`...)
}

// startTx renders what is the same for the rows of the transaction. The wall
// clock is read once a piece: pieces take milliseconds.
func (e *Encoder) startTx(tx *event.Tx) {
	t := &e.tx
	t.id, t.file, t.pos = tx.Key, fileOf(tx), tx.Begin.Offset
	micros := tx.Commit.UnixMicro()
	if tx.Commit.IsZero() {
		micros = 0
	}
	t.millis = micros / 1000
	t.ms = strconv.AppendInt(t.ms[:0], t.millis, 10)
	t.us = strconv.AppendInt(t.us[:0], micros, 10)
	t.ns = strconv.AppendInt(t.ns[:0], micros*1000, 10)
	t.origin = appendOrigin(t.origin[:0], tx, t.file)
	t.thread = append(t.thread[:0], `,"thread":`...)
	if tx.Thread == 0 || tx.DDL != nil { // Debezium knows the connection of rows only
		t.thread = append(t.thread, "null"...)
	} else {
		t.thread = strconv.AppendUint(t.thread, uint64(tx.Thread), 10)
	}
	t.thread = append(t.thread, `,"query":null},"transaction":`...)
	t.quotedID = appendQuoted(t.quotedID[:0], tx.Key)
	t.clock = e.appendClock(t.clock[:0])
}

// fileOf returns the file that holds the transaction, which never spans two.
func fileOf(tx *event.Tx) string {
	switch {
	case tx.Begin.File != nil:
		return tx.Begin.File.Name
	case tx.End.File != nil:
		return tx.End.File.Name
	}
	return ""
}

func appendOrigin(b []byte, tx *event.Tx, file string) []byte {
	b = strconv.AppendUint(b, uint64(tx.ServerID), 10)
	b = append(b, `,"gtid":`...)
	if tx.End.GTID.IsZero() {
		b = append(b, "null"...)
	} else {
		b = append(tx.End.GTID.Append(append(b, '"')), '"')
	}
	b = appendQuoted(append(b, `,"file":`...), file)
	return append(b, `,"pos":`...)
}

// appendQuoted appends text of the server's own making: an id, a file name. It
// copies through a fixed buffer, because such texts are short.
func appendQuoted(b []byte, s string) []byte {
	var buf [128]byte
	b, _ = appendString(b, append(buf[:0], s...))
	return b
}

// appendClock renders the time of encoding, behind the op.
func (e *Encoder) appendClock(b []byte) []byte {
	ns := e.now().UnixNano()
	b = strconv.AppendInt(append(b, `","ts_ms":`...), ns/1e6, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), ns/1e3, 10)
	b = strconv.AppendInt(append(b, `,"ts_ns":`...), ns, 10)
	return append(b, '}')
}

// startEvent renders what is the same for the rows of the event.
func (e *Encoder) startEvent(c *event.RowChange) error {
	p, err := e.program(c.Table)
	if err != nil {
		return err
	}
	e.event.op = byte(c.Op)
	e.event.block = e.cfg.TransactionMetadata && c.Op != event.Read && c.Op != event.Truncate
	database, pos := p.database, c.Pos
	if c.Op == event.Read { // it lies in no event: it holds at the place where it joined the stream
		database, pos = p.read, e.tx.pos
	}
	b := append(e.event.head[:0], e.tx.constant...)
	b = append(append(b, e.tx.ms...), database...)
	b = append(append(b, e.tx.us...), `,"ts_ns":`...)
	b = append(append(b, e.tx.ns...), p.name...)
	b = strconv.AppendUint(append(b, e.tx.origin...), pos, 10)
	e.event.head = append(b, `,"row":`...)
	return nil
}
