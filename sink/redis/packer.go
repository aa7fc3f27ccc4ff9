package redis

import (
	"sync"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// maxPooled bounds the memory of a unit that is kept for reuse.
const maxPooled = 4 << 20

// unit is a packed batch: each of its keys once. It implements sink.Packed.
type unit struct {
	keys    *keyset
	emitted int     // keys before those that are the same were merged
	refs    []ref   // of the keys, for the commands
	args    [][]any // one command each
}

// ref is a key as an argument of a command: a pointer to one is an interface
// without an allocation.
type ref struct{ key []byte }

// MarshalBinary returns the key itself.
func (r *ref) MarshalBinary() ([]byte, error) { return r.key, nil }

// Bytes implements sink.Packed.
func (u *unit) Bytes() int { return u.keys.bytes() + 24*cap(u.refs) + 16*cap(u.refs) }

// commands cuts the keys into the arguments of UNLINK commands.
func (u *unit) commands(perCommand int) {
	n := u.keys.len()
	if cap(u.refs) < n {
		u.refs = make([]ref, n)
	}
	u.refs = u.refs[:n]
	for i := range u.refs {
		u.refs[i].key = u.keys.key(i)
	}
	count := (n + perCommand - 1) / perCommand
	for len(u.args) < count {
		u.args = append(u.args, nil)
	}
	u.args = u.args[:count]
	for c := range u.args {
		args := append(u.args[c][:0], "unlink")
		for i := c * perCommand; i < min(n, (c+1)*perCommand); i++ {
			args = append(args, &u.refs[i])
		}
		u.args[c] = args
	}
}

// units is a pool of them.
type units struct{ pool sync.Pool }

func (p *units) get() *unit {
	if u, ok := p.pool.Get().(*unit); ok {
		return u
	}
	return &unit{keys: newKeyset()}
}

func (p *units) put(u *unit) {
	if u.Bytes() > maxPooled {
		return
	}
	u.keys.reset()
	u.emitted = 0
	p.pool.Put(u)
}

// packer collects the keys of records, each once. It implements sink.Packer.
type packer struct {
	pool       *units
	perCommand int
	cur        *unit
}

// Start implements sink.Packer.
func (p *packer) Start(*event.Piece) {}

// Emit implements sink.Packer.
func (p *packer) Emit(r *format.Record) error {
	if len(r.Key) == 0 || r.Value != nil {
		return resilience.Errorf(resilience.Fatal, "not_a_cache_key", "pack keys",
			"a record of %s has a value or no key: this sink deletes keys", r.Route.Topic).
			WithHint("set format: {kind: cachekeys} for pipelines into Redis")
	}
	if p.cur == nil {
		p.cur = p.pool.get()
	}
	p.cur.emitted++
	p.cur.keys.add(r.Key)
	return nil
}

// Pack implements sink.Packer.
func (p *packer) Pack() (sink.Packed, error) {
	u := p.cur
	if u == nil {
		u = p.pool.get()
	}
	p.cur = nil
	u.commands(p.perCommand)
	return u, nil
}
