package cacheaside

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
)

// GetMulti returns the values of the keys by [Key.String], without those that
// do not exist. What is missing is loaded by one call of the loader, which
// returns the rows that exist in the same way. It costs two or three round trips
// for any number of keys. Keys that others are loading it loads too, without
// waiting and without filling; it shares no loads inside the process.
func GetMulti[T any](ctx context.Context, c *Cache, keys []Key, load func(context.Context, []Key, LoadInfo) (map[string]T, error)) (map[string]T, error) {
	m := c.begin(ctx, keys)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	found := make(map[string]T, len(keys))
	for _, i := range m.items {
		if i.step != protocol.Serve {
			continue
		}
		var v T
		r := c.hit(i.raw)
		if r.meta.Found && c.cfg.Codec.Unmarshal(r.payload, &v) != nil {
			c.stats.Undecodable.Add(1)
			i.step = protocol.LoadOnly
			_ = c.Invalidate(ctx, i.key)
		} else if r.meta.Found {
			found[i.key.name] = v
		}
	}
	return found, loadMulti(ctx, c, m, found, load)
}

// loadMulti loads what is missing into found, and fills what was leased.
func loadMulti[T any](ctx context.Context, c *Cache, m *multi, found map[string]T, load func(context.Context, []Key, LoadInfo) (map[string]T, error)) error {
	missing, info := m.missing()
	if len(missing) == 0 {
		return nil
	}
	var loaded map[string]T
	filled := false
	defer func() {
		if !filled {
			m.settle(ctx, func(*item) (result, bool) { return result{}, false })
		}
	}()
	err := c.limited(ctx, missing[0], m.until, func(ctx context.Context) (err error) {
		loaded, err = load(ctx, missing, info)
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range missing {
		if v, ok := loaded[k.name]; ok {
			found[k.name] = v
		}
	}
	filled = true
	m.settle(ctx, func(i *item) (result, bool) {
		v, ok := loaded[i.key.name]
		if !ok {
			return result{}, true
		}
		payload, err := c.cfg.Codec.Marshal(v)
		return result{payload: payload, meta: Meta{Found: true}}, err == nil
	})
	return nil
}

// multi is a GetMulti on its way.
type multi struct {
	cache *Cache
	items []*item
	until time.Time
}

type item struct {
	key   Key
	raw   string
	step  protocol.Step
	lease lease
}

// begin looks at all keys, each once, and takes leases. What Redis fails at is
// loaded without.
func (c *Cache) begin(ctx context.Context, keys []Key) *multi {
	m := &multi{cache: c, until: time.Now().Add(c.cfg.LoadTimeout)}
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		if !seen[k.name] {
			seen[k.name] = true
			m.items = append(m.items, &item{key: k, step: protocol.LoadOnly})
		}
	}
	if isNoFill(ctx) || len(keys) == 0 {
		return m
	}
	stale, err := c.stale(ctx)
	if stale && !c.cfg.ServeStale {
		return m
	}
	if err == nil {
		err = m.look(ctx)
	}
	if err == nil {
		err = m.renew(ctx)
	}
	if err == nil {
		err = m.ask(ctx)
	}
	if err != nil {
		c.stats.Bypassed.Add(1)
	}
	for _, i := range m.items {
		if i.step == protocol.Ask || i.step == protocol.Wait {
			i.step = protocol.LoadOnly
		}
	}
	return m
}

func (m *multi) look(ctx context.Context) error {
	c := m.cache
	for _, i := range m.items {
		var err error
		if i.lease.generation, err = c.generation(ctx, i.key, false); err != nil {
			return err
		}
	}
	cmds := make([]*redis.StringCmd, len(m.items))
	err := c.pipelined(ctx, "GET", func(p redis.Pipeliner) {
		for n, i := range m.items {
			cmds[n] = p.Get(ctx, i.key.name)
		}
	})
	for n, i := range m.items {
		if cmds[n] == nil {
			return err // the breaker is open
		}
		if raw, one := cmds[n].Result(); one == nil || errors.Is(one, redis.Nil) {
			i.raw = raw
			i.step = protocol.AfterLook(raw, i.lease.generation)
		}
	}
	return err
}

// renew asks again for the generations of entries that are of others.
func (m *multi) renew(ctx context.Context) error {
	c, asked := m.cache, map[string]bool{}
	for _, i := range m.items {
		if i.step != protocol.Ask || i.raw == "" {
			continue
		}
		tables := strings.Join(i.key.generations, " ")
		var err error
		if i.lease.generation, err = c.generation(ctx, i.key, !asked[tables]); err != nil {
			return err
		}
		asked[tables] = true
		if i.step = protocol.AfterLook(i.raw, i.lease.generation); i.step == protocol.Ask {
			c.stats.OldGeneration.Add(1)
		}
	}
	return nil
}

func (m *multi) ask(ctx context.Context) error {
	c := m.cache
	var asks []*item
	for _, i := range m.items {
		if i.step == protocol.Ask {
			i.lease.token, i.lease.until = protocol.NewToken(), m.until
			asks = append(asks, i)
		}
	}
	cmds, err := c.runMany(ctx, "get_or_lease", getOrLease, asks, func(i *item) []any {
		return []any{i.lease.token, c.cfg.Lease.Milliseconds(), i.lease.generation}
	})
	for n, i := range asks {
		values, one := cmds[n].Slice()
		if one == nil {
			i.raw, i.lease.millis, one = leaseReply(values)
		}
		if i.step = protocol.LoadOnly; one == nil {
			i.step = protocol.AfterAsk(i.raw, i.lease.token, i.lease.generation)
		}
		if i.step == protocol.Load {
			c.stats.Misses.Add(1)
		}
	}
	return err
}

// missing are the keys to load, and what their loader has to know.
func (m *multi) missing() (keys []Key, info LoadInfo) {
	for _, i := range m.items {
		switch i.step {
		case protocol.Serve:
			continue
		case protocol.Load:
			info.Filled = true
		default:
			r := reading{cache: m.cache, raw: i.raw}
			info.PrimaryOnly = r.info().PrimaryOnly || info.PrimaryOnly
		}
		keys = append(keys, i.key)
	}
	return keys, info
}

// settle fills each lease with its result, or gives it back where there is none.
func (m *multi) settle(ctx context.Context, of func(*item) (result, bool)) {
	c := m.cache
	ctx = context.WithoutCancel(ctx)
	var fills, releases []*item
	entries, ttls := map[*item]string{}, map[*item]time.Duration{}
	for _, i := range m.items {
		if i.step != protocol.Load {
			continue
		}
		r, ok := of(i)
		if ok {
			entries[i], ttls[i] = c.entry(i.lease, r)
		}
		if ttls[i] > 0 {
			fills = append(fills, i)
		} else {
			releases = append(releases, i)
		}
	}
	cmds, _ := c.runMany(ctx, "fill", fill, fills, func(i *item) []any { return []any{i.lease.token, entries[i], ttls[i].Milliseconds()} })
	for _, cmd := range cmds {
		c.countFill(cmd.Int())
	}
	cmds, _ = c.runMany(ctx, "release", release, releases, func(i *item) []any { return []any{i.lease.token} })
	for _, cmd := range cmds {
		n, _ := cmd.Int()
		c.stats.Released.Add(uint64(n))
	}
}

// runMany runs a script once for each item, again with its text for those that
// met a server that does not know it. Every item has a command, also after an error.
func (c *Cache) runMany(ctx context.Context, op string, s script, items []*item, args func(*item) []any) ([]*redis.Cmd, error) {
	cmds := make([]*redis.Cmd, len(items))
	if len(items) == 0 {
		return nil, nil
	}
	err := c.pipelined(ctx, op, func(p redis.Pipeliner) {
		for n, i := range items {
			cmds[n] = p.EvalSha(ctx, s.sha, []string{i.key.name}, args(i)...)
		}
	})
	var again []int
	for n, cmd := range cmds {
		if cmd == nil {
			cmds[n] = redis.NewCmd(ctx)
			cmds[n].SetErr(err)
		} else if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			again = append(again, n)
		}
	}
	if len(again) == 0 || err != nil {
		return cmds, err
	}
	c.stats.ScriptReloads.Add(1)
	return cmds, c.pipelined(ctx, op, func(p redis.Pipeliner) {
		for _, n := range again {
			cmds[n] = p.Eval(ctx, s.text, []string{items[n].key.name}, args(items[n])...)
		}
	})
}

// pipelined sends commands in one round trip. Its error says that Redis is
// unwell; what it answers to single commands is theirs.
func (c *Cache) pipelined(ctx context.Context, op string, add func(redis.Pipeliner)) error {
	return c.call(ctx, op, func(timed context.Context) error {
		p := c.rdb.Pipeline()
		add(p)
		cmds, _ := p.Exec(timed)
		for _, cmd := range cmds {
			if failure(ctx, cmd.Err()) {
				return cmd.Err()
			}
		}
		return ctx.Err()
	})
}
