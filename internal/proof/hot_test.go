package proof

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// hotTable is a table whose rows are changed while the very chunk that holds
// them is read. Its rows are numbered in the order of its key.
type hotTable struct {
	name    string
	columns string // of the key, with their types
	keys    string // the same without types, for INSERT
	primary string // the clause that makes them the key
	// key has the literals of row n; another spelling is the same key where the
	// collation says so.
	key   func(n, spelling int) []string
	shown []column // as in the topic
	moves bool     // changes of the key
	// Statements that change the table as a whole, now and then; ? is a number.
	ddl string
}

func (h *hotTable) create() string {
	return fmt.Sprintf("CREATE TABLE %s (%s, v VARCHAR(300), ver BIGINT NOT NULL, %s)", h.name, h.columns, h.primary)
}

func (h *hotTable) at(n, spelling int) string {
	var terms []string
	for i, name := range strings.Split(h.keys, ",") {
		terms = append(terms, name+"="+h.key(n, spelling)[i])
	}
	return strings.Join(terms, " AND ")
}

func (h *hotTable) set(n, spelling int) string {
	return strings.ReplaceAll(h.at(n, spelling), " AND ", ", ")
}

func (h *hotTable) values(n, spelling int, v string, ver int64) string {
	return fmt.Sprintf("(%s,'%s',%d)", strings.Join(h.key(n, spelling), ","), v, ver)
}

// spelled writes a word in one of two cases.
func spelled(format string, n, spelling int) string {
	s := fmt.Sprintf(format, n)
	if spelling%2 == 1 {
		s = strings.ToUpper(s)
	}
	return "'" + s + "'"
}

// hotRows is how many rows a table has at the start.
const hotRows = 400

var hotTables = []hotTable{
	{
		name: "hot_int", columns: "id INT", keys: "id", primary: "PRIMARY KEY (id)", moves: true,
		key:   func(n, _ int) []string { return []string{fmt.Sprint(n - hotRows/2)} },
		shown: []column{{"id", "id"}}, ddl: "ALTER TABLE hot_int ADD COLUMN c? INT DEFAULT ?",
	},
	{
		name: "hot_wiped", columns: "id BIGINT UNSIGNED", keys: "id", primary: "PRIMARY KEY (id)",
		key:   func(n, _ int) []string { return []string{fmt.Sprint(n)} },
		shown: []column{{"id", "id"}}, ddl: "TRUNCATE TABLE hot_wiped",
	},
	{
		name: "hot_pair", columns: "a VARCHAR(20) COLLATE utf8mb4_general_ci, b INT UNSIGNED", keys: "a,b", primary: "PRIMARY KEY (a, b DESC)", moves: true,
		key:   func(n, s int) []string { return []string{spelled("group%d", n/100, s), fmt.Sprint(99 - n%100)} },
		shown: []column{{"a", "JSON_QUOTE(a)"}, {"b", "b"}},
	},
	{
		name: "hot_text", columns: "k VARCHAR(30) COLLATE utf8mb4_unicode_ci", keys: "k", primary: "PRIMARY KEY (k DESC)", moves: true,
		key:   func(n, s int) []string { return []string{spelled("straße%04d", hotRows-n, s)} },
		shown: []column{{"k", "JSON_QUOTE(k)"}},
	},
	{
		name: "hot_bytes", columns: "k BINARY(6)", keys: "k", primary: "PRIMARY KEY (k)", moves: true,
		key:   func(n, _ int) []string { return []string{fmt.Sprintf("x'%08x'", n*256)} },
		shown: []column{{"k", "JSON_QUOTE(TO_BASE64(k))"}},
	},
	{
		name: "hot_unique", columns: "at DATETIME(3) NOT NULL, n BIT(9) NOT NULL", keys: "at,n", primary: "UNIQUE KEY (at, n)", moves: true,
		key: func(n, _ int) []string {
			return []string{fmt.Sprintf("'2026-01-01 00:%02d:00.5'", n/50), fmt.Sprintf("b'%b'", n%50)}
		},
		shown: []column{{"at", "TIMESTAMPDIFF(MICROSECOND,'1970-01-01',at) DIV 1000"}},
	},
}

// hotLoad writes to the rows next to those that are being read.
type hotLoad struct {
	rig *Rig
	ver atomic.Int64
	at  []atomic.Int64 // how many rows of each table have been read
	did [hotActions]atomic.Int64
	// rest is how long a writer rests after a transaction, so that a replica can follow.
	rest time.Duration
}

const (
	hotInsert = iota
	hotUpdate
	hotDelete
	hotAgain // delete and insert in one transaction
	hotReplace
	hotMove
	hotSpell // only the spelling of the key changes
	hotActions
)

// fill writes the rows of a table.
func (l *hotLoad) fill(conn *client.Conn, h *hotTable) error {
	rows := make([]string, hotRows)
	for n := range rows {
		rows[n] = h.values(n, 0, "as it was", l.ver.Add(1))
	}
	return execute(conn, fmt.Sprintf("INSERT IGNORE INTO %s (%s,v,ver) VALUES %s", h.name, h.keys, strings.Join(rows, ",")))
}

func execute(conn *client.Conn, query string) error {
	r, err := conn.Execute(query)
	if r != nil {
		r.Close()
	}
	return err
}

// run writes on several connections until ctx ends, and follows the readers.
func (l *hotLoad) run(ctx context.Context, writers int) error {
	errs := make([]error, writers+2)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { errs[w] = l.writer(ctx, rand.New(rand.NewPCG(7, uint64(w)))) })
	}
	wg.Go(func() { errs[writers] = l.altering(ctx) })
	wg.Go(func() { l.follow(ctx) })
	wg.Wait()
	return errors.Join(errs...)
}

// follow keeps the places of the readers.
func (l *hotLoad) follow(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		p, err := l.rig.Pipeline(ctx)
		for _, s := range p.Snapshot {
			for i := range hotTables {
				if err == nil && strings.HasSuffix(s.Table, "."+hotTables[i].name) {
					l.at[i].Store(int64(s.Rows))
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// altering runs the statements that concern a table as a whole.
func (l *hotLoad) altering(ctx context.Context) error {
	conn, err := l.rig.DB.Conn(ctx, l.rig.Load.Database)
	if err != nil {
		return err
	}
	defer conn.Close()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for i := 1; i < 40; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		for t := range hotTables {
			h := &hotTables[t]
			if h.ddl == "" {
				continue
			}
			if err := execute(conn, strings.ReplaceAll(h.ddl, "?", fmt.Sprint(i))); err != nil {
				return err
			}
			if err := l.fill(conn, h); err != nil && !rolledBack(err) {
				return err
			}
		}
	}
	return nil
}

// rolledBack reports an error of a transaction that others were in the way of.
func rolledBack(err error) bool {
	var my *mysql.MyError
	return errors.As(err, &my) && (my.Code == 1213 || my.Code == 1205 || my.Code == 1062 || my.Code == 1020)
}

func (l *hotLoad) writer(ctx context.Context, rnd *rand.Rand) error {
	conn, err := l.rig.DB.Conn(ctx, l.rig.Load.Database)
	if err != nil {
		return err
	}
	defer conn.Close()
	for ctx.Err() == nil {
		err := execute(conn, "BEGIN")
		for i := 0; i <= rnd.IntN(3) && err == nil; i++ {
			err = l.change(conn, rnd)
		}
		end := "COMMIT"
		if err != nil || rnd.IntN(20) == 0 {
			end = "ROLLBACK"
		}
		if err != nil && !rolledBack(err) {
			return err
		}
		if err := execute(conn, end); err != nil {
			return err
		}
		select {
		case <-time.After(l.rest):
		case <-ctx.Done():
		}
	}
	return nil
}

// near picks a row about where the reader is: a little behind it, or in the
// chunks that it reads next.
func (l *hotLoad) near(table int, rnd *rand.Rand) int {
	return min(max(0, int(l.at[table].Load())+rnd.IntN(48)-16), hotRows-1)
}

func (l *hotLoad) change(conn *client.Conn, rnd *rand.Rand) error {
	i, action := rnd.IntN(len(hotTables)), rnd.IntN(hotActions)
	h, ver := &hotTables[i], l.ver.Add(1)
	n, m, spelling := l.near(i, rnd), l.near(i, rnd), rnd.IntN(2)
	if rnd.IntN(3) == 0 {
		m = rnd.IntN(hotRows) // from a chunk that is far away, or to it
	}
	l.did[action].Add(1)
	switch insert := "INTO " + h.name + " (" + h.keys + ",v,ver) VALUES " + h.values(n, spelling, strings.Repeat("x", rnd.IntN(200)), ver); {
	case action == hotInsert:
		return execute(conn, "INSERT IGNORE "+insert)
	case action == hotReplace:
		return execute(conn, "REPLACE "+insert)
	case action == hotDelete:
		return execute(conn, fmt.Sprintf("DELETE FROM %s WHERE %s", h.name, h.at(n, spelling)))
	case action == hotAgain:
		if err := execute(conn, fmt.Sprintf("DELETE FROM %s WHERE %s", h.name, h.at(n, spelling))); err != nil {
			return err
		}
		return execute(conn, "INSERT "+insert)
	case action == hotMove && h.moves:
		return execute(conn, fmt.Sprintf("UPDATE IGNORE %s SET %s, ver=%d WHERE %s", h.name, h.set(m, spelling), ver, h.at(n, 0)))
	case action == hotSpell:
		return execute(conn, fmt.Sprintf("UPDATE %s SET %s, ver=%d WHERE %s", h.name, h.set(n, spelling), ver, h.at(n, 0)))
	}
	return execute(conn, fmt.Sprintf("UPDATE %s SET v='changed %d', ver=%d WHERE %s", h.name, ver, ver, h.at(n, spelling)))
}

// hotRig has tables with rows, and a daemon that reads them in tiny chunks over
// a slow connection, so that there is time to write between any two steps.
func hotRig(t *testing.T, o RigOptions) (*Rig, *hotLoad, context.Context) {
	var schema []string
	for i := range hotTables {
		schema = append(schema, hotTables[i].create())
	}
	o.Schema, o.Pipeline = strings.Join(schema, ";\n"), ", snapshot: {mode: initial, chunk_rows: 12, readers: 6}"
	r, ctx := newRig(t, o)
	r.slowSource(t)
	l := &hotLoad{rig: r, at: make([]atomic.Int64, len(hotTables))}
	conn, err := r.DB.Conn(ctx, r.Load.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range hotTables {
		if err := l.fill(conn, &hotTables[i]); err != nil {
			t.Fatal(err)
		}
	}
	return r, l, ctx
}

// TestSnapshotHotRows: everything is done to the rows of the very chunks that
// are being read, in tables whose keys have all kinds of orders.
func TestSnapshotHotRows(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, l, ctx := hotRig(t, RigOptions{Flavor: flavor})
			r.mustStart(t)
			l.through(ctx, t)
		})
	}
}

// through writes until the tables are read, and judges.
func (l *hotLoad) through(ctx context.Context, t *testing.T) {
	t.Helper()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	wrote := make(chan error, 1)
	go func() { wrote <- l.run(writing, 4) }()
	l.rig.mustFinish(ctx, t)
	stop()
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	l.judge(ctx, t)
	if err := l.rig.Daemon.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// judge compares what was delivered with the tables.
func (l *hotLoad) judge(ctx context.Context, t *testing.T) {
	t.Helper()
	r := l.rig
	// Behind the last chunk, so that its arrival says that all have arrived.
	r.DB.MustExec(t, fmt.Sprintf("INSERT INTO %s.hot_int (id,v,ver) VALUES (%d,'last',%d)", r.Load.Database, 10*hotRows+int(l.ver.Load()), l.ver.Add(1)))
	if err := r.AwaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	recs, err := r.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := ParseChanges(recs)
	if err != nil {
		t.Fatal(err)
	}
	found := append(Check(changes, Rules{ExactlyOnce: true}), CheckVersions(changes, "ver")...)
	conn, err := r.DB.Conn(ctx, r.Load.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fold := Fold(changes)
	for i := range hotTables {
		h := &hotTables[i]
		cols := append([]column{{"v", "JSON_QUOTE(v)"}, {"ver", "ver"}}, h.shown...)
		diff, err := compareTable(conn, r.Load.Database, h.name, cols, fold[r.Topic(h.name)])
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, diff...)
	}
	for i, v := range found {
		if i == 20 {
			t.Errorf("… and %d more", len(found)-i)
			break
		}
		t.Error(v)
	}
	l.report(t, changes)
}

// report says how much was done, and fails if that was too little to show
// anything.
func (l *hotLoad) report(t *testing.T, changes []Change) {
	t.Helper()
	read := 0
	for _, c := range changes {
		if c.Op == "r" {
			read++
		}
	}
	var did []int64
	for i := range l.did {
		did = append(did, l.did[i].Load())
		if did[i] < 20 {
			t.Errorf("action %d was tried %d times only", i, did[i])
		}
	}
	t.Logf("%d changes, %d of them rows that were read; tried: %v", len(changes), read, did)
	if read == 0 {
		t.Error("no row was read")
	}
}
