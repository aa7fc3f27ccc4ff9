package mysql_test

import (
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// TestLogSettings: what would stop the reading at the first captured row stops
// it before anything is read, at the first start and at each that follows.
func TestLogSettings(t *testing.T) {
	const code = "log_settings"
	onPrivate(t, nil, func(t *testing.T, m *testenv.MySQL) {
		settings := []struct{ name, bad, good string }{
			{"binlog_format", "MIXED", "ROW"}, {"binlog_row_image", "MINIMAL", "FULL"}, {"binlog_row_image", "NOBLOB", "FULL"},
			{"binlog_row_metadata", "MINIMAL", "FULL"},
		}
		if m.Flavor() == testenv.MySQL97 {
			settings = append(settings, struct{ name, bad, good string }{"binlog_row_value_options", "'PARTIAL_JSON'", "''"})
		}
		r := newReader(t, configFor(m.Addr(), "d"))
		for _, s := range settings {
			m.MustExec(t, "SET GLOBAL "+s.name+" = "+s.bad)
			err := r.fails(resilience.Fatal, code)
			if !strings.Contains(err.Error(), s.name) || !strings.Contains(resilience.HintOf(err), " "+s.name+" = "+s.good) {
				t.Errorf("%s: %v", s.name, err)
			}
			if _, err := mysql.New(configFor(m.Addr(), "d"), "test", "first").Start(within(t)); resilience.CodeOf(err) != code {
				t.Errorf("%s at a first start: %v", s.name, err)
			}
			m.MustExec(t, "SET GLOBAL "+s.name+" = "+s.good)
		}
		m.MustExec(t, "INSERT INTO d.t VALUES (1, '')") // it goes on from where it was
		r.expect("tc1")
	})
}
