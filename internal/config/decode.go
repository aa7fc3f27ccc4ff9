package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/cdcd-io/cdcd/internal/nearest"
)

// decode fills target, a pointer to a struct that holds its defaults, from a
// mapping, and lets it validate itself.
func (f *File) decode(n *yaml.Node, path string, target any) {
	f.value(n, path, reflect.ValueOf(target).Elem(), 0)
}

var (
	sectionType  = reflect.TypeFor[Section]()
	sectionsType = reflect.TypeFor[Sections]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// value decodes one node into v, whatever v is.
func (f *File) value(n *yaml.Node, path string, v reflect.Value, depth int) {
	n = resolve(n)
	if f.visited++; f.visited > maxNodes || depth > maxDepth || n == nil {
		if f.visited <= maxNodes || f.visited == maxNodes+1 {
			f.report(n, path, "the file nests too deep or repeats aliases without end")
		}
		return
	}
	switch {
	case !knownTag(n):
		f.report(n, path, "YAML tags (!name) mean nothing here: quote a text that begins with !") // it may be a secret
	case v.Type() == sectionType:
		v.Set(reflect.ValueOf(*f.section(n, path)))
	case v.Type() == sectionsType:
		v.Set(reflect.ValueOf(f.sections(n, path, depth)))
	case v.CanAddr() && v.Addr().Type().Implements(textType):
		f.text(n, path, v.Addr().Interface().(encoding.TextUnmarshaler))
	case v.Kind() == reflect.Pointer:
		f.pointer(n, path, v, depth)
	case v.Kind() == reflect.Struct:
		f.structure(n, path, v, depth)
	case v.Kind() == reflect.Slice:
		f.list(n, path, v, depth)
	case v.Kind() == reflect.Map:
		f.dictionary(n, path, v, depth)
	default:
		f.scalar(n, path, v)
	}
}

func (f *File) pointer(n *yaml.Node, path string, v reflect.Value, depth int) {
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	f.value(n, path, v.Elem(), depth+1)
}

// text decodes a scalar into a type that reads itself.
func (f *File) text(n *yaml.Node, path string, t encoding.TextUnmarshaler) {
	s, ok := f.scalarText(n, path)
	if !ok {
		return
	}
	if err := t.UnmarshalText([]byte(s)); err != nil {
		if _, secret := f.raw[path]; secret {
			err = errors.New("what the reference stands for is no value of this setting") // the text stays out of messages
		}
		f.report(n, path, "%v", err)
	}
}

// structure decodes a mapping into the tagged fields of a struct.
func (f *File) structure(n *yaml.Node, path string, v reflect.Value, depth int) {
	fields := map[string]field{}
	fieldsOf(v, fields)
	f.pairs(n, path, func(key, val *yaml.Node) {
		fd, ok := fields[key.Value]
		switch {
		case !ok:
			f.unknown(key, path, keysOf(fields))
		case fd.later != "":
			f.report(key, join(path, key.Value), "not in this release: %s", fd.later)
		default:
			f.value(val, join(path, key.Value), fd.value, depth+1)
		}
	})
	f.validate(n, path, v)
}

// unknown reports a key that nobody knows. The key it was meant to be is
// blamed too, lest it be called missing.
func (f *File) unknown(key *yaml.Node, path string, known []string) {
	f.report(key, join(path, key.Value), "unknown key, %s", suggest(key.Value, known))
	f.blamed[join(path, nearest.Word(key.Value, known))] = true
}

// validate asks the struct itself.
func (f *File) validate(n *yaml.Node, path string, v reflect.Value) {
	if !v.CanAddr() {
		return
	}
	if val, ok := v.Addr().Interface().(interface{ Validate() error }); ok {
		if err := val.Validate(); err != nil {
			known := map[string]field{}
			fieldsOf(v, known)
			f.reportAll(n, path, err, known)
		}
	}
}

// pairs walks a mapping; an absent value, as left by a section whose keys are
// all commented out, is an empty one. A key that occurs twice is a problem.
func (f *File) pairs(n *yaml.Node, path string, visit func(key, val *yaml.Node)) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.report(n, path, "must hold keys, not %s", describe(n))
		return
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		switch first := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			f.report(key, path, "a key must be a plain word")
		case key.Tag == "!!merge":
			f.report(key, path, "merge keys (<<) are not supported: write the keys out")
		case first != nil:
			f.report(key, join(path, key.Value), "this key is there twice, first in line %d", first.Line)
		default:
			seen[key.Value] = key
			visit(key, val)
		}
	}
}

func (f *File) list(n *yaml.Node, path string, v reflect.Value, depth int) {
	if n.Kind != yaml.SequenceNode {
		f.report(n, path, "must be a list, like [a, b], not %s", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, 0) // a list replaces the default, it does not extend it
	for i, item := range n.Content {
		e := reflect.New(v.Type().Elem()).Elem()
		f.value(item, fmt.Sprintf("%s[%d]", path, i), e, depth+1)
		out = reflect.Append(out, e)
	}
	v.Set(out)
}

func (f *File) dictionary(n *yaml.Node, path string, v reflect.Value, depth int) {
	out := reflect.MakeMap(v.Type())
	f.pairs(n, path, func(key, val *yaml.Node) {
		e := reflect.New(v.Type().Elem()).Elem()
		f.value(val, join(path, key.Value), e, depth+1)
		out.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), e)
	})
	v.Set(out)
}

// field is one key a struct knows.
type field struct {
	value reflect.Value
	later string
}

// fieldsOf collects the keys of a struct, those of its inline structs too.
// Fields without a yaml tag are no part of the file.
func fieldsOf(v reflect.Value, out map[string]field) {
	t := v.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, ok := sf.Tag.Lookup("yaml")
		name, opt, _ := strings.Cut(tag, ",")
		switch {
		case !ok || name == "-" || !sf.IsExported():
		case opt == "inline":
			fieldsOf(v.Field(i), out)
		default:
			out[name] = field{v.Field(i), sf.Tag.Get("later")}
		}
	}
}

func keysOf(fields map[string]field) []string {
	var keys []string
	for k, fd := range fields {
		if fd.later == "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// knownTag reports whether a node is of one of YAML's own types. A text that
// begins with ! and is not quoted would be read as a tag of nothing.
func knownTag(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!map", "!!seq":
		return true
	}
	return false
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// describe names what a node is, for people.
func describe(n *yaml.Node) string {
	switch {
	case n == nil || isNull(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "a section with keys"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!bool":
		return "true or false"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "a number"
	}
	return "a text"
}
