package verify

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// whole sees that the topic has every record that counts. One that lost records
// has, if all rows were read into it behind those; where it cannot be told, their
// number is told with the result.
func (t *Table) whole(ctx context.Context) error {
	list, err := t.d.Topic.Extents(ctx)
	if err != nil {
		return err
	}
	has := false // something from the time of that reading
	for part, x := range list {
		oldest, err := t.oldest(ctx, int32(part), x)
		if err != nil {
			return err
		}
		has = has || !oldest.After(t.d.Read.Ended)
		if x.First > 0 && oldest.After(t.d.Read.Began) {
			t.result.Removed += x.First
		}
	}
	if t.result.Removed > 0 && (!has || t.d.Read.Began.IsZero()) {
		return resilience.Errorf(resilience.Fatal, "topic_not_whole", "verify table",
			"%d records at the topic's beginning were removed, and its table was not read as a whole since", t.result.Removed).
			WithPlace("table %s", t.result.Table).
			WithHint("cdcd snapshot start reads the table again; then the topic can be verified")
	}
	return nil
}

// oldest is the time of the first record of a partition, far off where it has none.
func (t *Table) oldest(ctx context.Context, part int32, x Extent) (time.Time, error) {
	at := time.UnixMilli(math.MaxInt64)
	err := t.d.Topic.Read(ctx, part, x.First, x.End, func(r *Record) error {
		at = time.UnixMilli(r.Millis)
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return at, err
}

var errEnough = errors.New("enough was read")

func noKey(table string) error {
	return resilience.Errorf(resilience.Fatal, "verify_no_key", "verify table", "records of the table have no key to compare by").
		WithPlace("table %s", table).WithHint("ALTER TABLE ... ADD PRIMARY KEY, or leave the table out")
}

func noTopic(table string) error {
	return resilience.Errorf(resilience.Fatal, "verify_no_topic", "verify table", "the table has rows and its topic does not exist").
		WithPlace("table %s", table).WithHint("cdcd snapshot start reads the table; and see that topic and prefix are those the pipeline runs with")
}

// readTable spills the rows of the table.
func (t *Table) readTable(ctx context.Context) error {
	req := source.ChunkRequest{Seen: t.d.Start, Where: t.d.Where, Fresh: true}
	return t.readRows(ctx, req, func(key, image []byte) error {
		d, err := rowDigest(image)
		if err != nil {
			return err
		}
		t.d.Progress("reading rows", t.rows.count, t.d.Info.Rows)
		return t.rows.add(&entry{key: key, hash: hashOf(key), digest: d})
	})
}

// readRows visits the rendered rows that a request asks for.
func (t *Table) readRows(ctx context.Context, req source.ChunkRequest, visit func(key, image []byte) error) error {
	req.Database, req.Table = t.d.Info.Database, t.d.Info.Name
	req.Rows, req.Bytes = t.cfg.ChunkRows, t.cfg.ChunkBytes
	for {
		c, err := t.d.Rows.Read(ctx, req)
		if err != nil {
			return err
		}
		t.table, t.high = c.Table, c.High
		if req.After == nil {
			req.Until = c.Max
		}
		if err := t.render(&c, visit); err != nil {
			return err
		}
		if c.End {
			return nil
		}
		if err := t.pace.take(ctx, c.Count); err != nil {
			return err
		}
		req.After, req.Fresh = c.Last, false
	}
}

// render renders rows as the pipeline would.
func (t *Table) render(c *source.Chunk, visit func(key, image []byte) error) error {
	if c.Count == 0 {
		return nil
	}
	tx := &event.Tx{Begin: c.High, End: c.High, Commit: time.Now(), Rows: uint64(c.Count), Silent: true, Key: "verify"}
	return t.d.Encoder.Encode(&event.Piece{Tx: tx, Events: c.Rows, First: true, Last: true, Bytes: c.Bytes}, emitter(visit))
}

// emitter takes the keys and images out of rendered rows.
type emitter func(key, image []byte) error

// Emit implements format.Emitter.
func (e emitter) Emit(r *format.Record) error {
	if r.Ordinal == 0 || r.Key == nil {
		return nil
	}
	_, after, ok := envelope(r.Value)
	if !ok {
		return errJSON
	}
	return e(r.Key, after)
}

// readTopic spills the records of the topic.
func (t *Table) readTopic(ctx context.Context) error {
	var err error
	if t.ends, err = t.d.Topic.Extents(ctx); err != nil {
		return err
	}
	var total uint64
	for _, x := range t.ends {
		total += uint64(x.End - x.First)
	}
	for part, x := range t.ends {
		err := t.d.Topic.Read(ctx, int32(part), x.First, x.End, func(r *Record) error {
			t.d.Progress("reading records", t.records.count, total)
			if err := t.pace.take(ctx, 1); err != nil {
				return err
			}
			return t.spillRecord(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) spillRecord(r *Record) error {
	c := changeOf(r)
	switch {
	case c.truncate:
		t.emptied[r.Partition] = r.Offset
		return nil
	case r.Key == nil:
		t.result.Keyless++
		return nil
	}
	return t.records.add(&entry{key: r.Key, hash: hashOf(r.Key), digest: c.digest, place: placeOf(r)})
}

func placeOf(r *Record) place { return place{r.Partition, r.Offset, r.Millis} }

// pace holds a reader back to a rate.
type pace struct {
	rate  int
	began time.Time
	taken int
}

// take waits until n more may have been read.
func (p *pace) take(ctx context.Context, n int) error {
	if p.rate == 0 {
		return ctx.Err()
	}
	if p.began.IsZero() {
		p.began = time.Now()
	}
	p.taken += n
	ahead := time.Duration(float64(p.taken)/float64(p.rate)*float64(time.Second)) - time.Since(p.began)
	if ahead < 10*time.Millisecond {
		return nil
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
