package mysql

import (
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// The text of a statement is in the character set of the session that ran it.

// fromSession reports whether a text is the session's own. The savepoints and
// the CREATE TABLE of a transaction are worded by the server, in UTF-8, whatever
// character set it puts beside them.
func (st *stream) fromSession(s *binlog.Statement) bool {
	return st.tx.phase != running || s.Kind == binlog.StatementDML || s.Kind == binlog.StatementUnknown
}

// readable stops at a statement that names, in characters that were not
// decoded, what may be a captured table.
func (st *stream) readable(q *binlog.Query, s *binlog.Statement) error {
	if q.Undecoded == "" || st.tx.skip {
		return nil
	}
	names := s.Tables
	if s.Kind == binlog.StatementDropDatabase {
		names = []binlog.TableName{{Database: s.Name}}
	}
	for _, n := range names {
		// The default database comes with the event, in UTF-8.
		known := n.Database == q.Database || isASCII(n.Database)
		if known && (isASCII(n.Name) || !st.source.filter.capturesIn(n.Database)) {
			continue
		}
		return resilience.Errorf(resilience.Fatal, "statement_charset", opRead,
			"%s of a table or database whose name is written in %s, which this release does not read", head(q.SQL), q.Undecoded).
			WithHint("SET NAMES utf8mb4 in sessions that create, change or drop what has such names, and %s", resilience.StartOver)
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
