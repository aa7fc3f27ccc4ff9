package mysql

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	mysqlerr "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/resilience"
)

// Without GTIDs MySQL does not tell what a SELECT shows. But with
// binlog_order_commits=ON it commits in the order of its log: once a row that we
// have written is committed, everything that was in the log before it shows. The
// row lies in the watermark table, which is never captured.

const (
	codeCommitOrder = "snapshot_commit_order"
	codeWatermark   = "snapshot_watermark"
)

const hintWatermark = hintGTID + "; or set the source's watermark to a table that cdcd may write to, such as cdcd.watermark"

// watermarkSlots is how many rows of the watermark table a pipeline has. Readers
// of tables that share one wait for each other's commit.
const watermarkSlots = 32

// watermark is the configured table as two names.
func (c *Config) watermark() tableName {
	database, table, _ := strings.Cut(c.Watermark, ".")
	return tableName{database, table}
}

// watermarkSQL is what makes the watermark table and lets an account write to it.
func (c *Config) watermarkSQL(account string) (create []string, grant string) {
	n := c.watermark()
	full := fullName(n.database, n.table)
	return []string{
		"CREATE DATABASE IF NOT EXISTS " + quoted(n.database),
		"CREATE TABLE IF NOT EXISTS " + full + " (reader CHAR(36) CHARACTER SET ascii NOT NULL, slot TINYINT UNSIGNED NOT NULL, " +
			"mark BIGINT UNSIGNED NOT NULL, PRIMARY KEY (reader, slot)) ENGINE=InnoDB",
	}, "GRANT SELECT, INSERT, UPDATE ON " + full + " TO " + account
}

// prepareWatermark checks what the watermark needs of the server, and sets the
// session's patience: a row that is locked is one whose commit is held up, and
// to wait for it with every connection would exhaust them.
func (q *session) prepareWatermark(ctx context.Context, mode string) error {
	if q.source.cfg.Watermark == "" {
		return resilience.Errorf(resilience.Fatal, codeNeedsGTID, opReadChunk, "gtid_mode is %s: nothing tells what a SELECT shows", mode).
			WithHint("%s", hintWatermark)
	}
	if err := q.watermarkIsLogged(ctx); err != nil {
		return err
	}
	q.byMark = true
	_, err := q.ask(ctx, "SET SESSION innodb_lock_wait_timeout = 1")
	return err
}

// watermarkIsLogged requires that what we write gets into the log: commits that
// do not are in no order with those that do.
func (q *session) watermarkIsLogged(ctx context.Context) error {
	do, ignore, err := q.logFilter(ctx)
	if err != nil {
		return err
	}
	r, err := q.row(ctx, "SELECT @@session.sql_log_bin")
	if err != nil {
		return err
	}
	db := q.source.cfg.watermark().database
	if r[0] == "1" && !slices.Contains(ignore, db) && (len(do) == 0 || slices.Contains(do, db)) {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, codeWatermark, opReadChunk, "the server does not log what is written to %s", q.source.cfg.Watermark).
		WithHint("choose a watermark table in a database that binlog_do_db and binlog_ignore_db let through")
}

// logFilter lists the databases that the log is bound to, and those it leaves out.
func (q *session) logFilter(ctx context.Context) (do, ignore []string, err error) {
	r, err := q.logStatus(ctx)
	if err != nil {
		return nil, nil, err
	}
	split := func(list string) []string {
		return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	}
	return split(r[2]), split(r[3]), nil
}

// pastMark writes a row and returns once it is committed, and with it everything
// that was in the log before.
func (q *session) pastMark(ctx context.Context, table tableName) error {
	write := q.markStatement(table)
	_, err := q.ask(ctx, write)
	if isMissing(err) {
		if err := q.createWatermark(ctx); err != nil {
			return err
		}
		_, err = q.ask(ctx, write)
	}
	if err != nil {
		return q.watermarkError(ctx, err)
	}
	return q.ordersCommits(ctx)
}

// markStatement changes a row that readers of other tables mostly leave alone.
func (q *session) markStatement(table tableName) string {
	n := q.source.cfg.watermark()
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s.%s", table.database, table.table)
	return fmt.Sprintf("INSERT INTO %s (reader, slot, mark) VALUES ('%s', %d, 1) ON DUPLICATE KEY UPDATE mark = mark + 1",
		fullName(n.database, n.table), q.source.replica.uuid, h.Sum32()%watermarkSlots)
}

// ordersCommits requires that commits become visible in the order of the log.
func (q *session) ordersCommits(ctx context.Context) error {
	r, err := q.row(ctx, "SELECT @@global.binlog_order_commits")
	if err != nil || r[0] == "1" {
		return err
	}
	return resilience.Errorf(resilience.Fatal, codeCommitOrder, opReadChunk, "binlog_order_commits is OFF and gtid_mode is not ON: nothing tells what a SELECT shows").
		WithHint("%s then resume", q.set("binlog_order_commits", "ON"))
}

// createWatermark makes the table, and its database where that is missing too.
func (q *session) createWatermark(ctx context.Context) error {
	create, _ := q.source.cfg.watermarkSQL(q.account)
	_, err := q.ask(ctx, create[1])
	if isMissing(err) {
		for _, sql := range create {
			if _, err = q.ask(ctx, sql); err != nil {
				break
			}
		}
	}
	if err != nil {
		return q.watermarkError(ctx, err)
	}
	return nil
}

// isMissing reports whether an error says that a database or table is not there.
func isMissing(err error) bool {
	var my *mysqlerr.MyError
	return errors.As(err, &my) && (my.Code == 1049 || my.Code == 1146)
}

// watermarkError gives a refusal to write the watermark its meaning; what is
// left heals or not like any other error.
func (q *session) watermarkError(ctx context.Context, err error) error {
	var my *mysqlerr.MyError
	if ctx.Err() != nil || !errors.As(err, &my) {
		return err
	}
	// Without the server's error in the chain, which would pass for one about the table that is read.
	refused := resilience.Errorf(resilience.Fatal, codeWatermark, opReadChunk, "%s", my).WithPlace("%s", q.source.cfg.Watermark)
	switch {
	case isMissing(my):
		refused.Class = resilience.Transient // it was dropped this moment
		return refused
	case isNoRight(my):
		create, grant := q.source.cfg.watermarkSQL(q.account)
		return refused.WithHint("%s; %s; then resume", strings.Join(create, "; "), grant)
	case my.Code == 1290 || my.Code == 1836:
		return refused.WithHint("the server takes no writes: " + hintGTID)
	case my.Code == 1054 || my.Code == 1136 || my.Code == 1364:
		create, _ := q.source.cfg.watermarkSQL(q.account)
		return refused.WithHint("the table is another one: choose a name of its own, or drop it and %s", create[1])
	}
	return err
}
