package main

import (
	"strings"
	"testing"
)

func TestParseServer(t *testing.T) {
	for in, want := range map[string]server{
		"mysql://root@127.0.0.1/":         {"127.0.0.1:3306", "root", ""},
		"mysql://root@db:3307":            {"db:3307", "root", ""},
		"mariadb://a%40b@[::1]:1/shop":    {"[::1]:1", "a@b", "shop"},
		"mysql://cdcd@db.example/my_shop": {"db.example:3306", "cdcd", "my_shop"},
	} {
		if got, err := parseServer(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "db", "mysql://db/", "mysql://root@/", "http://root@db/", "mysql://root@db/a/b",
		"mysql://root@db/?x=1", "mysql://root:hunter2@db/", "mysql://root:@db/", "mysql://ro%zzot:hunter2@db/", "mysql://root@db:x/"} {
		_, err := parseServer(in)
		if exitCode(err) != exitUsage || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestTailTables(t *testing.T) {
	for _, c := range []struct{ flag, db, want string }{
		{"", "", ""}, {"", "shop", "shop.*"}, {"users, blog.*", "shop", "shop.users blog.*"}, {"a.b", "", "a.b"},
	} {
		got, err := tailTables(c.flag, server{database: c.db})
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	for _, flag := range []string{"users", "a.b,,c.d"} {
		if _, err := tailTables(flag, server{}); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", flag, err)
		}
	}
}
