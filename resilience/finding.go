package resilience

import (
	"context"
	"errors"
	"strings"
)

// Severity says how much a Finding matters.
type Severity uint8

// The severities. A Problem keeps a pipeline from working, or from keeping its
// promises; a Warning does not, today.
const (
	Good Severity = iota
	Warning
	Problem
)

// String is "ok", "warning" or "problem".
func (s Severity) String() string { return [...]string{"ok", "warning", "problem"}[s] }

// MarshalText writes String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that a check of a server or broker looked at: one line
// for the person who runs `cdcd check`.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`          // stable name in snake_case: "row_metadata", "grant_replication_slave"
	Text     string   `json:"text"`          // what was found: "binlog_row_metadata is MINIMAL, FULL is needed"
	Fix      string   `json:"fix,omitempty"` // what to run or change: "SET PERSIST binlog_row_metadata = FULL;"
}

// Doctor is the optional interface of sources and sinks by which a check asks
// them to look at their server: everything at once, good and bad, in a fixed
// order. A server that cannot be reached is a finding too. It changes nothing
// on the server and is called on a driver that runs no line.
type Doctor interface {
	Doctor(ctx context.Context) []Finding
}

// Found turns an error into the Finding of a Problem: its hint is the fix.
func Found(err error) Finding {
	f := Finding{Severity: Problem, Code: CodeOf(err), Text: err.Error()}
	var e *Error
	if errors.As(err, &e) {
		f.Fix = e.Hint
		f.Text = strings.TrimSuffix(f.Text, " ("+e.Hint+")")
	}
	return f
}
