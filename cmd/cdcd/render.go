package main

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
)

// renderReport draws the table of cdcd status, and below a line whatever else
// there is to say about it.
func renderReport(r admin.Report, now time.Time, color bool) string {
	rows := [][]string{{"PIPELINE", "STATE", "LAG", "TX/S", "ROWS/S", "POSITION"}}
	paints := [][]paint{{bold, bold, bold, bold, bold, bold}}
	for _, p := range r.Pipelines {
		rows = append(rows, []string{p.Name, state(p, now), lag(p), rate(p.TransactionsPerSecond), rate(p.RowsPerSecond), position(p)})
		paints = append(paints, []paint{"", statePaint(p.State), "", "", "", ""})
	}
	lines := table(rows, paints, color)
	var b strings.Builder
	fmt.Fprintf(&b, "cdcd %s, up %s\n\n", r.Version, ago(now.Sub(r.Started)))
	b.WriteString(lines[0])
	for i, p := range r.Pipelines {
		b.WriteString(lines[i+1] + details(p, now, color))
	}
	return b.String()
}

func state(p admin.PipelineInfo, now time.Time) string {
	s := string(p.State)
	if p.State == pipeline.Running && !p.Ready {
		s = "running, silent"
	}
	if p.State != pipeline.Running && !p.Since.IsZero() {
		s += " " + ago(now.Sub(p.Since))
	}
	return s
}

func statePaint(s pipeline.State) paint {
	switch s {
	case pipeline.Running:
		return green
	case pipeline.Stopped:
		return red
	}
	return yellow
}

// lag is the age of the oldest change under way. A pipeline that does not run
// does not know: its source may have gone on.
func lag(p admin.PipelineInfo) string {
	if p.State != pipeline.Running && p.LagSeconds == 0 {
		return "?"
	}
	if p.LagSeconds < 10 {
		return fmt.Sprintf("%.1fs", p.LagSeconds)
	}
	return ago(time.Duration(p.LagSeconds * float64(time.Second)))
}

func rate(x float64) string {
	if x > 0 && x < 10 {
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", math.Round(x))
}

func position(p admin.PipelineInfo) string {
	if p.File == "" {
		return "none yet"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Offset)
}

// details are the indented lines under a pipeline.
func details(p admin.PipelineInfo, now time.Time, color bool) string {
	var b strings.Builder
	line := func(c paint, label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %s %s\n", c.in(label, color), text)
		}
	}
	line(dim, "route", fmt.Sprintf("%s → %s", p.Source, p.Sink))
	line(dim, "gtid ", shorten(p.GTIDs, 100))
	if l := p.SourceLog; l != nil {
		line(dim, "log  ", sourceLog(l, now))
	}
	if p.SpillBytes > 0 {
		line(dim, "spill", size(uint64(p.SpillBytes))+" of large transactions on disk")
	}
	if p.Gap != nil {
		c, text := gapLine(p.Gap)
		line(c, "gap  ", text)
	}
	for _, l := range snapshotLines(p, false) {
		line(dim, "table", l)
	}
	line(red, "error", p.Error)
	line(yellow, "hint ", p.Hint)
	return b.String()
}

// gapLine tells of changes that were lost, loudly until every table was read anew.
func gapLine(g *pipeline.GapStatus) (paint, string) {
	text := fmt.Sprintf("changes between %s and %s were LOST, found %s (%s)", shorten(g.From, 100), shorten(g.To, 100), g.At.Format(time.RFC3339), g.Code)
	if g.Closed {
		return dim, text + "; every table was read anew since"
	}
	return red, text + "; tables are being read anew"
}

func sourceLog(l *admin.SourceLog, now time.Time) string {
	s := size(l.BehindBytes) + " behind the end"
	if age := now.Sub(l.Taken); !l.Taken.IsZero() && age >= 2*time.Second {
		s += " " + resilience.Span(age.Round(time.Second)) + " ago"
	}
	switch {
	case l.Purged:
		s += ", and the source has removed the file of the position"
	case l.PurgeSeconds != nil && *l.PurgeSeconds <= 0:
		s += ", and the source may remove it any moment"
	case l.PurgeSeconds != nil:
		s += ", the source keeps it for at least " + resilience.Span(time.Duration(*l.PurgeSeconds*float64(time.Second)))
	}
	return s
}

// shorten keeps the beginning and the end of a long text: the newest part of a
// GTID set stands at the end.
func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:width/2]) + "…" + string(r[len(r)-width/2+1:])
}

// ago writes a time span with its two largest units.
func ago(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	x, i := float64(n), 0
	for x >= 1024 && i < len(units)-1 {
		x, i = x/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}

// table pads the columns; colours do not count as width.
func table(rows [][]string, paints [][]paint, color bool) []string {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		var b strings.Builder
		for j, c := range r {
			b.WriteString(paints[i][j].in(c, color))
			if j < len(r)-1 {
				b.WriteString(strings.Repeat(" ", width[j]-utf8.RuneCountInString(c)+3))
			}
		}
		out[i] = b.String() + "\n"
	}
	return out
}
