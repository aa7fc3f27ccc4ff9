package main

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (write anew with -update); got:\n%s", path, got)
	}
}

func TestStatusTable(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	purge := 5400.0
	r := admin.Report{Version: "0.1.0", Started: now.Add(-26 * time.Hour), Pipelines: []admin.PipelineInfo{
		{Status: pipeline.Status{Name: "shop-events", State: pipeline.Running, Ready: true, File: "binlog.000004", Offset: 1234567,
			GTIDs: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77", LagSeconds: 0.04},
			Source: "shop", Sink: "events", TransactionsPerSecond: 512.4, RowsPerSecond: 2048,
			SourceLog: &admin.SourceLog{Taken: now.Add(-12 * time.Second), BehindBytes: 1 << 20, PurgeSeconds: &purge}},
		{Status: pipeline.Status{Name: "blog", State: pipeline.Retrying, Since: now.Add(-754 * time.Second),
			File: "mariadb-bin.000001", Offset: 4, GTIDs: strings.Repeat("0-1-100,", 40),
			Error: "connect at 127.0.0.1:3306: connection refused", Hint: "start the server; cdcd goes on by itself"},
			Source: "blog", Sink: "events"},
		{Status: pipeline.Status{Name: "c", State: pipeline.Running, LagSeconds: 90, SpillBytes: 5 << 30, File: "x", Offset: 9}, Source: "s", Sink: "k", TransactionsPerSecond: 0.25},
		{Status: pipeline.Status{Name: "d", State: pipeline.Starting}, Source: "s", Sink: "k"},
	}}
	golden(t, "testdata/status.txt", renderReport(r, now, false))
	golden(t, "testdata/status_color.txt", renderReport(r, now, true))
}

func TestCheckLines(t *testing.T) {
	p := patient{Kind: "source", Name: "shop", Findings: []resilience.Finding{
		{Severity: resilience.Good, Text: "log_bin is on"},
		{Severity: resilience.Warning, Text: "sync_binlog is 0", Fix: "SET PERSIST sync_binlog = 1;"},
		{Severity: resilience.Problem, Text: "binlog_row_metadata is MINIMAL", Fix: "SET PERSIST binlog_row_metadata = FULL;\nand in my.cnf"},
	}}
	golden(t, "testdata/check.txt", p.render(false)+summary([]patient{p}, false)+p.render(true)+summary(nil, true))
}

func TestAgo(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Second, "59s": 59 * time.Second, "1m05s": 65 * time.Second, "3h07m": 3*time.Hour + 7*time.Minute + 59*time.Second, "2d01h": 49 * time.Hour,
	} {
		if got := ago(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
