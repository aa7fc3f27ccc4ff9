package mysql

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
)

// TestShows: what is known to show, by places of the log and sets, in the order
// in which a stream moves.
func TestShows(t *testing.T) {
	at := func(f event.Flavor, file string, offset uint64, gtids string) event.Position {
		set, err := parseSet(f, gtids)
		if err != nil {
			t.Fatal(err)
		}
		return event.Position{Flavor: f, File: event.LogFile{Name: file}, Offset: offset, GTIDs: set}
	}
	const my = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-"
	for _, c := range []struct {
		flavor      event.Flavor
		shown, seen event.Position
		want        bool
	}{
		{event.MySQL, event.Position{}, at(event.MySQL, "b.000001", 4, my+"5"), false},
		{event.MySQL, at(event.MySQL, "b.000001", 4, my+"5"), at(event.MySQL, "b.000001", 4, my+"5"), true},
		{event.MySQL, at(event.MySQL, "b.000001", 4, my+"5"), at(event.MySQL, "b.000001", 4, my+"6"), false},
		{event.MySQL, at(event.MySQL, "b.000001", 99, my+"5"), at(event.MySQL, "b.000001", 100, my+"5"), false},
		{event.MySQL, at(event.MySQL, "b.000009", 99, ""), at(event.MySQL, "b.000010", 4, ""), false},
		{event.MySQL, at(event.MySQL, "b.000010", 4, ""), at(event.MySQL, "b.000009", 99, ""), true},
		{event.MariaDB, at(event.MariaDB, "b.000001", 100, ""), at(event.MariaDB, "b.000001", 99, "0-1-7"), true},
		{event.MariaDB, at(event.MariaDB, "b.000001", 100, ""), at(event.MariaDB, "b.000001", 101, "0-1-7"), false},
	} {
		q := &session{flavor: c.flavor, shown: c.shown}
		if got := q.shows(&c.seen); got != c.want {
			t.Errorf("%s: %s:%d %s is known to show %s:%d %s: %v", c.flavor, c.shown.File.Name, c.shown.Offset, c.shown.GTIDs,
				c.seen.File.Name, c.seen.Offset, c.seen.GTIDs, got)
		}
	}
}
