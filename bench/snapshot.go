package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/pipeline"
)

// selectAll is the yardstick of snapshots: all rows of the table in one SELECT, on
// a connection like that of cdcd, which is encrypted.
const selectAll = "SELECT to nowhere"

// snapshots are the measurements of the table that the reference log leaves
// behind, read from the log's end: no change comes meanwhile. Name is that of the
// result, child that of the measurement.
var snapshots = []struct{ name, child string }{
	{selectAll, selectAll},
	{"snapshot to nowhere", "cdcd to nowhere"},
	{"snapshot to Kafka, exactly once", "cdcd to Kafka, exactly once"},
}

// goMySQLSelect reads the table row by row with the client that cdcd uses too.
func goMySQLSelect(ctx context.Context, t target) (c counts, err error) {
	conn, err := client.ConnectWithContext(ctx, t.addr(), t.User, t.Password, "sbtest", 10*time.Second, func(c *client.Conn) error {
		c.SetTLSConfig(&tls.Config{InsecureSkipVerify: true}) // tls.mode: preferred
		return nil
	})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var result mysql.Result
	err = conn.ExecuteSelectStreaming("SELECT * FROM sbtest1", &result, func(row []mysql.FieldValue) error {
		c.Rows++
		for i := range row {
			c.Bytes += int64(len(row[i].AsString()))
		}
		return nil
	}, nil)
	return c, err
}

func measureSnapshots(ctx context.Context, t target, o *options, out *json.Encoder) error {
	if err := t.markStart(ctx); err != nil {
		return err
	}
	t.EndGTIDs, t.Snapshot = "", pipeline.SnapshotOnly
	for range o.repeat { // in turn: what else the machine does changes
		if err := measureInTurn(t, o, out); err != nil {
			return err
		}
	}
	return nil
}

func measureInTurn(t target, o *options, out *json.Encoder) error {
	var yardstick result
	for _, m := range snapshots {
		if o.wants(m.name) {
			r, err := measure(m.child, t)
			if err != nil {
				return err
			}
			r.Name = m.name
			if m.name == selectAll {
				yardstick = r
			} else if yardstick.RowsPerSecond > 0 {
				r.RateToSelect = r.RowsPerSecond / yardstick.RowsPerSecond
			}
			if err := out.Encode(r); err != nil {
				return err
			}
		}
	}
	return nil
}
