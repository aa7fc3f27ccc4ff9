package mysql

import (
	"context"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// charsets asks which character set each collation of the server belongs to;
// table maps name collations by their ids. Servers that do not tell get nil,
// and the ids that are the same everywhere must do.
func (q *session) charsets(ctx context.Context) (binlog.Charsets, error) {
	sql := "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL"
	if q.flavor == event.MariaDB {
		// Since 10.10 collations are shared between character sets, and only
		// this view has the ids of the pairs.
		sql = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ID IS NOT NULL"
	}
	r, err := q.ask(ctx, sql)
	if err != nil && resilience.ClassOf(err) == resilience.Unclassified {
		return nil, nil // an older server: no such column
	}
	if err != nil {
		return nil, err
	}
	all := make(binlog.Charsets, len(r))
	for _, c := range r {
		all[uint32(number(c[0]))] = c[1]
	}
	return all, nil
}
