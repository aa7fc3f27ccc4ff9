package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// maria reports whether the server is MariaDB.
func (q *session) maria() bool { return q.flavor == event.MariaDB }

// set is the statement that changes a variable for good where the server can.
func (q *session) set(name, value string) string {
	if q.maria() {
		return fmt.Sprintf("SET GLOBAL %s = %s; and the same line in the server's option file", name, value)
	}
	return fmt.Sprintf("SET PERSIST %s = %s;", name, value)
}

// logSettings looks at the variables that decide what is in the log: a finding
// for each, of what holds for sessions that set nothing themselves.
func (q *session) logSettings(ctx context.Context) ([]resilience.Finding, error) {
	r, err := q.ask(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN "+
		"('log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'binlog_row_value_options')")
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, v := range r {
		values[strings.ToLower(v[0])] = v[1]
	}
	found := []resilience.Finding{
		q.logSetting(values, "log_bin", "ON"), q.logSetting(values, "binlog_format", "ROW"),
		q.logSetting(values, "binlog_row_image", "FULL"), q.logSetting(values, "binlog_row_metadata", "FULL"),
	}
	if options := values["binlog_row_value_options"]; strings.Contains(options, "PARTIAL_JSON") {
		found = append(found, resilience.Finding{Severity: resilience.Problem, Code: "binlog_row_value_options", Fix: q.set("binlog_row_value_options", "''"),
			Text: "binlog_row_value_options is " + options + ": updates hold parts of documents only"})
	}
	return found, nil
}

func (q *session) logSetting(values map[string]string, name, want string) resilience.Finding {
	got, known := values[name]
	f := resilience.Finding{Severity: resilience.Problem, Code: name, Fix: q.set(name, want), Text: name + " is " + got + ", " + want + " is needed"}
	switch {
	case strings.EqualFold(got, want) || name == "binlog_format" && !known: // the only one left to servers without it
		return resilience.Finding{Severity: resilience.Good, Code: name, Text: name + " is " + want}
	case !known:
		f.Fix, f.Text = "upgrade the server", name+" is not known to the server, "+want+" is needed"
	case name == "log_bin":
		f.Fix = "put log_bin into the server's option file and restart it"
	}
	return f
}

// admitLog stops before anything is read where the server's settings would stop
// the reading at the first captured row. Sessions may have settings of their
// own: rows are looked at all the same.
func (q *session) admitLog(ctx context.Context) error {
	found, err := q.logSettings(ctx)
	if err != nil {
		return err
	}
	var wrong, fixes []string
	for _, f := range found {
		if f.Severity == resilience.Problem {
			wrong, fixes = append(wrong, f.Text), append(fixes, strings.TrimSuffix(f.Fix, ";"))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "log_settings", opOpen, "%s", strings.Join(wrong, "; ")).
		WithHint("%s; connect the sessions that write anew, since they keep what they had; then resume", strings.Join(fixes, "; "))
}
