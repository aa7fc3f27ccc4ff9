package debezium

import (
	"bytes"
	"errors"
	"slices"
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
	form := envelope{e.prog.fields, op, before, after}
	if err := e.renderRow(c, &form); err != nil {
		return err
	}
	err := e.emit(out, e.prog.route, key, e.value)
	if err == nil {
		return nil
	}
	return e.emitKeyOnly(err, c, out, key, form)
}

// emitKeyOnly answers an emitter that has no room for the row with the columns
// of its key. cause stays where that is not what is wrong, or there is no such
// form: without a key the row could not be told, and a schema promises columns.
func (e *Encoder) emitKeyOnly(cause error, c *event.RowChange, out format.Emitter, key []byte, form envelope) error {
	var room *format.Oversize
	if !errors.As(cause, &room) || key == nil || e.cfg.Schemas {
		return cause
	}
	var err error
	if form.fields, err = e.keyColumns(); err != nil {
		return err
	}
	if err := e.renderRow(c, &form); err != nil {
		return err
	}
	e.rec.Oversize = room.Bytes
	defer func() { e.rec.Oversize = 0 }()
	return e.emit(out, e.prog.route, key, e.value)
}

// keyColumns are the columns of the key as images have them. They are compiled
// when they are first needed.
func (e *Encoder) keyColumns() ([]field, error) {
	p := e.prog
	if p.keyColumns != nil {
		return p.keyColumns, nil
	}
	columns := slices.Sorted(slices.Values(p.table.Key))
	_, err := e.compileFields(p.table, columns, false, &p.keyColumns)
	return p.keyColumns, err
}

// envelope is what renderRow makes the value of a row's record from.
type envelope struct {
	fields        []field // that images show
	op            byte
	before, after []event.Value
}

// renderRow renders the envelope into value.
func (e *Encoder) renderRow(c *event.RowChange, form *envelope) error {
	b, ok := e.appendImage(append(e.value[:0], e.prog.valueHead...), form.fields, form.before)
	if !ok {
		return e.poison(c)
	}
	if b, ok = e.appendImage(append(b, `,"after":`...), form.fields, form.after); !ok {
		return e.poison(c)
	}
	b = append(b, e.event.head...)
	b = strconv.AppendUint(b, uint64(e.rowIndex(c)), 10)
	b = append(b, e.tx.thread...)
	b = e.appendBlock(b, c)
	b = append(append(b, `,"op":"`...), form.op)
	e.value = append(append(b, e.tx.clock...), e.prog.tail...)
	return nil
}

func (e *Encoder) appendImage(b []byte, fields []field, image []event.Value) ([]byte, bool) {
	if image == nil {
		return append(b, "null"...), true
	}
	return e.appendFields(b, fields, image)
}

// rowIndex is the row's place in its event; a row of a snapshot lies in none.
func (e *Encoder) rowIndex(c *event.RowChange) uint32 {
	if c.Op == event.Read {
		return 0
	}
	return c.Row
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
