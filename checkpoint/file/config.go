package file

import "errors"

// Config says where checkpoints are kept.
type Config struct {
	// Dir is the directory; it is made when it is missing. Two daemons may
	// share it as long as their pipelines differ. It must be on a disk that
	// outlives the machine's crash and knows hard links. Default ./data.
	Dir string `yaml:"dir"`
	// Installation is who writes; checkpoints of another are refused.
	Installation string `yaml:"-"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config { return Config{Dir: "./data"} }

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("dir: must not be empty")
	}
	return nil
}
