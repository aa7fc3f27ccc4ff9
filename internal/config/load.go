package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of what is read: a file that passes one of them is no configuration.
const (
	maxFileBytes = 1 << 20
	maxDepth     = 32
	maxNodes     = 100_000 // visited, aliases followed: an alias bomb ends here
	maxProblems  = 200     // told at once
)

// Options are what the reading depends on beside the file.
type Options struct {
	// Set are overrides "path=value", applied over the file in order:
	// "admin.listen=127.0.0.1:8083". The value is YAML.
	Set []string
	// LookupEnv serves ${env:NAME}. Default os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// SinkKinds, FormatKinds and CheckpointKinds are what can be had in this
	// build; the first checkpoint kind is the default.
	SinkKinds, FormatKinds, CheckpointKinds []string
}

// File is a configuration being read. It belongs to one goroutine.
type File struct {
	Path string
	Config

	opts     Options
	root     *yaml.Node
	problems []Problem
	blamed   map[string]bool     // keys that have a problem, and keys that a typo was meant to be
	override map[*yaml.Node]bool // nodes that come from --set
	raw      map[string]string   // path of an expanded value → the text with its references
	decoded  []decodedSection
	visited  int
}

// Read reads the core of the file at path. The error is that of reading the
// file; what is wrong in it is told by [File.Err], which is to be asked after
// all sections were decoded.
func Read(path string, o Options) (*File, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, o), nil
}

// Parse is Read for a file that is in memory; path is its name in problems and
// the place from which relative secret files are found.
func Parse(path string, data []byte, o Options) *File {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	f := &File{Path: path, Config: Default(), opts: o,
		blamed: map[string]bool{}, override: map[*yaml.Node]bool{}, raw: map[string]string{}}
	f.Checkpoint = f.absent("checkpoint", o.CheckpointKinds)
	f.root = f.parse(data)
	if f.root == nil {
		return f
	}
	for _, s := range o.Set {
		f.set(s)
	}
	f.decode(f.root, "", &f.Config)
	f.checkCore()
	return f
}

func readBounded(path string) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("%s is over %d MiB: that is no configuration", path, maxFileBytes>>20)
	}
	return data, err
}

// parse returns the mapping at the root of the only document, nil after a problem.
func (f *File) parse(data []byte) *yaml.Node {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		f.report(nil, "", "the file is empty")
		return nil
	} else if err != nil {
		f.reportSyntax(err)
		return nil
	}
	if err := dec.Decode(&more); err == nil {
		f.report(&more, "", "a second document begins here: one file is one configuration")
		return nil
	} else if !errors.Is(err, io.EOF) {
		f.reportSyntax(err)
		return nil
	}
	root := resolve(doc.Content[0])
	if root == nil || root.Kind != yaml.MappingNode {
		f.report(root, "", "the file must hold keys like sources, sinks and pipelines, not %s", describe(root))
		return nil
	}
	return root
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// reportSyntax turns the text of the YAML parser into a problem with a line.
func (f *File) reportSyntax(err error) {
	msg := err.Error()
	at := &yaml.Node{Line: 1} // the parser tells no column
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		msg = msg[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			at.Line = n
		}
	}
	if strings.HasPrefix(msg, "unknown anchor ") {
		msg = "an alias (*name) has no anchor; quote a text that begins with *" // the name may be a secret
	}
	f.report(at, "", "this is not YAML: %s", msg)
}

// set applies one override "a.b.c=value" to the tree, making mappings on the way.
func (f *File) set(s string) {
	blame := &yaml.Node{}
	f.override[blame] = true
	path, text, ok := strings.Cut(s, "=")
	if !ok || path == "" {
		f.report(blame, "", "%q: write it as key.path=value", s)
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		f.report(blame, path, "the value is not YAML")
		return
	}
	value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
	if len(doc.Content) > 0 {
		value = doc.Content[0]
	}
	f.mark(value, 0)
	if at := plainSecret(value, path, 0); at != "" {
		f.report(value, at, "a secret on the command line can be seen by every user of the machine: write ${env:NAME} or ${file:path} instead of it")
		return
	}
	f.put(strings.Split(path, "."), value)
}

// plainSecret returns the path of a secret that is written out in a value.
func plainSecret(n *yaml.Node, path string, depth int) string {
	n = resolve(n)
	if n == nil || depth > maxDepth {
		return ""
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if isSecretKey(path) && n.Value != "" && !hasReference(n.Value) {
			return path
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if at := plainSecret(item, path, depth+1); at != "" {
				return at
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if at := plainSecret(n.Content[i+1], join(path, n.Content[i].Value), depth+1); at != "" {
				return at
			}
		}
	}
	return ""
}

// put hangs value below the keys.
func (f *File) put(keys []string, value *yaml.Node) {
	at := f.root
	for i, k := range keys[:len(keys)-1] {
		child := resolve(lookup(at, k))
		if child == nil || isNull(child) {
			child = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			f.override[child] = true
			f.putKey(at, k, child)
		}
		if child.Kind != yaml.MappingNode {
			here := strings.Join(keys[:i+1], ".")
			f.report(value, strings.Join(keys, "."), "%s is %s and holds no keys", here, describe(child))
			return
		}
		at = child
	}
	f.putKey(at, keys[len(keys)-1], value)
}

// putKey sets one key of a mapping.
func (f *File) putKey(mapping *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content[i+1] = value
			return
		}
	}
	k := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
	f.override[k] = true
	mapping.Content = append(mapping.Content, k, value)
}

// mark notes that the nodes of an override come from the command line.
func (f *File) mark(n *yaml.Node, depth int) {
	if depth > maxDepth {
		return
	}
	f.override[n] = true
	for _, c := range n.Content {
		f.mark(c, depth+1)
	}
}
