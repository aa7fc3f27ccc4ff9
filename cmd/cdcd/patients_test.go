package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// fakeHealth is a source of which one replica has stopped.
type fakeHealth struct{}

func (fakeHealth) OpenHealth() source.HealthProbe { return fakeHealth{} }

func (fakeHealth) ReplicaLag(_ context.Context, addr string) (time.Duration, error) {
	if addr == "db3:3306" {
		return 0, errors.New("its replication does not run")
	}
	return 3 * time.Second, nil
}

func (fakeHealth) Number(context.Context, string) (float64, error) { return 7, nil }
func (fakeHealth) Close() error                                    { return nil }

// TestHealthFindings: check tells what each replica and the query say, and what would hold
// snapshots back for good.
func TestHealthFindings(t *testing.T) {
	c := pipeline.DefaultSnapshotConfig()
	if found := healthFindings(t.Context(), &c, fakeHealth{}); len(found) != 0 {
		t.Errorf("of nothing that is configured: %+v", found)
	}
	c.Replicas, c.HealthQuery = []string{"db2:3306", "db3:3306"}, "SELECT 7"
	found := healthFindings(t.Context(), &c, fakeHealth{})
	for i, want := range []struct {
		severity resilience.Severity
		text     string
	}{
		{resilience.Good, "replica db2:3306 is 3s behind"},
		{resilience.Problem, "replica db3:3306 would hold snapshots back: its replication does not run"},
		{resilience.Good, "health_query says 7"},
	} {
		if i >= len(found) || found[i].Severity != want.severity || !strings.Contains(found[i].Text, want.text) {
			t.Errorf("%+v, want %+v", found, want)
		}
	}
}
