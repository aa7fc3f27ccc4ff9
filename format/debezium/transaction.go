package debezium

import (
	"strconv"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

// emitBegin emits BEGIN, where it is wanted. Rows of a snapshot travel in
// silent transactions, which have none.
func (e *Encoder) emitBegin(tx *event.Tx, out format.Emitter) error {
	if e.transaction == nil || tx.Silent {
		return nil
	}
	e.startMarker("BEGIN")
	e.value = append(e.value, `,"event_count":null,"data_collections":null`...)
	return e.emitMarker(out)
}

// emitEnd emits END with the counts of rows.
func (e *Encoder) emitEnd(tx *event.Tx, out format.Emitter) error {
	if e.transaction == nil || tx.Silent {
		return nil
	}
	e.startMarker("END")
	b := strconv.AppendUint(append(e.value, `,"event_count":`...), tx.Rows, 10)
	b = append(b, `,"data_collections":`...)
	open := byte('[')
	for i := range tx.Tables {
		t := &tx.Tables[i]
		b = append(append(b, open), `{"data_collection":`...)
		b = appendTableName(b, t.Database, t.Table)
		b = append(strconv.AppendUint(append(b, `,"event_count":`...), t.Rows, 10), '}')
		open = ','
	}
	e.value = append(b, ']')
	return e.emitMarker(out)
}

// appendTableName appends "database.table" as one string.
func appendTableName(b []byte, database, table string) []byte {
	b = appendQuoted(b, database)
	b[len(b)-1] = '.'
	dot := len(b)
	b = appendQuoted(b, table)
	return append(b[:dot], b[dot+1:]...)
}

// startMarker begins the value of BEGIN or END.
func (e *Encoder) startMarker(status string) {
	b := e.value[:0]
	if e.cfg.Schemas {
		b = append(b, transactionSchema...)
	}
	b = append(append(append(b, `{"status":"`...), status...), `","id":`...)
	e.value = append(b, e.tx.quotedID...)
}

func (e *Encoder) emitMarker(out format.Emitter) error {
	e.value = append(append(append(e.value, `,"ts_ms":`...), e.tx.ms...), '}')
	e.key = e.key[:0]
	if e.cfg.Schemas {
		e.value = append(e.value, '}')
		e.key = append(e.key, transactionKeySchema...)
	}
	e.key = append(append(append(e.key, `{"id":`...), e.tx.quotedID...), '}')
	if e.cfg.Schemas {
		e.key = append(e.key, '}')
	}
	e.rec = format.Record{}
	return e.emit(out, e.transaction, e.key, e.value)
}

// Heartbeat emits a heartbeat record, where heartbeats are wanted.
func (e *Encoder) Heartbeat(millis int64, out format.Emitter) error {
	if e.heartbeat == nil {
		return nil
	}
	key, value, end := e.key[:0], e.value[:0], ""
	if e.cfg.Schemas {
		key, value, end = append(key, heartbeatKeySchema...), append(value, heartbeatSchema...), "}"
	}
	key = append(append(appendQuoted(append(key, `{"serverName":`...), e.cfg.Prefix), '}'), end...)
	value = append(append(strconv.AppendInt(append(value, `{"ts_ms":`...), millis, 10), '}'), end...)
	e.key, e.value, e.tx.millis = key, value, millis
	e.rec = format.Record{}
	return e.emit(out, e.heartbeat, key, value)
}

// encodeDDL emits op t for each captured table that a TRUNCATE emptied or a
// DROP removed: a null key, to every partition. The records are no rows of the
// transaction: their ordinal is 0, and the tables are numbered as its parts.
func (e *Encoder) encodeDDL(tx *event.Tx, out format.Emitter) error {
	ddl := tx.DDL
	if ddl.Kind != event.DDLTruncate && ddl.Kind != event.DDLDrop || len(ddl.Tables) == 0 {
		return nil
	}
	if e.cfg.Truncate == "skip" {
		return e.skipTruncate(tx)
	}
	if e.cfg.Truncate == "stop" && !ddl.Reread {
		return resilience.Errorf(resilience.Fatal, "table_truncated", "encode DDL", "%q empties or removes a captured table", ddl.SQL).
			WithPlace("%s.%s, transaction %s", ddl.Tables[0].Database, ddl.Tables[0].Name, tx.Key).
			WithHint("empty what was made from its topic, then set truncate to event or skip and start again")
	}
	e.startTx(tx)
	for i := range ddl.Tables {
		if err := e.emitTruncate(tx, i, out); err != nil {
			return err
		}
	}
	return nil
}

// skipTruncate leaves op t out. Behind a gap it must not be: rows that were
// deleted meanwhile would stay for ever.
func (e *Encoder) skipTruncate(tx *event.Tx) error {
	if !tx.DDL.Gap {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "gap_needs_truncate", "encode DDL", "changes were lost, and truncate: skip leaves out what tells it").
		WithPlace("%s.%s", tx.DDL.Tables[0].Database, tx.DDL.Tables[0].Name).
		WithHint("set truncate: event in the format and start again; a compacted topic takes no such record: make it anew and %s", resilience.StartOver)
}

// gapHeader marks op t of a table that is read again because changes were lost.
var gapHeader = []format.Header{{Key: "cdcd.gap", Value: []byte("true")}}

func (e *Encoder) emitTruncate(tx *event.Tx, i int, out format.Emitter) error {
	t := &tx.DDL.Tables[i]
	table := t.Table
	if table == nil {
		// No row of it was seen: the route and the names are enough.
		table = &event.Table{Database: t.Database, Name: t.Name}
	}
	c := event.RowChange{Table: table, Op: event.Truncate, Pos: tx.Begin.Offset}
	if err := e.startEvent(&c); err != nil {
		return err
	}
	e.rec = format.Record{Broadcast: true, Part: uint16(i + 1), Parts: uint16(len(tx.DDL.Tables))}
	if tx.DDL.Gap {
		e.rec.Headers = gapHeader
	}
	return e.emitRow(&c, out, nil, byte(event.Truncate), nil, nil)
}
