package mysql

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultConfigNeedsHostAndUserOnly(t *testing.T) {
	c := DefaultConfig()
	c.Hosts, c.User = []string{"db:3306"}, "cdcd"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateTellsAllProblems(t *testing.T) {
	c := DefaultConfig()
	c.Hosts = []string{"db", "db:3306", ":3306"}
	c.Heartbeat, c.QueryTimeout, c.SilenceTimeout = 5*time.Second, 0, time.Second
	c.MaxRowBytes = 5
	c.Tables.Include = []string{"shop", "shop..t"}
	c.Columns.Exclude = []string{"shop.t"}
	text := c.Validate().Error()
	for _, want := range []string{"hosts[0]", "hosts[2]", "user", "query_timeout", "silence_timeout", "15s", "max_row_bytes",
		"tables.include[0]", "tables.include[1]", "columns.exclude[0]"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "hosts[1]") {
		t.Error("a good host is blamed")
	}
	tls := TLS{Mode: "on", Cert: "x"}
	if text := tls.Validate().Error(); !strings.Contains(text, "mode") || !strings.Contains(text, "cert") {
		t.Error(text)
	}
}

func TestServerIDs(t *testing.T) {
	for text, want := range map[string]ServerIDs{"": {}, "7": {7, 7}, "4000-4999": {4000, 4999}, " 1 - 4294967295 ": {1, 1<<32 - 1}} {
		var r ServerIDs
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
	for _, bad := range []string{" ", "0", "5-4", "x", "1-4294967296", "-"} {
		if err := new(ServerIDs).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestReplicaIsDerivedFromNames(t *testing.T) {
	a, b := newReplica(ServerIDs{}, "cdcd", "a"), newReplica(ServerIDs{}, "cdcd", "b")
	if a == b || a != newReplica(ServerIDs{}, "cdcd", "a") || a.id < 1<<31 || len(a.uuid) != 36 {
		t.Errorf("%+v, %+v", a, b)
	}
	if r := newReplica(ServerIDs{10, 12}, "cdcd", "a"); r.id < 10 || r.id > 12 {
		t.Errorf("%d is not in the range", r.id)
	}
}

func TestFilter(t *testing.T) {
	f := newFilter(&Config{Tables: Tables{Include: []string{"shop.*", "log_?.events", "mysql.user"}, Exclude: []string{"*.tmp_*"}},
		Columns: Columns{Exclude: []string{"shop.users.pass*"}}})
	for name, want := range map[string]bool{
		"shop.users": true, "shop.tmp_1": false, "log_1.events": true, "log_12.events": false, "other.users": false,
		"mysql.user": true, "mysql.db": false, "sys.x": false,
	} {
		db, table, _ := strings.Cut(name, ".")
		for range 2 {
			if f.captured(db, table) != want {
				t.Errorf("%s: captured is %v", name, !want)
			}
		}
	}
	if !f.excluded("shop", "users", "password") || f.excluded("shop", "users", "name") {
		t.Error("columns")
	}
	all := newFilter(&Config{})
	if !all.captured("any", "thing") || all.captured("performance_schema", "x") || all.captured("MySQL", "x") {
		t.Error("defaults")
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		glob, s string
		want    bool
	}{
		{"", "", true}, {"*", "", true}, {"a*b*c", "a--b--c", true}, {"a*b*c", "a--b--", false}, {"*ab", "aab", true},
		{"?", "", false}, {"**a", "bba", true}, {"a", "ab", false}, {"*.t", "x.y.t", true},
	} {
		if match(c.glob, c.s) != c.want {
			t.Errorf("%q on %q: %v", c.glob, c.s, !c.want)
		}
	}
}
