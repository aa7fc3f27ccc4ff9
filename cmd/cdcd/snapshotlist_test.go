package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/pipeline"
)

// underway is a pipeline in the middle of its snapshots.
func underway() admin.PipelineInfo {
	left, day := 185.0, 90000.0
	return admin.PipelineInfo{Source: "shop", Sink: "events", Status: pipeline.Status{
		Name: "shop-events", State: pipeline.Running, Ready: true, File: "binlog.000004", Offset: 9,
		Snapshot: []pipeline.TableProgress{
			{Table: "shop.a", Done: true, Rows: 1, Bytes: 20},
			{Table: "shop.accounts", Done: true, Rows: 1200000, Bytes: 80 << 20},
			{Table: "shop.line_items", Reading: true, Rows: 50, Bytes: 1 << 10, Estimate: 1 << 40, RowsPerSecond: 0.5, LeftSeconds: &day},
			{Table: "shop.orders", Reading: true, Rows: 450000, Bytes: 12 << 20, Estimate: 1000000, RowsPerSecond: 8123.4, LeftSeconds: &left},
			{Table: "shop.tags", Reading: true, Held: "the stream has much to do"},
			{Table: "shop.users", Estimate: 500},
			{Table: "shop.visits", Cancelled: true, Rows: 70, Bytes: 900, Estimate: 100},
		},
	}}
}

// TestSnapshotLines: cdcd snapshot list, then what --watch and cdcd status show.
func TestSnapshotLines(t *testing.T) {
	p := underway()
	got := "list\n" + renderSnapshot(p, true) + "watch\n" + renderSnapshot(p, false)
	p.SnapshotPaused = true
	p.Snapshot = p.Snapshot[5:]
	got += "paused\n" + renderSnapshot(p, false)
	slow := 0.46
	p.SnapshotPaused, p.SnapshotSpeed, p.SnapshotSlowed = false, &slow, "replica db2:3306 is 8s behind, not far enough from 10s"
	got += "slowed\n" + renderSnapshot(p, false)
	p.Snapshot, p.SnapshotSpeed = nil, nil
	got += "none\n" + renderSnapshot(p, false)
	golden(t, "testdata/snapshot.txt", got)
}

// TestStatusSumsTablesUp: however many tables were read, they take one line.
func TestStatusSumsTablesUp(t *testing.T) {
	p := underway()
	for range 500 {
		p.Snapshot = append(p.Snapshot, pipeline.TableProgress{Table: "shop.t", Done: true, Rows: 10})
	}
	text := details(p, p.Since, false)
	if n := strings.Count(text, "  table "); n != 4 || !strings.Contains(text, "table 502 tables read (1,205,001 rows), 1 waiting, 1 cancelled\n") {
		t.Errorf("%d lines:\n%s", n, text)
	}
}

func TestWatchEnds(t *testing.T) {
	open, over, stopped, plans, away, only := underway(), underway(), underway(), underway(), underway(), underway()
	plans.Snapshot, plans.SnapshotPlanning = nil, true
	away.Snapshot, away.State = nil, pipeline.Retrying
	only.Snapshot, only.State = nil, pipeline.Stopped
	over.Snapshot = over.Snapshot[:2]
	stopped.State, stopped.Error, stopped.Hint = pipeline.Stopped, "binlog_purged", "start over"
	for name, c := range map[string]struct {
		infos []admin.PipelineInfo
		done  bool
		err   string
	}{
		"nothing there":      {nil, true, ""},
		"all read":           {[]admin.PipelineInfo{over}, true, ""},
		"one has some left":  {[]admin.PipelineInfo{over, open}, false, ""},
		"it has stopped":     {[]admin.PipelineInfo{over, stopped}, true, "shop-events stopped, 4 tables left to be read: binlog_purged"},
		"it is not known":    {[]admin.PipelineInfo{over, plans}, false, ""},
		"the source is away": {[]admin.PipelineInfo{away}, false, ""},
		"it was to end":      {[]admin.PipelineInfo{only}, true, ""},
		"another one has it": {[]admin.PipelineInfo{stopped, open}, false, ""},
	} {
		done, err := watched(c.infos)
		if done != c.done || (err == nil) != (c.err == "") || (err != nil && err.Error() != c.err) {
			t.Errorf("%s: %v, %v", name, done, err)
		}
		var e *exitError
		if err != nil && (!errors.As(err, &e) || e.hint != "start over" || exitCode(err) != exitFailed) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}
