// Package configs holds sample configurations. Each is parsed by a test of
// cmd/cdcd, and cdcd help config prints the reference.
package configs

import _ "embed"

// Reference is the configuration with every key, its meaning and its default.
//
//go:embed reference.yaml
var Reference string
