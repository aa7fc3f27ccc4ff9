package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/pipeline"
)

// snapshotList is cdcd snapshot list.
type snapshotList struct {
	client *admin.Client
	sys    *system
	names  []string // of pipelines; none: all
}

// once prints a line for each table.
func (l *snapshotList) once(ctx context.Context) error {
	infos, err := l.ask(ctx)
	if err != nil {
		return daemonError(err)
	}
	for _, p := range infos {
		fmt.Fprint(l.sys.out, p.Name+"\n"+renderSnapshot(p, true))
	}
	return nil
}

// ask asks how the pipelines are.
func (l *snapshotList) ask(ctx context.Context) ([]admin.PipelineInfo, error) {
	if len(l.names) > 0 {
		info, err := l.client.Pipeline(ctx, l.names[0])
		return []admin.PipelineInfo{info}, err
	}
	rep, err := l.client.Report(ctx)
	return rep.Pipelines, err
}

// watchEvery is how often a watched list is printed anew.
const watchEvery = time.Second

// watch prints what is being read, anew every second, on a terminal over the
// last print. It ends when nothing is left to be read, when a pipeline that has
// something left stops, and with code 0 when it is interrupted.
func (l *snapshotList) watch(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		infos, err := l.ask(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return daemonError(err)
		}
		l.print(infos)
		if done, err := watched(infos); done {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (l *snapshotList) print(infos []admin.PipelineInfo) {
	var b strings.Builder
	if l.sys.outTTY {
		b.WriteString("\x1b[H\x1b[2J")
	}
	for _, p := range infos {
		b.WriteString(p.Name + stateUnlessRunning(p) + "\n" + renderSnapshot(p, false))
	}
	fmt.Fprint(l.sys.out, b.String())
}

func stateUnlessRunning(p admin.PipelineInfo) string {
	if p.State == pipeline.Running {
		return ""
	}
	return fmt.Sprintf(" (%s)", p.State)
}

// watched reports whether there is nothing more to be seen: pipelines run with
// nothing left to be read, or have stopped.
func watched(infos []admin.PipelineInfo) (done bool, err error) {
	for _, p := range infos {
		left := tablesLeft(p.Snapshot)
		switch {
		case p.State == pipeline.Stopped && p.Error != "":
			err = errors.Join(err, &exitError{
				code: exitFailed, hint: p.Hint, err: fmt.Errorf("%s stopped, %s left to be read: %s", p.Name, plural(left, "table"), p.Error),
			})
		case p.State == pipeline.Stopped:
		case p.State != pipeline.Running || p.SnapshotPlanning || left > 0:
			return false, nil
		}
	}
	return true, err
}

func tablesLeft(tables []pipeline.TableProgress) int {
	c := countTables(tables)
	return c.reading + c.waiting
}

// tableCounts sums up the tables of a pipeline.
type tableCounts struct {
	reading, waiting, done, cancelled int
	rows                              uint64 // of those that are done
}

func countTables(tables []pipeline.TableProgress) (c tableCounts) {
	for _, t := range tables {
		switch {
		case t.Done:
			c.done++
			c.rows += t.Rows
		case t.Cancelled:
			c.cancelled++
		case t.Reading:
			c.reading++
		default:
			c.waiting++
		}
	}
	return c
}

// String leaves out the tables that are being read: they have lines of their own.
func (c tableCounts) String() string {
	var parts []string
	if c.done > 0 {
		parts = append(parts, fmt.Sprintf("%s read (%s)", plural(c.done, "table"), plural(c.rows, "row")))
	}
	if c.waiting > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", c.waiting))
	}
	if c.cancelled > 0 {
		parts = append(parts, fmt.Sprintf("%d cancelled", c.cancelled))
	}
	return strings.Join(parts, ", ")
}

// renderSnapshot draws the tables of a pipeline that are being read, or all of
// them, and sums up the rest.
func renderSnapshot(p admin.PipelineInfo, all bool) string {
	if len(p.Snapshot) == 0 && p.SnapshotPlanning {
		return "  asks the source which tables there are\n"
	}
	if len(p.Snapshot) == 0 {
		return "  no table was read\n"
	}
	var b strings.Builder
	for _, l := range snapshotLines(p, all) {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return b.String()
}

// snapshotLines are the tables of a pipeline, those that are being read or all,
// and a summary of them.
func snapshotLines(p admin.PipelineInfo, all bool) (lines []string) {
	width := 0
	var shown []pipeline.TableProgress
	for _, t := range p.Snapshot {
		if all || t.Reading {
			shown, width = append(shown, t), max(width, utf8.RuneCountInString(t.Table))
		}
	}
	for _, t := range shown {
		lines = append(lines, tableProgress(t, width))
	}
	if s := countTables(p.Snapshot).String(); s != "" {
		lines = append(lines, s)
	}
	if s := p.SnapshotSpeed; s != nil && *s > 0 && *s < 1 {
		lines = append(lines, fmt.Sprintf("reading at %.0f%% of full speed: %s", 100**s, p.SnapshotSlowed))
	}
	if p.SnapshotPaused {
		lines = append(lines, "reading is paused; cdcd snapshot resume "+p.Name+" goes on")
	}
	return lines
}

const barWidth = 24

// tableProgress is one table as a line: a bar, how much, and how long still.
func tableProgress(t pipeline.TableProgress, width int) string {
	full := int(t.Fraction() * barWidth)
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
	name := t.Table + strings.Repeat(" ", width-utf8.RuneCountInString(t.Table))
	s := fmt.Sprintf("%s %3.0f%%  %s  %s, %s", bar, t.Fraction()*100, name, plural(t.Rows, "row"), size(t.Bytes))
	switch {
	case t.Done:
		return s
	case t.Cancelled:
		return s + ", cancelled"
	case !t.Reading:
		return s + ", waiting"
	}
	if t.RowsPerSecond > 0 {
		s += ", " + perSecond(t.RowsPerSecond)
	}
	if t.LeftSeconds != nil {
		s += ", about " + ago(time.Duration(*t.LeftSeconds*float64(time.Second))) + " left"
	}
	if t.Held != "" {
		s += ", waits: " + t.Held
	}
	return s
}

func perSecond(x float64) string {
	if x < 10 {
		return rate(x) + "/s"
	}
	return thousands(uint64(x)) + "/s"
}

// plural is a number with its noun.
func plural[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(uint64(n)) + " " + noun + "s"
}

// thousands writes a number in groups of three digits.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
