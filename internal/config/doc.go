// Package config reads the file that says what a daemon runs.
//
// It owns the core of the file (which sources, sinks and pipelines there are
// and how they hang together) and the reading of YAML: strictly, with the line
// of everything, all problems at once. It refuses to know a driver: the section
// of a source or a sink is a [Section], which whoever wires the daemon decodes
// into the driver's own struct with [Section.Decode]. What is wrong inside joins
// the other problems; [File.Err] tells them all, in order of lines.
//
// Decoding goes by reflection over the yaml tags of plain structs, so a driver
// needs no import of this package:
//
//   - a struct that is handed in holds its defaults already; keys that the file
//     lacks leave them alone
//   - time.Duration wants a unit ("10s"); an integer whose key ends in _bytes
//     takes units too ("64MiB")
//   - a type with UnmarshalText decodes itself from a scalar
//   - Validate() error is called after decoding; an error, or each of several
//     joined ones, that starts with "key:" or "key " is shown at that key
//   - the tag secret:"true" keeps a value out of everything printed; keys that
//     end in password, passphrase, secret or token are kept out without it
//   - the tag later:"why" marks a key that a coming release will know
//
// ${env:NAME} and ${file:path} stand for a secret kept elsewhere, in any value;
// $${ is a plain ${. [File.Effective] prints what was understood, with every
// default and without any secret.
//
// Read config.go first, then load.go, then decode.go.
package config
