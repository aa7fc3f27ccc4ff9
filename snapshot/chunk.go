package snapshot

import (
	"math"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/source"
)

// chunkRows are the rows of a chunk and which of them the stream has touched.
// The keys are looked up only once something was touched.
type chunkRows struct {
	chunk   source.Chunk
	indexed bool
	keys    keySet   // numbered like the rows
	starts  []int    // of each row in its body
	dropped []uint64 // a bit for each row
	drops   int
}

// drop leaves out the row with the key, whose hash is given, if there is one.
func (c *chunkRows) drop(t *table, r *event.RowReader, key []byte, hash uint64) error {
	if !c.indexed {
		if err := c.index(t, r); err != nil {
			return err
		}
	}
	if i := c.keys.find(key, hash); i >= 0 && !c.isDropped(i) {
		c.dropped[i>>6] |= 1 << (i & 63)
		c.drops++
	}
	return nil
}

func (c *chunkRows) isDropped(i int) bool { return c.dropped[i>>6]>>(i&63)&1 != 0 }

// index finds the key and the place of each row.
func (c *chunkRows) index(t *table, r *event.RowReader) error {
	var key []byte
	for i := range c.chunk.Rows {
		raw := &c.chunk.Rows[i]
		plan, ok := planKey(raw.Table, t.key)
		if !ok {
			return t.fault(CodeRowUnreadable, "the rows that were read lack a column of the key")
		}
		for off, row := 0, uint32(0); row < raw.Rows; row++ {
			next, err := decode(raw, off, r)
			if err != nil {
				return t.fault(CodeRowUnreadable, "row %d of the chunk: %w", len(c.starts), err)
			}
			if key, ok = plan.append(key[:0], r.Change.After); !ok {
				return t.fault(CodeRowUnreadable, "row %d of the chunk lacks a column of the key", len(c.starts))
			}
			if added, _ := c.keys.add(key, math.MaxInt); !added {
				return t.fault(CodeKeyRepeated, "row %d of the chunk has the key of an earlier one", len(c.starts))
			}
			c.starts, off = append(c.starts, off), next
		}
	}
	c.indexed, c.dropped = true, make([]uint64, (len(c.starts)+63)/64)
	return nil
}

// decode decodes the row of raw at offset off into the images of r.
func decode(raw *event.RawRows, off int, r *event.RowReader) (next int, err error) {
	r.Scratch, r.Change = r.Scratch[:0], event.RowChange{}
	return raw.Table.Layout.Next(raw, off, r)
}

// fill moves what is left of the chunk into o.
func (c *chunkRows) fill(o *Outcome) {
	o.Chunk, o.Rows = c.chunk, c.chunk.Rows
	o.Chunk.Rows = nil
	if c.drops > 0 {
		o.Rows = c.kept()
	}
	for i := range o.Rows {
		raw := &o.Rows[i]
		raw.Ordinal, raw.TableOrdinal = uint64(o.Kept), uint64(o.Kept)
		o.Kept += int(raw.Rows)
		o.Bytes += len(raw.Body)
	}
	o.Dropped = c.drops
}

// kept cuts the runs of rows that were not dropped out of the bodies.
func (c *chunkRows) kept() []event.RawRows {
	runs := make([]event.RawRows, 0, len(c.chunk.Rows)+c.drops)
	first := 0 // number of the body's first row
	for i := range c.chunk.Rows {
		raw := &c.chunk.Rows[i]
		end := first + int(raw.Rows)
		for row := first; row < end; row++ {
			from := row
			for row < end && !c.isDropped(row) {
				row++
			}
			if row > from {
				runs = append(runs, c.run(raw, first, from, row))
			}
		}
		first = end
	}
	return runs
}

// run is the rows from up to to of the body whose first row is number first.
func (c *chunkRows) run(raw *event.RawRows, first, from, to int) event.RawRows {
	start, end := c.starts[from], len(raw.Body)
	if to < first+int(raw.Rows) {
		end = c.starts[to]
	}
	run := *raw
	run.Body, run.Rows = raw.Body[start:end:end], uint32(to-from)
	return run
}
