package proof

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// TestSnapshotSparesReplicas: not a row is read while a listed replica has
// stopped, lags, hangs or is dead, or while the query of the configuration says
// no; the reason shows, the stream goes on meanwhile, and in the end all is read.
func TestSnapshotSparesReplicas(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		File: true, Schema: "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1),(2),(3),(4); CREATE DATABASE ops; CREATE TABLE ops.brake (id INT PRIMARY KEY)",
		Pipeline: `, snapshot: {mode: initial, chunk_rows: 1, readers: 1, replicas: ["REPLICA"], max_replica_lag: 1s, health_query: "SELECT COUNT(*) FROM ops.brake"}`,
	})
	replica, err := r.Env.MySQL(ctx, testenv.MySQLOptions{ServerID: 2})
	if err == nil {
		err = replica.Replicate(ctx, r.DB)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.reconfigure(t, "REPLICA", replica.Addr())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	held := func(why, more string) {
		t.Helper()
		must(r.await(ctx, "the reader to wait: "+why+more, func(p PipelineStatus) bool {
			if len(p.Snapshot) == 1 && p.Snapshot[0].Rows > 0 {
				t.Fatalf("rows were read while it is to wait: %s", why)
			}
			return len(p.Snapshot) == 1 && strings.HasPrefix(p.Snapshot[0].Held, why) && strings.HasSuffix(p.Snapshot[0].Held, more)
		}))
	}
	name := "replica " + replica.Addr()
	replica.MustExec(t, "STOP REPLICA SQL_THREAD")
	r.mustStart(t)
	held(name+": its replication does not run", "")

	replica.MustExec(t, "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 3600; START REPLICA SQL_THREAD")
	r.DB.MustExec(t, "INSERT INTO shop.a VALUES (100)")
	must(r.AwaitCaughtUp(ctx))
	held(name+" is ", "s behind, more than 1s")

	must(replica.Freeze())
	held(name+": ", "no answer within 2s")
	must(replica.Thaw())
	r.DB.MustExec(t, "INSERT INTO ops.brake VALUES (1)")
	replica.MustExec(t, "STOP REPLICA SQL_THREAD; CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 0; START REPLICA SQL_THREAD")
	held("health_query says 1, more than 0", "")

	must(replica.Kill())
	r.DB.MustExec(t, "DELETE FROM ops.brake")
	held(fmt.Sprintf("%s: connect to source at %s", name, replica.Addr()), "")
	must(replica.Restart(ctx))
	must(r.await(ctx, "the table to be read", func(p PipelineStatus) bool { return len(p.Snapshot) == 1 && p.Snapshot[0].Done }))
	if n := r.readRows(ctx, t); n["a"] < 4 {
		t.Errorf("rows read: %v", n)
	}
}
