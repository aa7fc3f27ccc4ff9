package proof

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
)

const mib = 1 << 20

// TestOversizeRows: rows larger than their topic takes come with their key only,
// in their place among the others, and a row of 60 MiB takes no more than twice
// its size beyond the budget. One without a key stops the pipeline by name.
func TestOversizeRows(t *testing.T) {
	r, ctx := newRig(t, RigOptions{
		MySQL: map[string]string{"max_allowed_packet": "128M"},
		Sink:  ", oversize_row: key_only",
		Schema: "CREATE TABLE docs (id INT, shop INT, body LONGTEXT, ver INT, PRIMARY KEY (shop, id));" +
			"CREATE TABLE heap (body LONGTEXT)",
	})
	r.mustStart(t)
	if err := r.AwaitState(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	r.DB.MustExec(t, "USE shop; BEGIN; INSERT INTO docs VALUES (1,7,'small',1); INSERT INTO docs VALUES (2,7,REPEAT('x',3000000),1);"+
		"INSERT INTO docs VALUES (3,7,'small',1); UPDATE docs SET ver=2 WHERE id=2; COMMIT; UPDATE docs SET id=9, body='small', ver=3 WHERE id=2")
	r.DB.MustExec(t, fmt.Sprintf("USE shop; INSERT INTO docs VALUES (4,7,REPEAT('x',%d),1); DELETE FROM docs WHERE id=4", 60*mib))
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	r.checkMemoryBeside(t, 2*60*mib)
	recs, err := r.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := ParseChanges(recs)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Check(changes, Rules{ExactlyOnce: true}) {
		t.Error(v)
	}
	wantKeyOnly(t, changes, map[string]int{
		`{"shop":7,"id":1} c`: 0, `{"shop":7,"id":2} c`: 3_000_000, `{"shop":7,"id":3} c`: 0, `{"shop":7,"id":2} u`: 6_000_000,
		`{"shop":7,"id":2} d`: 3_000_000, `{"shop":7,"id":9} c`: 0, `{"shop":7,"id":4} c`: 60 * mib, `{"shop":7,"id":4} d`: 60 * mib,
	})
	r.DB.MustExec(t, "USE shop; INSERT INTO heap VALUES (REPEAT('x',3000000))")
	r.wantStop(t, "record_too_large", "without a primary key")
}

// wantKeyOnly compares what came, by key and operation, with the least size that
// the record must tell; 0 is a record that is whole.
func wantKeyOnly(t *testing.T, changes []Change, want map[string]int) {
	t.Helper()
	seen := 0
	for _, c := range changes {
		if c.Op == "" {
			continue
		}
		seen++
		id := string(c.Key) + " " + c.Op
		least, known := want[id]
		size, _ := strconv.Atoi(c.Headers["cdcd.oversize"])
		if !known || size < least || size > least+2000 || (size == 0) != (least == 0) {
			t.Errorf("%s: size %d, want %d (known: %v)", id, size, least, known)
		}
		for _, image := range []map[string]json.RawMessage{c.Before, c.After} {
			columns := slices.Sorted(maps.Keys(image))
			if full := slices.Contains(columns, "body"); image != nil && (full != (least == 0) || len(columns) < 2) {
				t.Errorf("%s: an image has the columns %v", id, columns)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d changes, want %d", seen, len(want))
	}
}
