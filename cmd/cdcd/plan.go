package main

import (
	"errors"
	"os"

	"github.com/cdcd-io/cdcd/internal/config"
)

// plan is a configuration of which every section was understood.
type plan struct {
	file *config.File
}

// readPlan reads the file and decodes every section by its driver's struct. The
// error holds all problems.
func readPlan(sys *system, path string, flags *configFlags) (*plan, error) {
	f, err := config.Read(path, flags.options(sys))
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("cdcd help config > "+path+" writes one to begin with", "there is no file %s", path)
	}
	if err != nil {
		return nil, usagef("", "%v", err)
	}
	p := &plan{file: f}
	return p, f.Err()
}
