package proof

import (
	"context"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// lagging stops and starts what the replica applies until ctx ends.
func (r *Rig) lagging(ctx context.Context) error {
	turns := []string{"STOP REPLICA SQL_THREAD", "START REPLICA SQL_THREAD"}
	if r.Replica.Flavor() == testenv.MariaDB118 {
		turns = []string{"STOP SLAVE SQL_THREAD", "START SLAVE SQL_THREAD"}
	}
	for i := 0; ; i++ {
		if err := r.Replica.Exec(context.WithoutCancel(ctx), turns[i%2]); err != nil {
			return err
		}
		if ctx.Err() != nil && i%2 == 1 {
			return nil
		}
		select {
		case <-time.After(150 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// TestSnapshotHotRowsOfAReplica is TestSnapshotHotRows with tables that are read
// from a replica which lags again and again.
func TestSnapshotHotRowsOfAReplica(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, l, ctx := hotRig(t, RigOptions{Flavor: flavor, Replica: true})
			l.rest = 20 * time.Millisecond
			reading, read := context.WithCancel(ctx)
			defer read()
			lagged := make(chan error, 1)
			go func() { lagged <- r.lagging(reading) }()
			r.mustStart(t)
			l.through(ctx, t)
			read()
			if err := <-lagged; err != nil {
				t.Error(err)
			}
		})
	}
}
