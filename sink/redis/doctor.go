package redis

import (
	"context"

	"github.com/cdcd-io/cdcd/resilience"
)

// Doctor implements resilience.Doctor: whether the server can be reached, is a
// primary and lets this account delete. It changes nothing.
func (s *Sink) Doctor(ctx context.Context) []resilience.Finding {
	c, err := dialPrimary(ctx, &s.cfg)
	if err != nil {
		return []resilience.Finding{problem("redis_reachable", err)}
	}
	defer c.close()
	found := []resilience.Finding{{Code: "redis_reachable", Text: c.addr + " answers as a primary"}}
	if err := s.tryRights(ctx, c); err != nil {
		return append(found, problem("redis_rights", err))
	}
	return append(found, resilience.Finding{Code: "redis_rights", Text: "the account may delete keys and write the beacon"})
}

// tryRights does all that a line does, without an effect: no entry has such a
// name, and no beacon such a mark.
func (s *Sink) tryRights(ctx context.Context, c *conn) error {
	for _, p := range append(s.cfg.prefixes(), "gen:") {
		if err := c.Unlink(ctx, p+"{cdcd check}").Err(); err != nil {
			return classify(err, "delete a key that begins with "+p, c.addr)
		}
	}
	key := BeaconKey(s.cfg.Installation, s.cfg.Pipeline)
	if err := c.HMGet(ctx, key, "mark").Err(); err != nil {
		return classify(err, "read beacon", c.addr)
	}
	err := writeBeacon.Eval(ctx, c, []string{key}, "no such mark").Err()
	return classify(err, "write beacon", c.addr)
}

func problem(code string, err error) resilience.Finding {
	f := resilience.Found(err)
	f.Severity, f.Code = resilience.Problem, code
	return f
}
