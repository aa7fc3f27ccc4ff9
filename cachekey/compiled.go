package cachekey

import (
	"errors"
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/nearest"
	"github.com/cdcd-io/cdcd/resilience"
)

// Compiled is a template bound to one table version. It owns scratch memory
// and serves one goroutine.
type Compiled struct {
	template *Template
	table    *event.Table
	columns  []int // by index of Template.names
	folder   folder
}

// Compile binds the template to a table version. It refuses, by name and with
// a remedy, a column that is not there or not captured, one that may be NULL
// without the template saying what then, and one of a type that the template
// does not state.
func (t *Template) Compile(table *event.Table) (*Compiled, error) {
	c := &Compiled{template: t, table: table, columns: make([]int, len(t.names))}
	for i, name := range t.names {
		if c.columns[i] = columnOf(table, name); c.columns[i] < 0 {
			return nil, t.missing(table, name)
		}
	}
	for i := range t.parts {
		if p := &t.parts[i]; p.column >= 0 {
			if err := t.checkColumn(p, table, &table.Columns[c.columns[p.column]]); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// Template returns the template that was compiled.
func (c *Compiled) Template() *Template { return c.template }

// Columns returns the positions in the table of the template's columns.
func (c *Compiled) Columns() []int { return c.columns }

func columnOf(table *event.Table, name string) int {
	for i := range table.Columns {
		if strings.EqualFold(table.Columns[i].Name, name) {
			return i
		}
	}
	return -1
}

func (t *Template) missing(table *event.Table, name string) error {
	known := make([]string, len(table.Columns))
	for i := range table.Columns {
		known[i] = table.Columns[i].Name
	}
	remedy := "the table has " + strings.Join(known, ", ")
	if near := nearest.Word(name, known); near != "" {
		remedy = "the nearest name is " + near
	}
	return t.fail("cache_key_column_missing", table, name, "the table has no such column",
		"mend the template, in the daemon and in the applications; "+remedy)
}

func (t *Template) checkColumn(p *part, table *event.Table, col *event.Column) error {
	want, ok := formOf(col.Type)
	switch {
	case col.Excluded:
		return t.fail("cache_key_column_excluded", table, col.Name, "the column is not captured", "capture it: columns.exclude")
	case !ok:
		return t.fail("cache_key_column_type", table, col.Name, "its type has no exact text", "use another column")
	case want == formHex && p.form == formUUID:
	case want != p.form:
		return t.fail("cache_key_column_type", table, col.Name, "the template takes the column for "+p.form.holds()+", it holds "+want.holds(),
			"write {"+col.Name+want.modifier()+"}")
	case p.fold != foldNone && !isText(col.Type):
		return t.fail("cache_key_column_type", table, col.Name, "only text has case and trailing spaces", "leave out the modifier")
	}
	if col.Nullable && p.null == nullRefused {
		return t.fail("cache_key_column_nullable", table, col.Name, "the column may be NULL, and the template does not say what then",
			"write {"+col.Name+p.form.modifier()+"|null=skip} where a row with NULL has no key, |null=token where it has one")
	}
	return nil
}

func (t *Template) fail(code string, table *event.Table, column, cause, hint string) error {
	return resilience.Errorf(resilience.Fatal, code, "compile key template", "%s", cause).
		WithPlace("%q for %s.%s, column %s", t.text, table.Database, table.Name, column).WithHint("%s", hint)
}

func formOf(typ event.Type) (f form, ok bool) {
	switch typ {
	case event.TypeTinyInt, event.TypeSmallInt, event.TypeMediumInt, event.TypeInt, event.TypeBigInt, event.TypeBit,
		event.TypeYear, event.TypeChar, event.TypeText, event.TypeEnum, event.TypeSet:
		return formPlain, true
	case event.TypeDecimal:
		return formDecimal, true
	case event.TypeBinary, event.TypeBytes:
		return formHex, true
	case event.TypeDate:
		return formDate, true
	case event.TypeDateTime:
		return formDateTime, true
	case event.TypeTimestamp:
		return formTimestamp, true
	case event.TypeTime:
		return formTime, true
	}
	return formPlain, false
}

func isText(typ event.Type) bool {
	return typ == event.TypeChar || typ == event.TypeText || typ == event.TypeEnum || typ == event.TypeSet
}

// modifier is how a template states the form.
func (f form) modifier() string {
	return [...]string{"", "|hex", "|uuid", "|decimal", "|date", "|datetime", "|timestamp", "|time"}[f]
}

func (f form) holds() string {
	return [...]string{"an integer or text", "binary data", "a UUID", "a DECIMAL", "a DATE", "a DATETIME", "a TIMESTAMP", "a TIME"}[f]
}

// Why an image yields no key although it should.
var (
	ErrAbsent = errors.New("a column of the key template is not in the row image")
	ErrNull   = errors.New("a column of the key template is NULL and not nullable")
	ErrValue  = errors.New("a column of the key template holds a value of another kind than its type")
)

// Append appends the key of the row image, which is one of the compiled table
// version. It is false where the row has no such key (null=skip); dst is then
// as it was, and so it is with an error, which is one of the above.
func (c *Compiled) Append(dst []byte, image []event.Value) ([]byte, bool, error) {
	from := len(dst)
	for i := range c.template.parts {
		p := &c.template.parts[i]
		if p.column < 0 {
			dst = append(dst, p.literal...)
			continue
		}
		col := c.columns[p.column]
		v := &image[col]
		if v.Kind == event.Null && p.null == nullSkip {
			return dst[:from], false, nil
		}
		var err error
		if dst, err = c.append(dst, p, &c.table.Columns[col], v); err != nil {
			return dst[:from], false, err
		}
	}
	return dst, true, nil
}
