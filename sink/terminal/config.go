package terminal

import "fmt"

// Config says how output looks.
type Config struct {
	// Color is auto (on a terminal, unless NO_COLOR is set), always or never.
	// Default auto.
	Color string `yaml:"color"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config { return Config{Color: "auto"} }

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	switch c.Color {
	case "auto", "always", "never":
		return nil
	}
	return fmt.Errorf("color: want auto, always or never, have %q", c.Color)
}

// Colors reports whether output to a terminal, or to something else, is
// coloured; env looks up environment variables. See no-color.org.
func (c Config) Colors(isTerminal bool, env func(string) (string, bool)) bool {
	switch c.Color {
	case "always":
		return true
	case "never":
		return false
	}
	no, _ := env("NO_COLOR")
	term, _ := env("TERM")
	return isTerminal && no == "" && term != "dumb"
}
