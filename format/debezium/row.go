package debezium

import (
	"bytes"
	"strconv"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
)

const (
	newKeyHeader = "__debezium.newkey"
	oldKeyHeader = "__debezium.oldkey"
)

// encodeRow emits the records of one row.
func (e *Encoder) encodeRow(c *event.RowChange, out format.Emitter) error {
	e.rec = format.Record{Ordinal: c.Ordinal + 1, Part: 1, Parts: 1}
	switch c.Op {
	case event.Delete:
		return e.encodeDelete(c, out)
	case event.Update:
		if keyChanged(e.prog.key, c) {
			return e.encodeKeyChange(c, out)
		}
	}
	key, err := e.renderKey(&e.key, c, c.After)
	if err != nil {
		return err
	}
	return e.emitRow(c, out, key, byte(c.Op), c.Before, c.After)
}

// encodeDelete emits the delete and, where there is a key, its tombstone.
func (e *Encoder) encodeDelete(c *event.RowChange, out format.Emitter) error {
	key, err := e.renderKey(&e.key, c, c.Before)
	if err != nil {
		return err
	}
	tombstone := e.cfg.Tombstones && key != nil
	if tombstone {
		e.rec.Parts = 2
	}
	if err := e.emitRow(c, out, key, byte(event.Delete), c.Before, nil); err != nil || !tombstone {
		return err
	}
	e.rec.Part++
	return e.emit(out, e.prog.route, key, nil)
}

// encodeKeyChange emits an update that changes the key: a delete under the old
// key and a create under the new one, each naming the other in a header.
func (e *Encoder) encodeKeyChange(c *event.RowChange, out format.Emitter) error {
	oldKey, err := e.renderKey(&e.oldKey, c, c.Before)
	if err != nil {
		return err
	}
	newKey, err := e.renderKey(&e.key, c, c.After)
	if err != nil {
		return err
	}
	e.rec.Parts = 2
	e.rec.Headers = e.header(newKeyHeader, newKey)
	if e.cfg.Tombstones {
		e.rec.Parts = 3
	}
	if err := e.emitRow(c, out, oldKey, byte(event.Delete), c.Before, nil); err != nil {
		return err
	}
	e.rec.Part++
	if e.cfg.Tombstones {
		if err := e.emit(out, e.prog.route, oldKey, nil); err != nil {
			return err
		}
		e.rec.Part++
	}
	e.rec.Headers = e.header(oldKeyHeader, oldKey)
	return e.emitRow(c, out, newKey, byte(event.Insert), nil, c.After)
}

// header returns the one header, whose value is the payload of a key.
func (e *Encoder) header(name string, key []byte) []format.Header {
	e.headers[0] = format.Header{Key: name, Value: key[len(e.prog.keyHead) : len(key)-len(e.prog.tail)]}
	return e.headers[:]
}

// keyChanged compares the key columns byte by byte, whatever their collation.
func keyChanged(key []field, c *event.RowChange) bool {
	for i := range key {
		col := key[i].col
		if col >= len(c.Before) || col >= len(c.After) {
			return false // rendering names the column that lacks
		}
		a, b := &c.Before[col], &c.After[col]
		if a.Kind != b.Kind || a.Num != b.Num || a.Scale != b.Scale || !bytes.Equal(a.Bytes, b.Bytes) {
			return true
		}
	}
	return false
}

// renderKey renders the key of an image into buf; it is nil without a key.
func (e *Encoder) renderKey(buf *[]byte, c *event.RowChange, image []event.Value) ([]byte, error) {
	if len(e.prog.key) == 0 {
		return nil, nil
	}
	b, ok := e.appendFields(append((*buf)[:0], e.prog.keyHead...), e.prog.key, image)
	b = append(b, e.prog.tail...)
	*buf = b
	if !ok {
		return nil, e.poison(c)
	}
	return b, nil
}

// emitRow renders the envelope and emits it. A nil image is null.
func (e *Encoder) emitRow(c *event.RowChange, out format.Emitter, key []byte, op byte, before, after []event.Value) error {
	b, ok := append(e.value[:0], e.prog.valueHead...), true
	if before == nil {
		b = append(b, "null"...)
	} else if b, ok = e.appendFields(b, e.prog.fields, before); !ok {
		return e.poison(c)
	}
	b = append(b, `,"after":`...)
	if after == nil {
		b = append(b, "null"...)
	} else if b, ok = e.appendFields(b, e.prog.fields, after); !ok {
		return e.poison(c)
	}
	b = append(b, e.event.head...)
	b = strconv.AppendUint(b, uint64(c.Row), 10)
	b = append(b, e.tx.thread...)
	b = e.appendBlock(b, c)
	b = append(append(b, `,"op":"`...), op)
	b = append(append(b, e.tx.clock...), e.prog.tail...)
	e.value = b
	return e.emit(out, e.prog.route, key, b)
}

// appendBlock appends the place of the row in its transaction.
func (e *Encoder) appendBlock(b []byte, c *event.RowChange) []byte {
	if !e.event.block {
		return append(b, "null"...)
	}
	b = append(append(b, `{"id":`...), e.tx.quotedID...)
	b = strconv.AppendUint(append(b, `,"total_order":`...), c.Ordinal+1, 10)
	b = strconv.AppendUint(append(b, `,"data_collection_order":`...), c.TableOrdinal+1, 10)
	return append(b, '}')
}
