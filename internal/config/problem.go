package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with the file.
type Problem struct {
	File         string // "--set" for an override of the command line
	Line, Column int    // from 1; 0 when there is none
	Key          string // path of the key: "sources.shop.hosts[0]"; "" for the whole file
	Text         string // what is wrong, and the remedy where one is known
}

// String reads "file:line:column: key: text".
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Text
}

// Problems is the error of a file with at least one problem.
type Problems []Problem

// Error lists every problem on a line of its own.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// report notes a problem at a node.
func (f *File) report(n *yaml.Node, path, format string, args ...any) {
	p := Problem{File: f.Path, Key: path, Text: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	if f.override[n] {
		p.File, p.Line, p.Column = "--set", 0, 0
	}
	if len(f.problems) < maxProblems && !slices.Contains(f.problems, p) {
		f.problems = append(f.problems, p)
	}
	f.blamed[path] = true
}

// Err returns all [Problems] found so far in order of lines, or nil.
func (f *File) Err() error {
	if len(f.problems) == 0 {
		return nil
	}
	ps := append(Problems(nil), f.problems...)
	sort.SliceStable(ps, func(i, j int) bool {
		a, b := ps[i], ps[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return ps
}

// reportAll notes each of the joined errors of a Validate at the key it names,
// but for keys that have a problem already: what they hold is a default.
func (f *File) reportAll(n *yaml.Node, path string, err error, known map[string]field) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			f.reportAll(n, path, e, known)
		}
		return
	}
	at, key, text := locate(n, path, err.Error(), known)
	if key == path || !f.isBlamed(key) {
		f.report(at, key, "%s", text)
	}
}

// isBlamed reports whether the key or one inside it has a problem already.
func (f *File) isBlamed(key string) bool {
	for k := range f.blamed {
		if k == key || key != "" && strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

// locate follows the key path that a message starts with ("tls.ca: no such
// file", "hosts must not be empty") as deep as the mapping has it. A package
// name before it is dropped.
func locate(n *yaml.Node, path, msg string, known map[string]field) (*yaml.Node, string, string) {
	key, text := splitKey(msg, known)
	if key == "" {
		if _, rest, ok := strings.Cut(msg, ": "); ok {
			key, text = splitKey(rest, known)
		}
	}
	if key == "" {
		return n, path, msg
	}
	at := n
	for _, part := range strings.Split(key, ".") {
		child := lookup(at, part)
		if child == nil {
			break
		}
		at = child
	}
	return at, join(path, key), text
}

// splitKey cuts the key path off the beginning of a message; key is "" when
// the message does not begin with a known one.
func splitKey(msg string, known map[string]field) (key, text string) {
	end := strings.IndexAny(msg, ": ")
	if end <= 0 {
		return "", msg
	}
	first := msg[:end]
	if i := strings.IndexAny(first, ".["); i >= 0 {
		first = first[:i]
	}
	if _, ok := known[first]; !ok {
		return "", msg
	}
	if msg[end] == ' ' {
		return msg[:end], msg // a sentence about the key
	}
	return msg[:end], strings.TrimLeft(msg[end:], ": ")
}

// lookup returns the value of a key of a mapping, or nil.
func lookup(n *yaml.Node, key string) *yaml.Node {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && i < maxDepth; i++ {
		n = n.Alias
	}
	return n
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
