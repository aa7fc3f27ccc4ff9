package mysql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// limit bounds everything a test waits for.
const limit = 30 * time.Second

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// configFor reads one database of a server as its reader account.
func configFor(addr, database string) mysql.Config {
	c := mysql.DefaultConfig()
	c.Hosts = []string{addr}
	c.User, c.Password = testenv.ReaderUser, testenv.ReaderPassword
	c.Tables.Include = []string{database + ".*"}
	c.Heartbeat = 200 * time.Millisecond
	c.SilenceTimeout = 5 * time.Second
	return c
}

// reader assembles transactions in the plainest way and keeps the position.
type reader struct {
	t      testing.TB
	source *mysql.Source
	stream source.Stream
	pos    event.Position
	again  bool // open again after a transient error
}

func newReader(t testing.TB, c mysql.Config) *reader {
	t.Helper()
	r := &reader{t: t, source: mysql.New(c, "test", t.Name())}
	var err error
	if r.pos, err = r.source.Start(within(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

func (r *reader) close() {
	if r.stream != nil {
		_ = r.stream.Close()
		r.stream = nil
	}
}

func (r *reader) open(ctx context.Context) (err error) {
	if r.stream == nil {
		r.stream, err = r.source.Open(ctx, r.pos)
	}
	return err
}

// tx is one transaction as text: its rows, or what else it was.
type tx struct {
	text string
	at   event.Position // after it
}

// next reads the next transaction that has something to say: rows, a rollback
// or a DDL statement.
func (r *reader) next(ctx context.Context) (tx, error) {
	for {
		text, err := r.transaction(ctx)
		if err != nil {
			r.close()
			if r.again && ctx.Err() == nil && resilience.ClassOf(err) == resilience.Transient {
				continue
			}
			return tx{}, err
		}
		if text != "" {
			return tx{text, r.pos.Clone()}, nil
		}
	}
}

func (r *reader) transaction(ctx context.Context) (string, error) {
	if err := r.open(ctx); err != nil {
		return "", err
	}
	var ev event.Event
	var rows []string
	for {
		if err := r.stream.Next(ctx, &ev); err != nil {
			return "", err
		}
		switch ev.Kind {
		case event.EvReset, event.EvBegin:
			rows = nil
		case event.EvRows:
			rows = append(rows, r.decode(&ev.Raw)...)
		case event.EvHeartbeat:
			r.pos.Advance(ev.Coord)
			return "", nil
		default:
			r.pos.Advance(ev.Coord)
			return outcome(&ev, rows), nil
		}
	}
}

func outcome(ev *event.Event, rows []string) string {
	switch {
	case ev.Kind == event.EvRollback:
		return "rollback"
	case ev.Kind == event.EvDDL:
		if ev.DDL == nil {
			return "ddl"
		}
		text := "ddl"
		for _, d := range ev.DDL.Tables {
			text += fmt.Sprintf(" %d:%s", ev.DDL.Kind, d.Name)
		}
		return text
	}
	return strings.Join(rows, " ")
}

// decode shows rows as table, operation and first column.
func (r *reader) decode(raw *event.RawRows) (rows []string) {
	var err error
	if raw.Rows, err = raw.Table.Layout.Count(raw.Type, raw.Body); err != nil {
		r.t.Fatal(err)
	}
	p := event.Piece{Events: []event.RawRows{*raw}}
	var rr event.RowReader
	for row, err := range p.Rows(&rr) {
		if err != nil {
			r.t.Fatal(err)
		}
		image := row.After
		if image == nil {
			image = row.Before
		}
		rows = append(rows, fmt.Sprintf("%s%c%d", raw.Table.Name, raw.Op, image[0].Num))
	}
	return rows
}

// expect reads as many transactions as it is given and compares.
func (r *reader) expect(want ...string) []tx {
	r.t.Helper()
	ctx := within(r.t)
	var all []tx
	for len(all) < len(want) {
		x, err := r.next(ctx)
		if err != nil {
			r.t.Fatalf("after %q: %v", texts(all), err)
		}
		all = append(all, x)
	}
	if got := texts(all); !slices.Equal(got, want) {
		r.t.Fatalf("read %q\nwant %q", got, want)
	}
	return all
}

func texts(all []tx) (list []string) {
	for _, x := range all {
		list = append(list, x.text)
	}
	return list
}

// fails reads to an error and compares its class and code.
func (r *reader) fails(class resilience.Class, code string) error {
	r.t.Helper()
	ctx := within(r.t)
	for {
		_, err := r.next(ctx)
		if err == nil {
			continue
		}
		if resilience.ClassOf(err) != class || resilience.CodeOf(err) != code {
			r.t.Fatalf("%s %s: %v; want %s %s", resilience.ClassOf(err), resilience.CodeOf(err), err, class, code)
		}
		return err
	}
}

// onBoth runs a test on the shared server of each flavor, in a database of its own.
func onBoth(t *testing.T, test func(t *testing.T, m *testenv.MySQL, db string)) {
	for _, f := range testenv.Flavors {
		t.Run(f.String(), func(t *testing.T) {
			m := testenv.SharedMySQL(t, f)
			test(t, m, m.Database(t))
		})
	}
}

// onPrivate runs a test on a server of its own, whose log it may hurt.
func onPrivate(t *testing.T, config map[string]string, test func(t *testing.T, m *testenv.MySQL)) {
	for _, f := range testenv.Flavors {
		t.Run(f.String(), func(t *testing.T) {
			m := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Flavor: f, Config: config})
			m.MustExec(t, "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, v LONGTEXT)")
			test(t, m)
		})
	}
}
