package cachekeys

import (
	"errors"
	"fmt"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/event"
)

// Config says which keys there are. The zero Config is not valid; start from
// DefaultConfig.
type Config struct {
	// Keys are the rules; a table may have several.
	Keys []cachekey.Rule `yaml:"keys"`
	// GenerationAbove is how many rows of one table a transaction may change
	// before the generation of the table stands for all of them. Default 100000.
	GenerationAbove uint64 `yaml:"generation_above"`
}

// The bounds of a configuration. A row has at most two keys a rule.
const (
	MaxRules      = 10_000
	MaxTableRules = 32
)

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config { return Config{GenerationAbove: 100_000} }

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if len(c.Keys) == 0 {
		errs = append(errs, errors.New("keys: want at least one, such as {table: shop.users, key: \"user:{id}\"}"))
	}
	if len(c.Keys) > MaxRules {
		errs = append(errs, fmt.Errorf("keys: want at most %d, have %d", MaxRules, len(c.Keys)))
	}
	if c.GenerationAbove == 0 {
		errs = append(errs, errors.New("generation_above: want at least 1, have 0"))
	}
	count, seen := map[string]int{}, map[[2]string]int{}
	for i := range c.Keys {
		r := &c.Keys[i]
		if _, err := parseRule(r); err != nil {
			errs = append(errs, fmt.Errorf("keys[%d]: %w", i, err))
		}
		if count[r.Table]++; count[r.Table] == MaxTableRules+1 {
			errs = append(errs, fmt.Errorf("keys[%d]: %s has more than %d keys", i, r.Table, MaxTableRules))
		}
		if first, twice := seen[[2]string{r.Table, r.Key}]; twice {
			errs = append(errs, fmt.Errorf("keys[%d]: the same table and key as keys[%d]", i, first))
		}
		seen[[2]string{r.Table, r.Key}] = i
	}
	return errors.Join(errs...)
}

// Check compiles the rules of a table version, as the first row of it would,
// and reports everything that does not fit. Tables without rules are fine.
func (c Config) Check(table *event.Table) error {
	var errs []error
	for i := range c.Keys {
		p, err := parseRule(&c.Keys[i])
		if err == nil && p.database == table.Database && p.table == table.Name {
			_, err = p.compile(table)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
