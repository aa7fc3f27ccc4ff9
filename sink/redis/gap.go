package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/resilience"
)

// scanCount is how many keys Redis looks at in one SCAN.
const scanCount = 1000

// closeGap deals with entries of which nobody knows whether they missed a delete.
func closeGap(ctx context.Context, c *conn, cfg *Config, first bool) (policy OnGap, keys int, err error) {
	warm, err := findEntry(ctx, c, cfg)
	if err != nil || warm == "" {
		return "", 0, err
	}
	policy = cfg.OnGap
	if policy == Auto {
		if policy = FlushPrefix; first {
			policy = Fail
		}
	}
	switch policy {
	case FlushPrefix:
		keys, err = flush(ctx, c, cfg)
	case BumpGeneration:
		keys, err = bump(ctx, c, cfg)
	default:
		err = refuseGap(c, cfg, warm, first)
	}
	return policy, keys, err
}

func refuseGap(c *conn, cfg *Config, warm string, first bool) error {
	const hint = "empty the cache, or set on_gap: flush_prefix (deletes the keys that begin with %s) or bump_generation (for readers that look at generations)"
	if first {
		return resilience.Errorf(resilience.Fatal, "cache_warm", "first start",
			"the cache holds entries already, such as %q, which may be older than where the pipeline begins", warm).
			WithPlace("%s", c.addr).WithHint(hint, strings.Join(cfg.prefixes(), ", "))
	}
	return resilience.Errorf(resilience.Fatal, "cache_gap", "connect to Redis",
		"the beacon is gone and the cache holds entries, such as %q, of which some may have missed a delete", warm).
		WithPlace("%s", c.addr).WithHint(hint, strings.Join(cfg.prefixes(), ", "))
}

// prefixes are the beginnings of keys, each once, without those that begin as
// another does. One of them is empty where a template begins with a column.
func (c *Config) prefixes() []string {
	var all []string
	for _, r := range c.Keys {
		all = append(all, prefix(r.Key))
	}
	slices.Sort(all)
	var out []string
	for _, p := range all {
		if len(out) == 0 || !strings.HasPrefix(p, out[len(out)-1]) {
			out = append(out, p)
		}
	}
	return out
}

// globs makes text match itself in a pattern.
var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// scan visits the keys that begin with one of the prefixes, until visit is false.
func scan(ctx context.Context, c *conn, cfg *Config, visit func(keys []string) (bool, error)) error {
	for _, p := range cfg.prefixes() {
		for cursor := uint64(0); ; {
			keys, next, err := c.Scan(ctx, cursor, globs.Replace(p)+"*", scanCount).Result()
			if err != nil {
				return classify(err, "look for entries", c.addr)
			}
			keys = slices.DeleteFunc(keys, ours)
			more, err := visit(keys)
			if err != nil || !more {
				return err
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// ours are keys that are no entries.
func ours(key string) bool { return strings.HasPrefix(key, "cdcd:") || strings.HasPrefix(key, "gen:") }

// findEntry is the key of some entry, "" for none.
func findEntry(ctx context.Context, c *conn, cfg *Config) (found string, err error) {
	err = scan(ctx, c, cfg, func(keys []string) (bool, error) {
		if len(keys) > 0 {
			found = keys[0]
		}
		return found == "", nil
	})
	return found, err
}

// flush deletes every entry. What is there when it begins is gone when it ends;
// an entry that comes in between was loaded after the pipeline's position.
func flush(ctx context.Context, c *conn, cfg *Config) (n int, err error) {
	err = scan(ctx, c, cfg, func(keys []string) (bool, error) {
		if len(keys) == 0 {
			return true, nil
		}
		deleted, err := c.Unlink(ctx, keys...).Result()
		n += int(deleted)
		return true, classify(err, "delete entries", c.addr)
	})
	return n, err
}

// bump makes the entries of all tables misses, for readers that look.
func bump(ctx context.Context, c *conn, cfg *Config) (int, error) {
	var keys []string
	for i := range cfg.Keys {
		database, table, ok := cfg.Keys[i].Names()
		if !ok {
			return 0, resilience.Errorf(resilience.Fatal, "bad_config", "bump generations", "%q is no table", cfg.Keys[i].Table)
		}
		if key := cachekey.Generation(database, table); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	n, err := c.Unlink(ctx, keys...).Result()
	return int(n), classify(err, fmt.Sprintf("bump %d generations", len(keys)), c.addr)
}
