package snapshot

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
)

func TestPlacesInTheLog(t *testing.T) {
	file := func(name string) event.LogFile { return event.LogFile{Name: name} }
	stamped := event.LogFile{Name: "binlog.000009", StampTime: 5, StampServer: 1}
	for _, c := range []struct {
		a, b   event.LogFile
		ao, bo uint64
		want   order
	}{
		{file("binlog.000009"), file("binlog.000009"), 4, 5, before},
		{file("binlog.000009"), file("binlog.000009"), 5, 5, same},
		{file("binlog.000009"), file("binlog.000009"), 1 << 40, 5, behind},
		{file("binlog.000009"), file("binlog.000010"), 900, 4, before},
		{file("binlog.1000000"), file("binlog.999999"), 4, 900, behind},
		{file("a.b.000002"), file("a.b.000001"), 4, 4, behind},
		{file("binlog.000009"), file("mysql-bin.000001"), 4, 4, unrelated},
		{file("binlog.000009"), file("binlog.9"), 4, 4, unrelated},
		{file("binlog.000009"), file("binlog.new"), 4, 4, unrelated},
		{file("binlog.000009"), file("binlog"), 4, 4, unrelated},
		{file("binlog.000009"), file(""), 4, 4, unrelated},
		{file("binlog.99999999999999999999"), file("binlog.1"), 4, 4, unrelated},
		{stamped, file("binlog.000009"), 4, 4, same},
		{stamped, event.LogFile{Name: "binlog.000009", StampTime: 6, StampServer: 1}, 4, 4, unrelated},
		{stamped, event.LogFile{Name: "binlog.000009", StampTime: 5, StampServer: 2}, 4, 4, unrelated},
		{stamped, event.LogFile{Name: "binlog.000010", StampTime: 6, StampServer: 1}, 4, 4, before},
		{stamped, event.LogFile{Name: "binlog.000010", StampTime: 6, StampServer: 2}, 4, 4, unrelated},
	} {
		if got := comparePlaces(c.a, c.b, c.ao, c.bo); got != c.want {
			t.Errorf("%+v:%d to %+v:%d is %d, want %d", c.a, c.ao, c.b, c.bo, got, c.want)
		}
		back := map[order]order{before: behind, behind: before, same: same, unrelated: unrelated}
		if got := comparePlaces(c.b, c.a, c.bo, c.ao); got != back[c.want] {
			t.Errorf("%+v:%d to %+v:%d is %d, want %d", c.b, c.bo, c.a, c.ao, got, back[c.want])
		}
	}
}
