package txbuffer

import "github.com/cdcd-io/cdcd/event"

// tableCounts counts rows by table name, in order of first touch. Most
// transactions touch few tables, so up to scanTables of them are found by
// looking along the list, and only beyond through a map.
type tableCounts struct {
	counts []event.TableCount
	recent *event.Table // of the last event
	at     int          // its index in counts
	names  map[tableName]int
}

type tableName struct{ database, table string }

const (
	scanTables = 8
	keepTables = 1024 // what held more than this is not kept for the next transaction
)

// of returns the count of t's table; the pointer is good until the next call.
func (c *tableCounts) of(t *event.Table) *event.TableCount {
	if t != c.recent {
		c.recent, c.at = t, c.find(t)
	}
	return &c.counts[c.at]
}

func (c *tableCounts) find(t *event.Table) int {
	if len(c.counts) > scanTables {
		if i, ok := c.names[tableName{t.Database, t.Name}]; ok {
			return i
		}
		return c.add(t)
	}
	for i := range c.counts {
		if c.counts[i].Table == t.Name && c.counts[i].Database == t.Database {
			return i
		}
	}
	return c.add(t)
}

func (c *tableCounts) add(t *event.Table) int {
	i := len(c.counts)
	c.counts = append(c.counts, event.TableCount{Database: t.Database, Table: t.Name})
	switch {
	case i == scanTables:
		if c.names == nil {
			c.names = make(map[tableName]int)
		}
		for j, k := range c.counts {
			c.names[tableName{k.Database, k.Table}] = j
		}
	case i > scanTables:
		c.names[tableName{t.Database, t.Name}] = i
	}
	return i
}

func (c *tableCounts) reset() {
	c.recent = nil
	if len(c.counts) > keepTables {
		c.counts, c.names = nil, nil
	}
	if len(c.counts) > scanTables {
		clear(c.names)
	}
	c.counts = c.counts[:0]
}
