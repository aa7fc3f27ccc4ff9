package mysql

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/cdcd-io/cdcd/resilience"
)

// maxNamed is how many tables or columns one finding names.
const maxNamed = 10

const systemDatabases = "('mysql', 'sys', 'performance_schema', 'information_schema')"

// tables looks at the captured tables as a whole.
func (e *examination) tables() error {
	r, err := e.ask(e.ctx, `SELECT t.TABLE_SCHEMA, t.TABLE_NAME, IFNULL(t.ENGINE, ''), IFNULL(e.TRANSACTIONS, 'YES'),
		EXISTS (SELECT 1 FROM information_schema.STATISTICS k WHERE k.TABLE_SCHEMA = t.TABLE_SCHEMA
			AND k.TABLE_NAME = t.TABLE_NAME AND k.INDEX_NAME = 'PRIMARY')
		FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
		WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND t.TABLE_SCHEMA NOT IN `+systemDatabases+" ORDER BY 1, 2")
	if err != nil {
		return err
	}
	var captured int
	var keyless, unsafe list
	for _, t := range r {
		if !e.source.filter.captured(t[0], t[1]) {
			continue
		}
		captured++
		if t[4] == "0" {
			keyless.add(t[0] + "." + t[1])
		}
		if t[3] != "YES" {
			unsafe.add(t[0] + "." + t[1] + " (" + t[2] + ")")
		}
	}
	if captured == 0 {
		e.add(resilience.Warning, "tables", "check tables.include and tables.exclude, and that the account may see the tables", "no table is captured that exists now")
	} else {
		e.good("tables", "captured now: %s", resilience.Count(captured, "table"))
	}
	keyless.tell(e, resilience.Warning, "no_primary_key", "ALTER TABLE ... ADD PRIMARY KEY", "without a primary key, so their records have no key")
	unsafe.tell(e, resilience.Warning, "not_transactional", "ALTER TABLE ... ENGINE=InnoDB",
		"of an engine without transactions: of one statement that changes them together with transactional tables and is rolled back, their part is not delivered")
	return nil
}

// readable are the character sets this release reads.
var readable = map[string]bool{"": true, "utf8mb4": true, "utf8mb3": true, "utf8": true, "ascii": true, "latin1": true, "binary": true}

// unsupported are the column types this release cannot read.
var unsupported = map[string]bool{
	"geometry": true, "point": true, "linestring": true, "polygon": true, "multipoint": true, "multilinestring": true,
	"multipolygon": true, "geomcollection": true, "geometrycollection": true, "vector": true,
}

// columns looks at the columns of the captured tables.
func (e *examination) columns() error {
	r, err := e.ask(e.ctx, `SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, IFNULL(CHARACTER_SET_NAME, ''), COLUMN_TYPE
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA NOT IN `+systemDatabases+`
		AND (DATA_TYPE IN ('geometry','point','linestring','polygon','multipoint','multilinestring','multipolygon','geomcollection','geometrycollection','vector')
			OR CHARACTER_SET_NAME NOT IN ('utf8mb4','utf8mb3','utf8','ascii','latin1','binary')
			OR DATA_TYPE = 'bigint' AND COLUMN_TYPE LIKE '%unsigned%' OR COLUMN_TYPE LIKE '%COMPRESSED%')
		ORDER BY 1, 2, ORDINAL_POSITION`)
	if err != nil {
		return err
	}
	var types, charsets, big list
	for _, c := range r {
		if !e.source.filter.captured(c[0], c[1]) || e.source.filter.excluded(c[0], c[1], c[2]) {
			continue
		}
		name := c[0] + "." + c[1] + "." + c[2]
		switch {
		case unsupported[c[3]] || strings.Contains(c[5], "COMPRESSED"):
			types.add(name + " (" + c[3] + ")")
		case !readable[c[4]]:
			charsets.add(name + " (" + c[4] + ")")
		default:
			big.add(name)
		}
	}
	const exclude = "exclude the columns (columns: {exclude: [...]}) or the tables"
	types.tell(e, resilience.Problem, "column_types", exclude, "of a type this release cannot read")
	charsets.tell(e, resilience.Problem, "column_charsets", exclude, "in a character set this release cannot read")
	big.tell(e, resilience.Warning, "bigint_unsigned", "choose the format's mode for unsigned 64-bit numbers with its readers in mind",
		"BIGINT UNSIGNED, which wraps to negative in the default mode of some formats")
	return nil
}

// cascades looks for foreign keys by which rows of captured tables change
// without a trace in the log: InnoDB acts on them below the server's log. MySQL
// from 9.6 on acts on them itself, unless it is told to leave that to InnoDB.
func (e *examination) cascades() error {
	native, known, err := e.value("innodb_native_foreign_keys")
	if err != nil || known && native != "ON" {
		return err
	}
	r, err := e.ask(e.ctx, `SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE
		WHERE REFERENCED_TABLE_NAME IS NOT NULL AND TABLE_SCHEMA NOT IN `+systemDatabases+" ORDER BY 1, 2")
	if err != nil {
		return err
	}
	var hidden list
	for _, t := range r {
		if !e.source.filter.captured(t[0], t[1]) {
			continue
		}
		cascade, err := e.cascade(t[0], t[1])
		if err != nil {
			return err
		}
		if cascade {
			hidden.add(t[0] + "." + t[1])
		}
	}
	fix := "let the application delete and update those rows itself, with foreign keys that RESTRICT; MySQL from 9.6 on logs such rows"
	if known {
		fix = "put innodb_native_foreign_keys=OFF into the server's option file and restart it"
	}
	hidden.tell(e, resilience.Warning, "foreign_key_cascades", fix,
		"with foreign keys that delete or change rows in cascade, which is not in this server's log and so is not delivered")
	return nil
}

var cascadeLine = regexp.MustCompile(`(?m)^ +CONSTRAINT .* FOREIGN KEY .* ON (DELETE|UPDATE) (CASCADE|SET NULL|SET DEFAULT)`)

// cascade looks into the definition of a table: MariaDB shows the rules of
// foreign keys in no other place to an account that may only SELECT.
func (e *examination) cascade(database, table string) (bool, error) {
	r, err := e.row(e.ctx, "SHOW CREATE TABLE "+quoted(database)+"."+quoted(table))
	return len(r) > 1 && cascadeLine.MatchString(r[1]), err
}

func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// list counts names and keeps the first few.
type list struct {
	names []string
	n     int
}

func (l *list) add(name string) {
	if l.n++; len(l.names) < maxNamed {
		l.names = append(l.names, name)
	}
}

// tell reports the names, if there are any.
func (l *list) tell(e *examination, sev resilience.Severity, code, fix, what string) {
	if l.n == 0 {
		return
	}
	names := strings.Join(l.names, ", ")
	if more := l.n - len(l.names); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	e.add(sev, code, fix, "%s: %s", what, names)
}
