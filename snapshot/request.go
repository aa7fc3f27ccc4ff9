package snapshot

import (
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// CodePartial is the code of the error of a request for some rows of a table all
// of which are still to be read.
const CodePartial = "snapshot_not_whole"

// Request returns the state with which a table that an operator asks for is read
// from its start, all of it or, with where, some rows. It takes the place of the
// state that is there. So some rows cannot be asked for while all are due: what
// remembers that would be gone.
func (p *Planning) Request(t *source.TableInfo, where string) (State, error) {
	n := Name{t.Database, t.Name}
	s, ok := p.Marks.state(n)
	if job, due := p.job(t); due && where != "" && job.State.Where != where {
		return State{}, resilience.Errorf(resilience.Fatal, CodePartial, "request a snapshot", "the table is not read as a whole yet").
			WithPlace("table %s.%s", n.Database, n.Table).
			WithHint("wait for its snapshot to end, or ask for all rows")
	}
	rest := where != "" && (ok && s.Rest || !ok && !p.covered(n))
	return State{Run: p.Marks.NextRun(), Cause: Requested, Key: t.Key, Where: where, Rest: rest, Started: stamp(p.Now)}, nil
}
