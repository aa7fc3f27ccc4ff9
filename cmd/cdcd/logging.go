package main

import (
	"log/slog"

	"github.com/cdcd-io/cdcd/internal/config"
)

// newLogger writes to standard error: text for a person, JSON for a machine.
func newLogger(sys *system, c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated with the configuration
	opts := &slog.HandlerOptions{Level: level}
	if jsonLogs(sys, c) {
		return slog.New(slog.NewJSONHandler(sys.err, opts))
	}
	return slog.New(slog.NewTextHandler(sys.err, opts))
}

func jsonLogs(sys *system, c config.Log) bool {
	return c.Format == "json" || c.Format == "auto" && !sys.errTTY
}
