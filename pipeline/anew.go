package pipeline

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// A table whose key is another one than that by which it is read begins anew.
//
// Rows that have left under other columns have records with another key: they
// would stay beside those that come again, so a truncate event goes before
// these. It must leave behind the DDL, or changes by the old key would follow it,
// and before the window of the first chunk opens, or changes that the chunk
// leaves out would be wiped. So the first chunk by the new key is read only to
// learn when the stream has passed the DDL, and then again.

// keyDoubt is what the reader of a table knows about its key.
type keyDoubt uint8

const (
	keySure  keyDoubt = iota
	keyAsked          // it may be another one: ask before the next read
	keyLost           // and nothing is known of the place behind which to read on
)

// lookPause is how long a reader waits before it asks for the key of a table
// again, doubled with each time until a chunk leaves; keyLooks bounds that.
const (
	lookPause = 50 * time.Millisecond
	keyLooks  = 6
)

// doubts reports whether an error of a read says that the table has another key.
func doubts(err error) bool {
	code := resilience.CodeOf(err)
	return code == source.CodePlace || code == source.CodeNoKey
}

// lookUp asks which key the table has, and begins it anew by that if need be.
func (t *tableRead) lookUp(ctx context.Context) error {
	if err := pause(ctx, lookPause<<min(t.looks, keyLooks)); err != nil {
		return err
	}
	t.looks++
	tables, err := t.src.Tables(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(tables, func(o source.TableInfo) bool { return o.Database == t.info.Database && o.Name == t.info.Name })
	if i < 0 {
		return resilience.Errorf(resilience.Fatal, source.CodeNoTable, "read table", "there is no such table").WithPlace("%s", t.name())
	}
	if t.doubt == keyLost || !slices.Equal(t.key, tables[i].Key) {
		if err := t.anew(ctx, tables[i].Key); err != nil {
			return err
		}
	}
	t.doubt = keySure
	return nil
}

// anew begins the table anew by a key, none for a table that has none. No window
// is open.
func (t *tableRead) anew(ctx context.Context, key []string) error {
	t.l.p.deps.Log.Warn("the key of the table has changed, its snapshot begins anew", "table", t.name(),
		"was", strings.Join(t.key, ", "), "is", strings.Join(key, ", "))
	where := make(chan string, 1)
	err := t.l.calls.post(func() {
		var clears bool
		t.state, clears = t.l.planning.Over(t.id(), t.state, key)
		t.clears = t.clears || clears
		t.l.progress.note(t)
		where <- t.state.Where
	})
	if err != nil {
		return err
	}
	select {
	case t.where = <-where:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t.key, t.after, t.until, t.prev, t.first = key, nil, nil, nil, true
	return nil
}

// clear hands on op t for a table that begins anew, in place of its first chunk.
func (d *dispatcher) clear(ctx context.Context, t *tableRead, v *event.Table) error {
	t.clears = false
	t.state = t.state.Part(0, 0, false, time.Now())
	return d.truncate(ctx, t, v)
}

// pause waits so long, within ctx.
func pause(ctx context.Context, d time.Duration) error {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
