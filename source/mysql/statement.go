package mysql

import (
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// query interprets a statement in the log.
func (st *stream) query(ev *event.Event) (bool, error) {
	body, err := st.body()
	if err != nil {
		return false, err
	}
	if st.cur.header.Type == binlog.TypeQueryCompressed {
		if body, err = st.inflater.Query(body); err != nil {
			return false, err
		}
	}
	q, err := binlog.ParseQuery(body)
	if err != nil {
		return false, err
	}
	st.tx.events++
	s := binlog.Classify(q.SQL, q.Database, q.Mode)
	if s.Kind == binlog.StatementBegin {
		return st.beginStatement(ev, &q)
	}
	if st.fromSession(&s) && q.Decode(st.source.tables.charsets) {
		s = binlog.Classify(q.SQL, q.Database, q.Mode)
	}
	if err := st.readable(&q, &s); err != nil {
		return false, err
	}
	if st.tx.phase == running {
		return st.statementInside(ev, &q, &s)
	}
	return st.loneStatement(ev, &q, &s)
}

// beginStatement opens the transaction; where the server writes no GTID events
// it is the first that is heard of it.
func (st *stream) beginStatement(ev *event.Event, q *binlog.Query) (bool, error) {
	switch st.tx.phase {
	case running:
		return false, st.unexpected("a transaction begins inside another one")
	case begun:
		st.tx.phase, st.tx.thread = running, q.Thread
		return false, nil
	}
	st.newTransaction()
	st.tx.phase, st.tx.thread = running, q.Thread
	st.fillBegin(ev)
	return true, nil
}

// statementInside takes a statement between BEGIN and the end.
func (st *stream) statementInside(ev *event.Event, q *binlog.Query, s *binlog.Statement) (bool, error) {
	if st.tx.thread == 0 {
		st.tx.thread = q.Thread
	}
	switch s.Kind {
	case binlog.StatementCommit:
		return st.finish(ev, event.EvCommit)
	case binlog.StatementRollback:
		return st.finish(ev, event.EvRollback)
	case binlog.StatementSavepoint:
		st.tx.save(s.Name)
	case binlog.StatementRollbackTo:
		return false, st.rollbackTo(s.Name)
	case binlog.StatementXAStart:
		st.tx.xa = true
	case binlog.StatementXAPrepare, binlog.StatementXACommit:
		return false, errXA(s.Kind.String() + " " + s.Name)
	case binlog.StatementDML:
		return false, st.dml(q, s)
	case binlog.StatementUnknown:
		return false, st.unknownStatement(q)
	case binlog.StatementCreateTable:
		return false, st.replaced(s)
	case binlog.StatementTruncate, binlog.StatementDropTable, binlog.StatementAlterTable, binlog.StatementRenameTable:
		if !st.tx.skip && st.captures(s.Tables) { // each of them ends a transaction, and has one of its own
			return false, st.unexpected(head(q.SQL) + " of a captured table inside a transaction")
		}
	}
	// What is left changes no rows that outlive the transaction: temporary
	// tables, and CREATE TABLE ... SELECT, whose rows follow.
	return false, nil
}

// loneStatement takes a statement that is a transaction of its own.
func (st *stream) loneStatement(ev *event.Event, q *binlog.Query, s *binlog.Statement) (bool, error) {
	first := st.tx.phase == idle
	if first {
		st.newTransaction()
	}
	st.tx.thread = q.Thread
	switch s.Kind {
	case binlog.StatementXAStart:
		st.tx.phase, st.tx.xa = running, true
		if first {
			st.fillBegin(ev)
		}
		return first, nil
	case binlog.StatementXAPrepare, binlog.StatementXACommit:
		if st.tx.skip {
			break
		}
		return false, errXA(s.Kind.String() + " " + s.Name)
	case binlog.StatementXARollback:
		// Its rows were never handed on.
		return st.rolledBack(ev, first)
	case binlog.StatementDML:
		if err := st.dml(q, s); err != nil {
			return false, err
		}
	case binlog.StatementCreateTable:
		if s.WithRows { // in row format its rows would follow, in a transaction
			if err := st.dml(q, s); err != nil {
				return false, err
			}
		}
	}
	return st.ddl(ev, q, s)
}

// rolledBack ends the transaction of an XA ROLLBACK, opening it first where
// nothing else has.
func (st *stream) rolledBack(ev *event.Event, first bool) (bool, error) {
	if !first {
		return st.finish(ev, event.EvRollback)
	}
	st.fillBegin(ev)
	_, err := st.finish(&st.queued, event.EvRollback)
	st.hasQueue = err == nil
	return err == nil, err
}

// ddl ends the transaction with the statement.
func (st *stream) ddl(ev *event.Event, q *binlog.Query, s *binlog.Statement) (bool, error) {
	found, err := st.finish(ev, event.EvDDL)
	if found && st.concerns(s) {
		ev.DDL = &event.DDL{Database: q.Database, SQL: q.SQL, Kind: s.Kind.DDL(), Tables: st.removed(s), Names: namesOf(s), Altered: st.altered(s)}
		if s.Replace {
			ev.DDL.Kind = event.DDLDrop
		}
	}
	if err == nil {
		st.source.tables.forget(s)
	}
	return found, err
}

// namesOf lists the tables that a statement names; none for one that reaches
// further, such as DROP DATABASE.
func namesOf(s *binlog.Statement) []event.TableName {
	switch s.Kind {
	case binlog.StatementTruncate, binlog.StatementDropTable, binlog.StatementAlterTable,
		binlog.StatementRenameTable, binlog.StatementCreateTable:
	default:
		return nil
	}
	list := make([]event.TableName, len(s.Tables))
	for i, n := range s.Tables {
		list[i] = event.TableName(n)
	}
	return list
}

// altered lists the captured tables whose rows a statement may change without
// row events. Which columns are part of a key is known of tables of which rows
// have come.
func (st *stream) altered(s *binlog.Statement) (list []event.DDLAltered) {
	if s.Effect == 0 {
		return nil
	}
	for _, n := range s.Tables {
		if !st.source.filter.captured(n.Database, n.Name) {
			continue
		}
		effect := s.Effect
		if table := st.source.tables.latest[tableName{n.Database, n.Name}]; table != nil && inKey(table, s.Columns) {
			effect = event.RowsMove
		} else if table != nil && effect == event.KeyMayChange {
			continue
		}
		list = append(list, event.DDLAltered{Database: n.Database, Name: n.Name, Effect: effect})
	}
	return list
}

// inKey reports whether one of the columns is part of the table's key.
func inKey(table *event.Table, columns []string) bool {
	return slices.ContainsFunc(table.Key, func(k int) bool {
		return slices.ContainsFunc(columns, func(name string) bool { return strings.EqualFold(name, table.Columns[k].Name) })
	})
}

// concerns reports whether a statement is handed on: it names a captured table,
// or removes a database. Others tell readers of tables nothing, and the text of
// some, such as CREATE USER, is none of their business.
func (st *stream) concerns(s *binlog.Statement) bool {
	return s.Kind == binlog.StatementDropDatabase || st.captures(s.Tables)
}

// replaced stops at CREATE OR REPLACE TABLE ... SELECT: the rows of the former
// table go without a trace, in the middle of a transaction.
func (st *stream) replaced(s *binlog.Statement) error {
	if !s.Replace || st.tx.skip || !st.captures(s.Tables) {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "create_or_replace", opRead, "CREATE OR REPLACE TABLE %s.%s with a SELECT removes rows unseen", s.Tables[0].Database, s.Tables[0].Name).
		WithHint("exclude the table, or %s; DROP and CREATE ... SELECT as two statements are fine", resilience.StartOver)
}

func (st *stream) captures(tables []binlog.TableName) bool {
	for _, n := range tables {
		if st.source.filter.captured(n.Database, n.Name) {
			return true
		}
	}
	return false
}

// removed lists the captured tables whose rows a statement removes.
func (st *stream) removed(s *binlog.Statement) []event.DDLTable {
	if s.Kind == binlog.StatementDropDatabase {
		return st.source.tables.in(s.Name)
	}
	if s.Kind != binlog.StatementTruncate && s.Kind != binlog.StatementDropTable && !s.Replace {
		return nil
	}
	var list []event.DDLTable
	for _, n := range s.Tables {
		if st.source.filter.captured(n.Database, n.Name) {
			list = append(list, event.DDLTable{Database: n.Database, Name: n.Name, Table: st.source.tables.latest[tableName{n.Database, n.Name}]})
		}
	}
	return list
}

// dml stops at a change in statement format of a captured table. The tables it
// names need not be all: triggers, functions and views reach further. MySQL
// tells in which databases; one that the text does not account for may well hold
// what was changed. MariaDB does not tell.
func (st *stream) dml(q *binlog.Query, s *binlog.Statement) error {
	if st.tx.skip {
		return nil
	}
	for _, n := range s.Tables {
		if st.source.filter.captured(n.Database, n.Name) {
			return st.statementFormat(head(q.SQL)+" on "+n.Database+"."+n.Name, true)
		}
	}
	for _, db := range q.Touched() {
		if st.source.filter.capturesIn(db) && !accounted(q, s, db) {
			return st.statementFormat(head(q.SQL)+" that reaches into "+db, true)
		}
	}
	return st.statementFormat(head(q.SQL), s.Partial || len(s.Tables) == 0)
}

// accounted reports whether the text of a statement shows why it used a database.
func accounted(q *binlog.Query, s *binlog.Statement, database string) bool {
	for _, n := range s.Tables {
		if n.Database == database {
			return true
		}
	}
	return binlog.Mentions(q.SQL, q.Mode, database)
}

// unknownStatement stops inside a transaction: whatever it is, it could change rows.
func (st *stream) unknownStatement(q *binlog.Query) error {
	if st.tx.skip {
		return nil
	}
	return st.statementFormat(head(q.SQL), true)
}

func (st *stream) statementFormat(what string, concerned bool) error {
	if !concerned || st.tx.skip {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "statement_format_dml", opRead, "a change is logged as a statement: %s", what).
		WithHint("SET GLOBAL binlog_format = ROW, end the sessions that set their own, and %s; the rows of this statement are not in the log", resilience.StartOver)
}

// head is the first word of a statement: no values get into errors.
func head(sql string) string {
	f := strings.Fields(sql[:min(len(sql), 64)])
	if len(f) == 0 {
		return "an empty statement"
	}
	return strings.ToUpper(f[0])
}
