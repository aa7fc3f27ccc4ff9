package eventtest

import (
	"fmt"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// Row is one row change in the making.
type Row struct {
	Table         *event.Table
	Op            event.Op
	Before, After []event.Value
}

// Insert is an inserted row.
func Insert(t *event.Table, after ...event.Value) Row {
	return Row{Table: t, Op: event.Insert, After: after}
}

// Update is an updated row.
func Update(t *event.Table, before, after []event.Value) Row {
	return Row{Table: t, Op: event.Update, Before: before, After: after}
}

// Delete is a deleted row.
func Delete(t *event.Table, before ...event.Value) Row {
	return Row{Table: t, Op: event.Delete, Before: before}
}

// Read is a row seen by a snapshot.
func Read(t *event.Table, after ...event.Value) Row {
	return Row{Table: t, Op: event.Read, After: after}
}

// SID is the server of the transactions that [Tx] makes.
var SID = [16]byte{0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62}

var file = &event.LogFile{Name: "binlog.000007", StampTime: 1767225600, StampServer: 31}

// Tx returns transaction number n of a made-up MySQL server: GTID, Seq and
// offsets follow from n, the commit time is n seconds and 123456 microseconds
// after 2026-01-01. The rows are counted when they are added.
func Tx(n uint64) *event.Tx {
	commit := time.Unix(1767225600+int64(n), 123456000).UTC()
	return &event.Tx{
		Begin:    event.Coord{File: file, Offset: n * 1000},
		End:      event.Coord{File: file, Offset: n*1000 + 900, GTID: event.GTID{SID: SID, N: n}, Seq: n},
		ServerID: 31, Thread: 18, Commit: commit, Micros: true, Received: commit.Add(time.Millisecond),
		Key: fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa9429562:%d", n),
	}
}

// Piece returns the only piece of the transaction, and counts the rows in it.
func Piece(tx *event.Tx, rows ...Row) *event.Piece { return Pieces(tx, len(rows)+1, rows...)[0] }

// Pieces cuts the rows of the transaction into pieces of perPiece rows and
// counts them in tx. Without rows it returns the one empty piece.
func Pieces(tx *event.Tx, perPiece int, rows ...Row) []*event.Piece {
	tx.Rows, tx.Tables = 0, nil
	all := []*event.Piece{{Tx: tx}}
	for pos := tx.Begin.Offset + 100; len(rows) > 0; {
		p, n := all[len(all)-1], min(perPiece, len(rows))
		p.Events = Events(pos, rows[:n]...)
		number(tx, p)
		pos, rows = pos+uint64(p.Bytes), rows[n:]
		if len(rows) > 0 {
			all = append(all, &event.Piece{Tx: tx})
		}
	}
	all[0].First, all[len(all)-1].Last = true, true
	return all
}

// Events returns one raw event a run of rows with the same table and op; the
// first lies at offset pos of the log file and each next one behind it.
func Events(pos uint64, rows ...Row) []event.RawRows {
	var all []event.RawRows
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Table == rows[0].Table && rows[n].Op == rows[0].Op {
			n++
		}
		ev := event.RawRows{Table: rows[0].Table, Op: rows[0].Op, Type: byte(rows[0].Op), Body: Body(rows[:n]...),
			Pos: pos, Time: 1767225600, Rows: uint32(n)}
		all, pos, rows = append(all, ev), pos+uint64(len(ev.Body)), rows[n:]
	}
	return all
}

// number gives the events of the piece their ordinals, and tx its counts.
func number(tx *event.Tx, p *event.Piece) {
	for i := range p.Events {
		ev := &p.Events[i]
		c := counter(tx, ev.Table)
		ev.Ordinal, ev.TableOrdinal = tx.Rows, c.Rows
		tx.Rows += uint64(ev.Rows)
		c.Rows += uint64(ev.Rows)
		p.Bytes += len(ev.Body)
	}
}

func counter(tx *event.Tx, t *event.Table) *event.TableCount {
	for i := range tx.Tables {
		if c := &tx.Tables[i]; c.Database == t.Database && c.Table == t.Name {
			return c
		}
	}
	tx.Tables = append(tx.Tables, event.TableCount{Database: t.Database, Table: t.Name})
	return &tx.Tables[len(tx.Tables)-1]
}
