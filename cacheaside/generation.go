package cacheaside

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
)

// generationTTL is how long a generation lives at most. Its end makes misses of
// the table's entries, never anything stale.
const generationTTL = 7 * 24 * time.Hour

// generations remembers the generations of tables for a moment.
type generations struct {
	mu  sync.Mutex
	all map[string]generation // by key in Redis: as many as there are tables in templates
}

type generation struct {
	value string
	until time.Time
}

func (g *generations) get(key string, now time.Time) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := g.all[key]
	return v.value, ok && now.Before(v.until)
}

func (g *generations) set(key, value string, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[string]generation{}
	}
	g.all[key] = generation{value, until}
}

// generation returns what stands in entries of the key; fresh asks Redis even
// for what is known.
func (c *Cache) generation(ctx context.Context, key Key, fresh bool) (string, error) {
	values := make([]string, len(key.generations))
	for i, name := range key.generations {
		var err error
		if values[i], err = c.tableGeneration(ctx, name, fresh); err != nil {
			return "", err
		}
	}
	if len(values) == 1 {
		return values[0], nil
	}
	return combined(values), nil
}

// combined is one generation for several tables: it differs if one of theirs does.
func combined(values []string) string {
	h := sha256.New()
	for _, v := range values {
		h.Write([]byte(v + "\n"))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))[:protocol.TokenLen]
}

func (c *Cache) tableGeneration(ctx context.Context, name string, fresh bool) (string, error) {
	asked := time.Now()
	if v, ok := c.gens.get(name, asked); ok && !fresh {
		return v, nil
	}
	value, err := c.look(ctx, name)
	for range 2 {
		if err != nil || len(value) == protocol.TokenLen {
			break
		}
		value, err = c.newGeneration(ctx, name, value != "")
	}
	if err == nil && len(value) != protocol.TokenLen {
		err = errGeneration
	}
	if err != nil {
		return "", err
	}
	c.gens.set(name, value, asked.Add(c.cfg.GenerationAge))
	return value, nil
}

var errGeneration = errors.New("generation: somebody else writes to its key")

// newGeneration makes a generation, unless somebody just did. What is no
// generation is replaced.
func (c *Cache) newGeneration(ctx context.Context, name string, replace bool) (value string, err error) {
	made := protocol.NewToken()
	err = c.call(ctx, "generation", func(ctx context.Context) error {
		if replace {
			value = made
			return c.rdb.Set(ctx, name, made, generationTTL).Err()
		}
		value, err = c.rdb.SetArgs(ctx, name, made, redis.SetArgs{Mode: "NX", Get: true, TTL: generationTTL}).Result()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return made, nil
	}
	return value, err
}
