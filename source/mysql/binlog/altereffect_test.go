package binlog

import (
	"slices"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
)

func TestAlterEffect(t *testing.T) {
	const none, key, values, rows = event.DDLEffect(0), event.KeyMayChange, event.ValuesChange, event.RowsMove
	for _, x := range []struct {
		clauses string
		effect  event.DDLEffect
		columns string
	}{
		{"ADD c INT", none, ""},
		{"ADD COLUMN c INT NULL DEFAULT NULL COMMENT 'not 5, DEFAULT 7' AFTER b", none, ""},
		{"ADD IF NOT EXISTS c INT", none, ""},
		{"ADD c INT DEFAULT 5", values, ""},
		{"ADD c INT DEFAULT (uuid())", values, ""},
		{"ADD c INT NOT NULL", values, ""},
		{"ADD (c INT, d INT DEFAULT 5)", values, ""},
		{"ADD c INT AS (a + 1)", values, ""},
		{"ADD c INT GENERATED ALWAYS AS (a + 1) STORED", values, ""},
		{"ADD c SERIAL", values, ""},
		{"ADD c INT AUTO_INCREMENT PRIMARY KEY", rows, ""},
		{"ADD `not` INT", none, ""},
		{"ADD INDEX i (a), ADD UNIQUE KEY u (b), ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES x (a), ADD CHECK (a IS NOT NULL)", none, ""},
		{"ADD INDEX i (a), ADD c INT DEFAULT 3", values, ""},
		{"ADD PRIMARY KEY (a)", rows, ""},
		{"ADD CONSTRAINT PRIMARY KEY (a)", rows, ""},
		{"ADD CONSTRAINT p PRIMARY KEY (a)", rows, ""},
		{"ADD PARTITION (PARTITION p VALUES LESS THAN (9))", none, ""},
		{"DROP PRIMARY KEY, ADD UNIQUE (a)", rows, ""},
		{"DROP INDEX `PRIMARY`", rows, ""},
		{"DROP INDEX i, DROP FOREIGN KEY f, DROP CONSTRAINT IF EXISTS k", none, ""},
		{"DROP a", key, "a"},
		{"DROP COLUMN IF EXISTS a, DROP COLUMN `b`", key, "a b"},
		{"DROP PARTITION p0, p1", rows, ""},
		{"MODIFY COLUMN a BIGINT NOT NULL", values, "a"},
		{"MODIFY a INT PRIMARY KEY", rows, "a"},
		{"CHANGE a b VARCHAR(20) DEFAULT 'x'", values, "a b"},
		{"RENAME COLUMN a TO b", key, "a b"},
		{"RENAME INDEX a TO b", none, ""},
		{"RENAME TO u", rows, ""},
		{"ALTER a SET DEFAULT 7, ALTER INDEX i INVISIBLE, ENGINE = InnoDB, COMMENT 'DROP PARTITION p'", none, ""},
		{"DEFAULT CHARACTER SET utf8mb4", none, ""},
		{"CONVERT TO CHARACTER SET latin1", values, ""},
		{"CONVERT PARTITION p TO TABLE u", rows, ""},
		{"TRUNCATE PARTITION p", rows, ""},
		{"EXCHANGE PARTITION p WITH TABLE u", rows, ""},
		{"REORGANIZE PARTITION p INTO (PARTITION q VALUES LESS THAN (9)), ORDER BY a", none, ""},
		{"PARTITION BY HASH (a) PARTITIONS 4", none, ""},
		{"IMPORT TABLESPACE", rows, ""},
		{"DROP SYSTEM VERSIONING", rows, ""},
		{"WAIT 5 DROP PARTITION p", rows, ""},
		{"", none, ""},
	} {
		s := Classify("ALTER TABLE db.t "+x.clauses, "db", 0)
		if s.Effect != x.effect || strings.Join(s.Columns, " ") != x.columns {
			t.Errorf("%s: effect %d, columns %q; want %d, %q", x.clauses, s.Effect, s.Columns, x.effect, x.columns)
		}
	}
	for sql, want := range map[string]event.DDLEffect{
		"ALTER IGNORE TABLE t ADD UNIQUE (a)":                                      rows,
		"ALTER ONLINE IGNORE TABLE t ADD INDEX (a)":                                none,
		"SET STATEMENT max_statement_time=1 FOR ALTER TABLE t ADD c INT DEFAULT 1": values,
		"RENAME TABLE a TO b":                                                      rows,
		"CREATE INDEX i ON t (a)":                                                  none,
		"DROP INDEX i ON t":                                                        none,
		"DROP INDEX `PRIMARY` ON t":                                                rows,
		"TRUNCATE TABLE t":                                                         none, // an event of its own tells
	} {
		if s := Classify(sql, "db", 0); s.Effect != want {
			t.Errorf("%s: effect %d, want %d", sql, s.Effect, want)
		}
	}
	if s := Classify("ALTER TABLE a RENAME b, DROP PARTITION p", "db", 0); !slices.Equal(s.Tables, []TableName{{"db", "a"}, {"db", "b"}}) {
		t.Errorf("tables %v", s.Tables)
	}
}
