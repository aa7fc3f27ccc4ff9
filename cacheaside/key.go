package cacheaside

import (
	"fmt"
	"strings"

	"github.com/cdcd-io/cdcd/cachekey"
)

// Template makes keys of lookups. The daemon must have the same template for
// each of the tables, or nothing deletes what is cached.
type Template struct {
	*cachekey.Template
	generations []string // keys in Redis, by table
}

// NewTemplate parses a template (see package cachekey) of an entry that is made
// from rows of the tables, each as database.table.
func NewTemplate(text string, tables ...string) (*Template, error) {
	t, err := cachekey.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("template %q: name the tables that its entries are made from", text)
	}
	tmpl := &Template{Template: t}
	for _, name := range tables {
		database, table, ok := strings.Cut(name, ".")
		if !ok || database == "" || table == "" {
			return nil, fmt.Errorf("template %q: want tables as database.table, have %q", text, name)
		}
		tmpl.generations = append(tmpl.generations, cachekey.Generation(database, table))
	}
	return tmpl, nil
}

// MustTemplate is NewTemplate for templates that are part of a program: it
// panics with the error.
func MustTemplate(text string, tables ...string) *Template {
	t, err := NewTemplate(text, tables...)
	if err != nil {
		panic(err)
	}
	return t
}

// Key is one lookup. Make it with [Template.Key].
type Key struct {
	name        string
	generations []string
}

// Key renders the key for values, in the order of the template's columns.
func (t *Template) Key(values ...any) (Key, error) {
	name, err := t.Template.Key(values...)
	return Key{name, t.generations}, err
}

// String is the key in Redis.
func (k Key) String() string { return k.name }
