package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/event"
)

// DueKey is the key of the mark that lists the tables due.
const DueKey = "snapshot-due"

// Due is a table that DDL makes begin anew. It is stored with the end of the DDL,
// so that no kill comes between the two, until the state of its new reading is.
type Due struct {
	Name
	// Clear says that a truncate event must go first: rows are gone, or have
	// another key.
	Clear bool
}

// WithDue adds a table to a list of those due.
func WithDue(list []Due, d Due) []Due {
	list = slices.Clone(list)
	if i := slices.IndexFunc(list, func(o Due) bool { return o.Name == d.Name }); i >= 0 {
		list[i].Clear = list[i].Clear || d.Clear
		return list
	}
	return append(list, d)
}

// WithoutDue removes a table from a list of those due.
func WithoutDue(list []Due, n Name) []Due {
	return slices.DeleteFunc(slices.Clone(list), func(d Due) bool { return d.Name == n })
}

type storedDue struct {
	V      int        `json:"v"`
	Tables []dueTable `json:"tables"`
}

type dueTable struct {
	Table string `json:"table"` // as in MarkKey, without its beginning
	Clear bool   `json:"clear,omitempty"`
}

// DueMark returns the mark that stores the list; an empty one removes it.
func DueMark(list []Due) (*event.Mark, error) {
	if len(list) == 0 {
		return &event.Mark{Key: DueKey}, nil
	}
	x := storedDue{V: formatVersion}
	for _, d := range list {
		x.Tables = append(x.Tables, dueTable{strings.TrimPrefix(MarkKey(d.Database, d.Table), keyPrefix), d.Clear})
	}
	value, err := encode(&x)
	return &event.Mark{Key: DueKey, Value: value}, err
}

// DecodeDue reads the value of a mark that DueMark made; nil is an empty list.
func DecodeDue(value []byte) ([]Due, error) {
	if value == nil {
		return nil, nil
	}
	var x storedDue
	if err := decodeStrictly(value, &x); err != nil {
		return nil, stateError("read", err)
	}
	if x.V != formatVersion {
		return nil, stateError("read", fmt.Errorf("version %d is not known", x.V))
	}
	var list []Due
	for _, t := range x.Tables {
		database, table, ok := ParseMarkKey(keyPrefix + t.Table)
		if !ok {
			return nil, stateError("read", fmt.Errorf("%q is no name of a table", t.Table))
		}
		list = append(list, Due{Name{database, table}, t.Clear})
	}
	return list, nil
}
