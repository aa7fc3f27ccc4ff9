package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/internal/verify"
)

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// renderVerified draws a line for each table, and below it what differs.
func renderVerified(found []tableFound, repaired, color bool) string {
	rows := [][]string{{"TABLE", "ROWS", "RECORDS", "MISSING", "EXTRA", "DIFFERENT", "VERDICT"}}
	paints := [][]paint{{bold, bold, bold, bold, bold, bold, bold}}
	for i := range found {
		verdict, p := verdictOf(&found[i])
		r := &found[i].Result
		rows = append(rows, []string{r.Table, strconv.FormatUint(r.Rows, 10), strconv.FormatUint(r.Records, 10),
			strconv.Itoa(r.Missing), strconv.Itoa(r.Extra), strconv.Itoa(r.Different), verdict})
		paints = append(paints, []paint{"", "", "", "", "", "", p})
	}
	lines := table(rows, paints, color)
	var b strings.Builder
	b.WriteString(lines[0])
	for i := range found {
		b.WriteString(lines[i+1] + foundDetails(&found[i], repaired))
	}
	return b.String()
}

func verdictOf(t *tableFound) (string, paint) {
	switch {
	case t.Count() > 0:
		return "different", red
	case t.Problem != nil:
		return "not verified", yellow
	}
	return "equal", green
}

func foundDetails(t *tableFound, repaired bool) string {
	var b strings.Builder
	if t.Problem != nil {
		fmt.Fprintf(&b, "  %s\n", t.Problem.Text)
		if t.Problem.Hint != "" {
			fmt.Fprintf(&b, "      %s\n", t.Problem.Hint)
		}
	}
	for _, d := range t.Differences {
		b.WriteString(difference(&d))
	}
	if more := t.Count() - len(t.Differences); more > 0 {
		fmt.Fprintf(&b, "  and %d more: --limit names them\n", more)
	}
	if t.Busy > 0 {
		fmt.Fprintf(&b, "  %d keys changed whenever they were looked at, and were right each time\n", t.Busy)
	}
	if t.Keyless > 0 {
		fmt.Fprintf(&b, "  %d records have no key and belong to no row\n", t.Keyless)
	}
	if repaired && t.Extra > 0 {
		b.WriteString("  keys that are extra in the topic stay: no row is there that could be read again. To have a delete\n" +
			"  emitted, insert a row with that key at the source and delete it; or write a tombstone to the partition\n")
	}
	if t.Removed > 0 && t.Missing > 0 {
		fmt.Fprintf(&b, "  the topic lost its first %d records (retention.ms, retention.bytes): rows among them are missing\n", t.Removed)
	}
	return b.String()
}

// difference is one key, and its columns below.
func difference(d *verify.Difference) string {
	s := fmt.Sprintf("  %-9s  %s", d.Kind, d.Key)
	if d.Offset != nil {
		s += fmt.Sprintf("  (partition %d, offset %d)", *d.Partition, *d.Offset)
	}
	s += "\n"
	for _, c := range d.Columns {
		name := c.Name
		if name == "" {
			name = "the record is no change event"
		}
		s += fmt.Sprintf("      %s: table %s, topic %s\n", name, shown(c.Table), shown(c.Topic))
	}
	return s
}

// shownBytes bounds a value on the terminal; JSON output has all of it.
const shownBytes = 80

func shown(value *string) string {
	switch {
	case value == nil:
		return "has none"
	case len(*value) > shownBytes:
		return strings.ToValidUTF8((*value)[:shownBytes], "") + "…"
	}
	return *value
}

// verifyProgress tells how far it is, on a terminal over the last line.
type verifyProgress struct {
	sys  *system
	last time.Time
	tty  bool
	open bool // a line stands that is to be wiped
}

func newVerifyProgress(sys *system) *verifyProgress {
	return &verifyProgress{sys: sys, last: time.Now(), tty: sys.errTTY}
}

// How often a line is printed: on a terminal, and where lines pile up.
const (
	progressEvery = 200 * time.Millisecond
	logEvery      = 5 * time.Second
)

func (p *verifyProgress) show(table, step string, done, total uint64) {
	every := logEvery
	if p.tty {
		every = progressEvery
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	line := fmt.Sprintf("%s: %s, %d", table, step, done)
	if total > 0 {
		line += fmt.Sprintf(" of about %d", max(done, total))
	}
	if !p.tty {
		fmt.Fprintln(p.sys.err, line)
		return
	}
	p.open = true
	fmt.Fprintf(p.sys.err, "\r\x1b[K%s", line)
}

// end wipes the line.
func (p *verifyProgress) end() {
	if p.open {
		fmt.Fprint(p.sys.err, "\r\x1b[K")
		p.open = false
	}
}
