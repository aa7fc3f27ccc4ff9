package eventtest

import "github.com/cdcd-io/cdcd/event"

// Table returns a new version of a table whose primary key is the named
// columns, in that order; an empty key makes a table without one. Key columns
// become NOT NULL.
func Table(database, name string, key []string, columns ...event.Column) *event.Table {
	t := &event.Table{Database: database, Name: name, Columns: columns, Layout: Layout{Columns: len(columns)}}
	for _, k := range key {
		t.Key = append(t.Key, columnIndex(columns, k))
		columns[t.Key[len(t.Key)-1]].Nullable = false
	}
	return t
}

func columnIndex(columns []event.Column, name string) int {
	for i := range columns {
		if columns[i].Name == name {
			return i
		}
	}
	panic("eventtest: the key names no column: " + name)
}

// Col returns a nullable column of the type; set further fields on the result.
func Col(name string, typ event.Type) event.Column {
	return event.Column{Name: name, Type: typ, Nullable: true}
}

// Orders returns a small table with a key: orders(id INT PRIMARY KEY, note TEXT).
func Orders() *event.Table {
	return Table("shop", "orders", []string{"id"}, Col("id", event.TypeInt), Col("note", event.TypeText))
}
