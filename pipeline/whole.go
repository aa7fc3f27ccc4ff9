package pipeline

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/txbuffer"
)

// wholeTries is how often a table without a key is read before a pipeline stops
// because the table changes each time, and wholePause how long it waits between
// two of them, up to wholePause << wholeTries.
const (
	wholeTries = 10
	wholePause = 20 * time.Millisecond
)

// wholeTxBytes is about how many rows of a table that leaves as a whole make a
// transaction: none is larger than a sink takes, however large the table.
const wholeTxBytes = 4 << 20

// whole reads the table with one SELECT, to disk. The rows leave only if no row
// of it was changed in the window: nothing tells which of them that was.
func (t *tableRead) whole(ctx context.Context) error {
	b := &t.l.p.cfg.Buffer
	file, err := txbuffer.NewRowFile(b.SpillDir, b.MaxSpillBytes)
	if err != nil {
		return err
	}
	w, err := t.window(ctx)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	failpoint.Hit("snapshot.open")
	c, err := t.conn.ReadWhole(ctx, source.ChunkRequest{
		Database: t.info.Database, Table: t.info.Name, Seen: w.Seen, Fresh: w.Fresh, Where: t.where,
	}, file.Append)
	failpoint.Hit("snapshot.read")
	if err != nil {
		return errors.Join(err, file.Close(), t.l.calls.post(func() { t.drop(w) }))
	}
	err = t.l.calls.post(func() { t.l.deliverWhole(w, c, file) })
	if err != nil {
		err = errors.Join(err, file.Close())
	}
	return err
}

// deliverWhole gives a table to the merger, in the dispatch goroutine, which owns
// the file from here on.
func (l *line) deliverWhole(w *snapshot.Window, c source.Chunk, file *txbuffer.RowFile) {
	p := l.reads[w]
	if p == nil { // given up meanwhile
		_ = file.Close() // of no use to anyone
		return
	}
	p.whole = file
	l.merger.Read(w, c)
}

// touched waits a little for the writers of a table without a key to rest.
func (t *tableRead) touched(ctx context.Context) error {
	if t.tries++; t.tries == wholeTries {
		return resilience.Errorf(resilience.Fatal, "snapshot_table_busy", "read table",
			"the table has no key to cut chunks by, and changed during each of %d reads of it as a whole", wholeTries).
			WithPlace("%s", t.name()).
			WithHint("let its writers rest for one read and resume, ALTER TABLE ... ADD PRIMARY KEY, or leave it out: snapshot: {exclude: [%s]}", t.name())
	}
	return pause(ctx, wholePause<<t.tries)
}

// handOnWhole hands on op t for the table and then all its rows, in transactions
// with nothing between them. Only the last says that the table is done: when the
// line ends before that, the next one begins with op t again.
func (d *dispatcher) handOnWhole(ctx context.Context, t *tableRead, v *event.Table, file *txbuffer.RowFile) error {
	t.clears = false
	t.state = t.state.Over(t.state.Key).Part(0, 0, false, time.Now())
	if err := d.truncate(ctx, t, v); err != nil {
		return err
	}
	for {
		failpoint.Hit("snapshot.merge")
		d.s.beat()
		rows, n, err := wholeRows(file, v)
		if err != nil {
			return err
		}
		size := 0
		for i := range rows {
			size += len(rows[i].Body)
		}
		t.state = t.state.Part(n, size, t.state.Rows+n == file.Rows(), time.Now())
		tx, err := d.silentTx(t, n)
		if err != nil {
			return err
		}
		if err := d.putAll(ctx, cut(tx, rows, nil)); err != nil || t.state.Done {
			return err
		}
	}
}

// wholeRows reads the rows of the next transaction, n of them.
func wholeRows(file *txbuffer.RowFile, v *event.Table) (rows []event.RawRows, n uint64, err error) {
	for size := 0; size < wholeTxBytes; {
		raw, err := file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		raw.Table, raw.Ordinal, raw.TableOrdinal = v, n, n
		rows, n, size = append(rows, raw), n+uint64(raw.Rows), size+len(raw.Body)
	}
	return rows, n, nil
}

// truncate hands on op t for a table that is read from its beginning, with the
// table's state. v may be nil.
func (d *dispatcher) truncate(ctx context.Context, t *tableRead, v *event.Table) error {
	tx, err := d.silentTx(t, 0)
	if err != nil {
		return err
	}
	tx.Tables = nil
	tx.DDL = &event.DDL{
		Database: t.info.Database, SQL: "the snapshot of " + t.name() + " begins anew", Kind: event.DDLTruncate,
		Tables: []event.DDLTable{{Database: t.info.Database, Name: t.info.Name, Table: v}},
		Reread: true, Gap: t.state.Cause == snapshot.Gap,
	}
	return d.put(ctx, &event.Piece{Tx: tx, First: true, Last: true})
}
