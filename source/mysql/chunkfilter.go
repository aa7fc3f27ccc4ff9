package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	mysqlerr "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/resilience"
)

const (
	// filterTime is about how long the rows of one chunk are looked for, where
	// few of them meet a condition.
	filterTime = 500 * time.Millisecond
	// maxFilterStep is the most rows that a condition is tried on by one statement.
	maxFilterStep = 1 << 20
)

// scanFiltered reads the rows of a chunk that meet a condition. One statement
// could go through the whole table without finding as many as it may return;
// so the table is cut into stretches first, by the key alone, each as long as
// a statement may last. A chunk may come out empty although it got on.
func (q *session) scanFiltered(ctx context.Context, t *readTable, query *chunkQuery, maxBytes int) (rows chunkRows, err error) {
	if t.step == 0 {
		t.step = query.limit
	}
	if t.condition != query.where {
		if err := q.tryCondition(ctx, query); err != nil {
			return rows, err
		}
		t.condition = query.where
	}
	left := *query
	for began := time.Now(); rows.count == 0 && !rows.all && time.Since(began) < filterTime; {
		if rows.last != nil {
			if left.after, err = t.definition.placeOf(rows.last, query); err != nil {
				return rows, err
			}
		}
		stretchBegan := time.Now()
		if rows, err = q.scanStretch(ctx, t, left, maxBytes); err != nil {
			return rows, err
		}
		t.paceStep(time.Since(stretchBegan))
	}
	if rows.count > 0 {
		t.rowSize = rows.bytes / rows.count
	}
	return rows, nil
}

// tryCondition lets the server parse the condition, in brackets as it is used,
// and on its own: "a) OR (b" is an expression only in brackets that are not its.
func (q *session) tryCondition(ctx context.Context, query *chunkQuery) error {
	for _, form := range []string{"%s\n", "(%s\n)"} {
		_, err := q.ask(ctx, "SELECT 1 FROM "+query.table+" WHERE "+fmt.Sprintf(form, query.where)+" LIMIT 0")
		var my *mysqlerr.MyError
		if errors.As(err, &my) && strings.HasPrefix(my.State, "42") && my.Code != 1142 && my.Code != 1146 {
			return resilience.Errorf(resilience.Fatal, codeCondition, opReadChunk, "the server refuses the condition %q: %v", query.where, my).
				WithHint("correct the condition: it stands behind WHERE")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scanStretch reads the rows that meet the condition in the next stretch.
func (q *session) scanStretch(ctx context.Context, t *readTable, query chunkQuery, maxBytes int) (rows chunkRows, err error) {
	end, err := q.stretch(ctx, t, query)
	if err != nil {
		return rows, err
	}
	if end != nil {
		if query.until, err = t.definition.placeOf(end, &query); err != nil {
			return rows, err
		}
	}
	rows, err = q.selectRows(ctx, t.definition, query.sql(), chunkBody, maxBytes)
	if rows.all = rows.all && rows.count < query.limit; rows.all && end != nil {
		rows.last, rows.all = end, false // on behind the stretch
	}
	return rows, err
}

// stretch returns the row that ends the next stretch, nil where the table ends
// before it.
func (q *session) stretch(ctx context.Context, t *readTable, query chunkQuery) ([]byte, error) {
	query.where, query.limit, query.skip = "", 1, t.step-1
	rows, err := q.selectRows(ctx, t.definition, query.sql(), 4<<10, 1)
	return rows.last, err
}

// paceStep makes the next stretch longer or shorter by the time of the last.
func (t *readTable) paceStep(took time.Duration) {
	switch {
	case took < filterTime/4:
		t.step = min(2*t.step, maxFilterStep)
	case took > filterTime:
		t.step = max(t.step/2, 1)
	}
}

// placeOf returns the literals of a row's place in the order of a query.
func (d *definition) placeOf(row []byte, query *chunkQuery) ([]string, error) {
	key := d.indexesOf(query.index.names())
	c, err := d.cursorAt(row, key)
	if err != nil {
		return nil, err
	}
	return d.literals(c, key)
}
