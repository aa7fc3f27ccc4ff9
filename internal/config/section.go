package config

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// Section is a part of the file that somebody else's struct explains.
type Section struct {
	Name string // as the file names it: "shop"
	Kind string // which driver it is for: "mysql", "kafka"
	Path string // where it is: "sources.shop", "sinks.events.kafka"
	// Chosen says that the file names the kind; else it is the default.
	Chosen bool

	file    *File
	node    *yaml.Node // nil for a section the file lacks: all defaults
	above   *yaml.Node // where problems of a lacking section are told; nil for the root
	wrapped bool       // the kind is the section's only key, not a setting
}

// Sections are the sections of a mapping in the order of the file.
type Sections []*Section

type decodedSection struct {
	path   string
	target any
}

// Decode fills target, a pointer to a struct that holds its defaults. Problems
// join those of the file; the error only says that there were some.
func (s *Section) Decode(target any) error {
	before := len(s.file.problems)
	s.file.decoded = append(s.file.decoded, decodedSection{s.Path, target})
	if s.node == nil {
		s.file.validate(s.place(), s.Path, reflect.ValueOf(target).Elem())
	} else {
		s.file.decode(s.node, s.Path, target)
	}
	if n := len(s.file.problems) - before; n > 0 {
		return fmt.Errorf("%s has %d problems", s.Path, n)
	}
	return nil
}

// Report adds a problem found by whoever wires the parts together, at a key
// inside the section or, with key "", at the section itself.
func (s *Section) Report(key, format string, args ...any) {
	at, path := s.place(), s.Path
	if child := lookup(s.node, key); child != nil {
		at = child
	}
	if key != "" {
		path = join(path, key)
	}
	s.file.report(at, path, format, args...)
}

// place is the node that problems of the section as a whole are told at.
func (s *Section) place() *yaml.Node {
	switch {
	case s.node != nil:
		return s.node
	case s.above != nil:
		return s.above
	}
	return s.file.root
}

// Find returns the section of that name, or nil.
func (ss Sections) Find(name string) *Section {
	for _, s := range ss {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Names lists the names in the order of the file.
func (ss Sections) Names() []string {
	names := make([]string, len(ss))
	for i, s := range ss {
		names[i] = s.Name
	}
	return names
}

func (f *File) section(n *yaml.Node, path string) *Section {
	return &Section{Path: path, file: f, node: n}
}

// sections reads a mapping of names to sections.
func (f *File) sections(n *yaml.Node, path string, depth int) Sections {
	var out Sections
	f.pairs(n, path, func(key, val *yaml.Node) {
		if !validName(key.Value) {
			f.report(key, join(path, key.Value), nameRule)
			return
		}
		s := f.section(resolve(val), join(path, key.Value))
		s.Name = key.Value
		out = append(out, s)
	})
	return out
}

// kindOf reads a section whose only key names the kind: {kafka: {…}}. It
// leaves the section pointing at what is inside, or reports why it cannot.
func (f *File) kindOf(s *Section, known []string, later map[string]string) bool {
	var kind, inner *yaml.Node
	count := 0
	f.pairs(s.node, s.Path, func(key, val *yaml.Node) {
		kind, inner = key, resolve(val)
		count++
	})
	if s.node.Kind != yaml.MappingNode && !isNull(s.node) {
		return false
	}
	if count != 1 {
		f.report(s.node, s.Path, "must hold exactly one key that names its kind, %s", suggest("", known))
		return false
	}
	if why, ok := later[kind.Value]; ok {
		f.report(kind, join(s.Path, kind.Value), "not in this release: %s", why)
		return false
	}
	if !contains(known, kind.Value) {
		f.report(kind, join(s.Path, kind.Value), "unknown kind, %s", suggest(kind.Value, known))
		return false
	}
	s.Kind, s.Path, s.node, s.wrapped = kind.Value, join(s.Path, kind.Value), inner, true
	return true
}

// without returns the mapping n less one key, so that a driver need not know it.
func without(n *yaml.Node, key string) *yaml.Node {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return n
	}
	c := *n
	c.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != key {
			c.Content = append(c.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &c
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
