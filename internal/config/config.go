package config

import (
	"errors"
	"time"
)

// Config is the core of the file: what does not belong to a driver.
type Config struct {
	// Installation names this installation of cdcd. It is part of every
	// transactional id and checkpoint topic, so two installations that share a
	// broker need two names, and a change of it starts everything anew.
	// Default "cdcd".
	Installation string `yaml:"installation"`
	// ShutdownGrace is how long a soft stop may take to deliver what is in
	// hand, before it turns into a hard one. Default 30s.
	ShutdownGrace time.Duration `yaml:"shutdown_grace"`
	Log           Log           `yaml:"log"`
	// Sources are the servers to read, by name. At least one.
	Sources Sections `yaml:"sources"`
	// Sinks are the places to deliver to, by name. At least one.
	Sinks Sections `yaml:"sinks"`
	// Pipelines join one source and one sink each. At least one.
	Pipelines Sections `yaml:"pipelines"`
	// Checkpoint is where progress is kept: one section named for the kind of
	// store. Default {file: {dir: ./data}}.
	Checkpoint Section `yaml:"checkpoint"`
	Admin      Admin   `yaml:"admin"`
	Cluster    any     `yaml:"cluster" later:"one process runs every pipeline; leave the section out"`
}

// Log says how the daemon logs.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `yaml:"level"`
	// Format is text, json, or auto: text on a terminal, JSON otherwise.
	// Default auto.
	Format string `yaml:"format"`
}

// Admin says where the daemon can be looked at and commanded.
type Admin struct {
	// Listen is the TCP address of /metrics, /healthz, /readyz and the read-only
	// part of the API; it takes no commands. Empty means no TCP at all. Default "".
	Listen string `yaml:"listen"`
	// Socket is the path of the Unix socket that takes the commands of status,
	// pause and resume. Default: cdcd.sock in the directory of the checkpoints.
	Socket string `yaml:"socket"`
}

// Default returns the core with every default filled in.
func Default() Config {
	return Config{
		Installation:  "cdcd",
		ShutdownGrace: 30 * time.Second,
		Log:           Log{Level: "info", Format: "auto"},
	}
}

// Validate tells what is wrong with values that are each of the right type.
func (c *Config) Validate() error {
	var errs []error
	if !validName(c.Installation) {
		errs = append(errs, errors.New(`installation: `+nameRule))
	}
	if c.ShutdownGrace <= 0 {
		errs = append(errs, errors.New("shutdown_grace: must be more than 0s"))
	}
	return errors.Join(errs...)
}

// Validate tells what is wrong with the section.
func (l *Log) Validate() error {
	var errs []error
	switch l.Level {
	case "debug", "info", "warn", "error":
	default:
		errs = append(errs, errors.New("level: must be debug, info, warn or error"))
	}
	switch l.Format {
	case "text", "json", "auto":
	default:
		errs = append(errs, errors.New("format: must be text, json or auto"))
	}
	return errors.Join(errs...)
}

// nameRule is what names of sources, sinks, pipelines and the installation
// obey: they become parts of topics, file names, metric labels and addresses.
const nameRule = "a name is 1 to 100 letters, digits, '-' or '_', and starts with a letter or digit"

func validName(s string) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	for i, r := range []byte(s) {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '-' && r != '_') {
			return false
		}
	}
	return true
}
