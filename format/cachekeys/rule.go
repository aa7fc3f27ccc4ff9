package cachekeys

import (
	"errors"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

// parsed is a rule that was read, without a table.
type parsed struct {
	database, table string
	template        *cachekey.Template
	where           *predicate // nil for all rows
	shown           []string   // only_if_changed
}

func parseRule(r *cachekey.Rule) (*parsed, error) {
	p := &parsed{shown: r.OnlyIfChanged}
	var ok bool
	if p.database, p.table, ok = r.Names(); !ok {
		return nil, errors.New("table: want database.table, have " + `"` + r.Table + `"`)
	}
	var err error
	if p.template, err = cachekey.Parse(r.Key); err != nil {
		return nil, err
	}
	if r.Where != "" {
		p.where, err = parseWhere(r.Where)
	}
	return p, err
}

// compiled is a rule bound to a table version. It serves one goroutine.
type compiled struct {
	key   *cachekey.Compiled
	where *boundWhere // nil for all rows
	// watched are the columns of which an update must change one; nil for any.
	watched []int
	route   *format.Route
}

// compile binds the rule to a table version.
func (p *parsed) compile(table *event.Table) (*compiled, error) {
	key, err := p.template.Compile(table)
	if err != nil {
		return nil, err
	}
	c := &compiled{key: key}
	if p.where != nil {
		if c.where, err = p.where.bind(table); err != nil {
			return nil, err
		}
	}
	if len(p.shown) == 0 {
		return c, nil
	}
	c.watched = slices.Clone(key.Columns())
	if c.where != nil {
		c.watched = append(c.watched, c.where.columns...)
	}
	for _, name := range p.shown {
		i := slices.IndexFunc(table.Columns, func(col event.Column) bool { return strings.EqualFold(col.Name, name) })
		if i < 0 || table.Columns[i].Excluded {
			return nil, noColumn(table, name, "only_if_changed")
		}
		c.watched = append(c.watched, i)
	}
	slices.Sort(c.watched)
	c.watched = slices.Compact(c.watched)
	return c, nil
}

func noColumn(table *event.Table, name, setting string) error {
	return resilience.Errorf(resilience.Fatal, "cache_rule_column", "compile cache rule", "%s names a column that the table does not have, or that is not captured", setting).
		WithPlace("%s.%s, column %s", table.Database, table.Name, name).WithHint("mend %s of the key, or capture the column", setting)
}

// concerns reports whether an update changes what the rule is about. Columns
// that an image leaves out may have changed.
func (c *compiled) concerns(row *event.RowChange) bool {
	if c.watched == nil || row.Before == nil || row.After == nil {
		return true
	}
	for _, i := range c.watched {
		if b, a := &row.Before[i], &row.After[i]; b.Kind == event.Absent || a.Kind == event.Absent || !same(b, a) {
			return true
		}
	}
	return false
}

func same(a, b *event.Value) bool {
	return a.Kind == b.Kind && a.Num == b.Num && a.Scale == b.Scale && string(a.Bytes) == string(b.Bytes)
}
