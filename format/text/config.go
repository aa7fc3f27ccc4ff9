package text

import (
	"errors"
	"fmt"
	"time"
)

// Config says how lines look.
type Config struct {
	// MaxValue is how many characters of a value are shown; of binary data,
	// half as many bytes. Default 60.
	MaxValue int `yaml:"max_value"`
	// Color adds the escape sequences of a terminal.
	Color bool `yaml:"-"`
	// Location is the time zone of commit times and TIMESTAMP columns. nil is
	// UTC.
	Location *time.Location `yaml:"-"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config { return Config{MaxValue: 60} }

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.MaxValue < 8 {
		errs = append(errs, fmt.Errorf("max_value: want at least 8, have %d", c.MaxValue))
	}
	return errors.Join(errs...)
}
