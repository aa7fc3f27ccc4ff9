package mysql

import (
	"strings"

	"github.com/cdcd-io/cdcd/resilience"
)

// A server writes ROLLBACK TO a savepoint only where it cannot just leave out
// what was rolled back: the transaction also made a temporary table or touched
// a table without transactions. The rows between the savepoint and the rollback
// are then in the log although they never came to be, and when they arrive
// nobody knows it yet. So such a transaction is read twice: the first time to
// find those stretches, the second time to pass over them.

// savepoint is an open savepoint of a transaction.
type savepoint struct {
	name   string
	events int // seen before it
	rows   int // handed on before it
}

// stretch is a run of events of a transaction, by their numbers: rows and
// statements are counted, since they are the same whenever they are read.
type stretch struct{ from, to int }

// voids are the stretches of one transaction that were rolled back.
type voids struct {
	of    spot // the start of that transaction
	list  []stretch
	here  bool // the stream is in that transaction
	again bool // it is to be read again
}

func (v *voids) enter(at spot) {
	v.here = v.of == at && len(v.list) > 0
	if !v.here {
		v.of, v.list = at, v.list[:0]
	}
}

func (v *voids) leave() { v.here, v.list = false, v.list[:0] }

// cover reports whether the event with the given number was rolled back.
func (v *voids) cover(n int) bool {
	if !v.here {
		return false
	}
	for _, s := range v.list {
		if s.from < n && n < s.to {
			return true
		}
	}
	return false
}

// save opens a savepoint; one of the same name is replaced.
func (tx *transaction) save(name string) {
	if i := tx.saved(name); i >= 0 {
		tx.saves = append(tx.saves[:i], tx.saves[i+1:]...)
	}
	tx.saves = append(tx.saves, savepoint{name: name, events: tx.events, rows: tx.rows})
}

func (tx *transaction) saved(name string) int {
	for i := len(tx.saves) - 1; i >= 0; i-- {
		if strings.EqualFold(tx.saves[i].name, name) {
			return i
		}
	}
	return -1
}

// rollbackTo takes back what came after a savepoint.
func (st *stream) rollbackTo(name string) error {
	i := st.tx.saved(name)
	if i < 0 {
		return resilience.Errorf(resilience.Fatal, "unknown_savepoint", opRead, "a rollback to a savepoint that was not set").
			WithHint("look at the transaction with mysqlbinlog and report this")
	}
	s := st.tx.saves[i]
	st.tx.saves = st.tx.saves[:i+1]
	if st.tx.skip || st.voids.here || !st.tx.doomed && st.tx.rows == s.rows {
		return nil
	}
	st.tx.doomed = true
	st.voids.list = append(st.voids.list, stretch{from: s.events, to: st.tx.events})
	return nil
}
