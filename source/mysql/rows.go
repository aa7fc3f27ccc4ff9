package mysql

import (
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// rowsHead is how much of a rows event's body tells its table.
const rowsHead = 6

func (st *stream) tableMap() error {
	body, err := st.body()
	if err != nil || st.tx.skip {
		return err
	}
	return st.source.tables.see(body, st.flavor)
}

// rows hands on the rows of a captured table; others are dropped where they lie.
func (st *stream) rows(ev *event.Event) (bool, error) {
	if st.tx.phase == idle {
		return false, st.unexpected("rows come outside of a transaction")
	}
	st.tx.events++
	table, wanted, err := st.wanted()
	if err != nil {
		return false, err
	}
	if !wanted {
		return false, st.drop()
	}
	body, err := st.body()
	if err != nil {
		return false, err
	}
	r, err := binlog.ParseRows(st.cur.header.Type, body)
	if err != nil {
		return false, err
	}
	if r.Type.IsCompressedRows() {
		if r, err = st.inflater.Rows(r); err != nil {
			return false, err
		}
	}
	st.tx.rows++
	h := &st.cur.header
	*ev = event.Event{Kind: event.EvRows, ServerID: st.tx.server, Raw: event.RawRows{
		Table: table, Op: r.Op, Type: byte(r.Type), Body: r.Body, Pos: st.cur.start, Time: h.Time,
	}}
	ev.Coord.File, ev.Coord.Offset = st.place.file, st.place.offset
	return true, nil
}

// wanted finds the table of the rows event at hand, and whether its rows are
// to be handed on.
func (st *stream) wanted() (*event.Table, bool, error) {
	if st.tx.skip || st.tx.doomed || st.voids.cover(st.tx.events) {
		return nil, false, nil
	}
	head, err := st.prefix(rowsHead)
	if err != nil {
		return nil, false, err
	}
	if len(head) < rowsHead {
		return nil, false, st.unexpected("a rows event is too short")
	}
	id := tableID(head)
	table, known := st.source.tables.byID(id)
	if !known && binlog.IsDummyTable(id) && st.cur.header.Size <= maxDummyEvent {
		return nil, false, nil // ends a statement, without rows; a table may have that id
	}
	if !known {
		return nil, false, resilience.Errorf(resilience.Fatal, "table_map_missing", opRead, "rows of table id %d come without its table map", id).
			WithHint("the transaction is not whole in the log: look at it with mysqlbinlog and report this")
	}
	if table == nil {
		return nil, false, nil
	}
	if st.tx.xa {
		return nil, false, errXA("an XA transaction changes " + table.Database + "." + table.Name)
	}
	return table, true, nil
}

// maxDummyEvent is more than an event without rows has: header, table id,
// flags, extra data, column count and checksum.
const maxDummyEvent = 48

func tableID(b []byte) uint64 {
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40
}
