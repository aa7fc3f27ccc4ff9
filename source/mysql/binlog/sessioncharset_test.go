package binlog

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// TestSessionCharsetsAreTheServers compares every code of up to two bytes.
func TestSessionCharsetsAreTheServers(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		m := testenv.SharedMySQL(t, flavor)
		for charset := range sessionCharsets {
			compared := 0
			for _, row := range m.MustQuery(t, everyCode(flavor, charset)) {
				if row[1] == nil || strings.Contains(*row[1], "?") {
					continue // the server has no such character, so no such name
				}
				code, err := hex.DecodeString(*row[0])
				if err != nil {
					t.Fatal(err)
				}
				text, ok := decodeSession(charset, string(code))
				if ok && text != *row[1] {
					t.Errorf("%s, %s: %x is %q, the server says %q", flavor, charset, code, text, *row[1])
				}
				if ok {
					compared++
				}
			}
			if compared < 90 {
				t.Errorf("%s, %s: only %d codes compared", flavor, charset, compared)
			}
		}
	}
}

// everyCode asks for the codes of a character set and what they stand for.
func everyCode(flavor testenv.Flavor, charset string) string {
	before, hint := "", "/*+ SET_VAR(cte_max_recursion_depth = 100000) */ "
	if flavor == testenv.MariaDB118 {
		before, hint = "SET STATEMENT max_recursive_iterations = 100000 FOR ", ""
	}
	return before + "WITH RECURSIVE s AS (SELECT 128 n UNION ALL SELECT n + 1 FROM s WHERE n < 65535) SELECT " + hint +
		"HEX(n), CONVERT(CONVERT(UNHEX(HEX(n)) USING " + charset + ") USING utf8mb4) FROM s WHERE n < 256 OR n >= 32768"
}

func TestDecode(t *testing.T) {
	charsets := Charsets{8: "latin1", 13: "sjis", 28: "gbk", 45: "utf8mb4", 51: "cp1251", 63: "binary"}
	for _, c := range []struct {
		charset   uint16
		sql, want string
		undecoded string
	}{
		{28, "DROP TABLE a", "DROP TABLE a", ""},
		{28, "DROP TABLE `\xb1\xed`", "DROP TABLE `表`", ""},
		{28, "UPDATE t SET a = '\x81\x5c' -- \x81\x60", "UPDATE t SET a = '乗' -- 乣", ""},
		{28, "DROP TABLE \xff", "DROP TABLE \xff", "gbk"},
		{51, "DROP TABLE \xe4", "DROP TABLE д", ""},
		{8, "DROP TABLE \xe4\x80", "DROP TABLE ä€", ""},
		{13, "DROP TABLE `\x95\x5c`", "DROP TABLE `\x95\x5c`", "sjis"},
		{99, "DROP TABLE \xe4", "DROP TABLE \xe4", "of collation id 99"},
		{45, "DROP TABLE 表", "DROP TABLE 表", ""},
		{63, "DROP TABLE 表", "DROP TABLE 表", ""},
		{0, "DROP TABLE \xe4", "DROP TABLE \xe4", ""},
	} {
		q := Query{SQL: c.sql, Charset: c.charset}
		changed := q.Decode(charsets)
		if q.SQL != c.want || q.Undecoded != c.undecoded || changed != (c.sql != c.want) {
			t.Errorf("%q in %d: %q, %q, %v", c.sql, c.charset, q.SQL, q.Undecoded, changed)
		}
	}
}
