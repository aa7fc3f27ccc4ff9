package mysql

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/source"
)

// ReadWhole implements source.ChunkReader.
func (r *chunkReader) ReadWhole(ctx context.Context, req source.ChunkRequest, take func(event.RawRows) error) (source.Chunk, error) {
	w := &wholeRead{reader: r, take: take, seen: map[doubt]bool{}}
	req.Fresh = true
	return r.attempt(ctx, &req, w.read)
}

// wholeRead is the reading of a table by one SELECT.
type wholeRead struct {
	reader *chunkReader
	take   func(event.RawRows) error

	seen map[doubt]bool // labels that stand in rows
	used []doubt        // the same, in order
}

func (w *wholeRead) read(ctx context.Context, q *session, req *source.ChunkRequest, t *readTable) (source.Chunk, error) {
	d := t.definition
	if x := chunkIndex(d.indexes); x != nil {
		return source.Chunk{}, cursorError("the table has got a key, (%s)", strings.Join(x.names(), ", "))
	}
	query := &chunkQuery{table: fullName(req.Database, req.Table), fields: d.fieldList(), where: req.Where}
	if req.Where != "" {
		if err := q.tryCondition(ctx, query); err != nil {
			return source.Chunk{}, err
		}
	}
	// The table takes as long as it takes.
	if _, err := q.ask(ctx, "SET SESSION "+q.statementLimit(0)); err != nil {
		return source.Chunk{}, err
	}
	rows, err := q.selectAll(ctx, d, query.sql(), func(body event.RawRows) error { return w.pass(d, body) })
	if err != nil {
		return source.Chunk{}, err
	}
	if _, err := q.ask(ctx, "SET SESSION "+q.statementLimit(q.source.cfg.QueryTimeout)); err != nil {
		return source.Chunk{}, err
	}
	if t.definition, err = w.reader.prove(ctx, q, d, query, nil, w.used); err != nil {
		return source.Chunk{}, err
	}
	chunk := source.Chunk{Table: t.definition.table, Count: rows.count, Bytes: rows.bytes, End: true}
	chunk.High, err = w.reader.high(ctx, q, req, false)
	return chunk, err
}

// pass hands a body on.
func (w *wholeRead) pass(d *definition, body event.RawRows) error {
	if len(d.doubts) > 0 {
		used, err := d.doubtsIn([]event.RawRows{body}, w.seen)
		if err != nil {
			return err
		}
		w.used = append(w.used, used...)
	}
	return w.take(body)
}

// selectAll runs a SELECT of the table's fields and hands the rows on. It may
// take any time as long as rows come.
func (q *session) selectAll(ctx context.Context, d *definition, sql string, take func(event.RawRows) error) (chunkRows, error) {
	silence := q.source.cfg.QueryTimeout + queryGrace
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(silence, func() { cancel(fmt.Errorf("no rows for %s", silence)) })
	defer alarm.Stop()
	guard := interruptOn(ctx, q.Conn.Conn.Conn)
	rows, err := q.execute(d, sql, chunkBody, math.MaxInt, func(body event.RawRows) error {
		err := take(body)
		alarm.Reset(silence)
		return err
	})
	return rows, selectError(ctx, guard(), err)
}
