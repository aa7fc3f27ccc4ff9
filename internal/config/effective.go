package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Masked stands where a secret would be.
const Masked = "********"

// Effective returns the configuration as it was understood, as YAML: every
// key with its value or default. A value that came by reference shows the
// reference; a secret written into the file is masked.
func (f *File) Effective() string {
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(f.encode("", reflect.ValueOf(&f.Config).Elem())); err != nil {
		return "cannot print the configuration: " + err.Error()
	}
	return b.String()
}

// encode is the inverse of value. nil means that there is nothing to show.
func (f *File) encode(path string, v reflect.Value) *yaml.Node {
	if s, ok := v.Interface().(Section); ok {
		return f.encodeSection(&s)
	}
	if ss, ok := v.Interface().(Sections); ok {
		return f.encodeSections(ss)
	}
	if text, ok := textOf(v); ok {
		return f.encodeText(path, text)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return f.encode(path, v.Elem())
	case reflect.Struct:
		return f.encodeStruct(path, v)
	case reflect.Slice:
		return f.encodeList(path, v)
	case reflect.Map:
		return f.encodeMap(path, v)
	case reflect.String:
		return f.encodeText(path, v.String())
	}
	return f.encodePlain(path, v)
}

func textOf(v reflect.Value) (string, bool) {
	m, ok := v.Interface().(encoding.TextMarshaler)
	if !ok && v.CanAddr() {
		m, ok = v.Addr().Interface().(encoding.TextMarshaler)
	}
	if !ok || v.Kind() == reflect.Pointer && v.IsNil() {
		return "", false
	}
	text, err := m.MarshalText()
	return string(text), err == nil
}

func (f *File) encodeText(path, s string) *yaml.Node {
	key := path[strings.LastIndexByte(path, '.')+1:]
	if raw, ok := f.raw[path]; ok {
		s = raw
	} else if s != "" && isSecretKey(key) {
		s = Masked
	}
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

// encodeSecret shows a field tagged secret:"true": the reference it came by, or
// nothing but whether it is set.
func (f *File) encodeSecret(path string, v reflect.Value) *yaml.Node {
	if _, ok := f.raw[path]; ok || v.IsZero() {
		return f.encode(path, v)
	}
	n := &yaml.Node{}
	n.SetString(Masked)
	return n
}

// isSecretKey reports whether a key holds a secret by its name.
func isSecretKey(key string) bool {
	for _, word := range []string{"password", "passphrase", "secret", "token"} {
		if strings.HasSuffix(key, word) {
			return true
		}
	}
	return false
}

func (f *File) encodePlain(path string, v reflect.Value) *yaml.Node {
	if raw, ok := f.raw[path]; ok {
		return &yaml.Node{Kind: yaml.ScalarNode, Value: raw}
	}
	s := fmt.Sprint(v.Interface())
	switch d, ok := v.Interface().(time.Duration); {
	case ok:
		s = formatDuration(d)
	case strings.HasSuffix(path, "_bytes") && v.CanInt():
		s = formatSize(v.Int())
	case v.CanFloat():
		s = strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: s}
}

// formatDuration is Duration.String without the zero parts at the end.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func (f *File) encodeStruct(path string, v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	f.encodeFields(n, path, v)
	return n
}

func (f *File) encodeFields(n *yaml.Node, path string, v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, ok := sf.Tag.Lookup("yaml")
		name, opt, _ := strings.Cut(tag, ",")
		switch {
		case !ok || name == "-" || !sf.IsExported() || sf.Tag.Get("later") != "":
		case opt == "inline":
			f.encodeFields(n, path, v.Field(i))
		case sf.Tag.Get("secret") == "true":
			put(n, name, f.encodeSecret(join(path, name), v.Field(i)))
		default:
			put(n, name, f.encode(join(path, name), v.Field(i)))
		}
	}
}

func put(n *yaml.Node, key string, val *yaml.Node) {
	if val == nil {
		return
	}
	k := &yaml.Node{}
	k.SetString(key)
	n.Content = append(n.Content, k, val)
}

func (f *File) encodeList(path string, v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for i := range v.Len() {
		item := f.encode(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		if item == nil {
			continue
		}
		if item.Kind != yaml.ScalarNode {
			n.Style = 0
		}
		n.Content = append(n.Content, item)
	}
	return n
}

func (f *File) encodeMap(path string, v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	keys := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	for _, k := range keys {
		elem := v.MapIndex(reflect.ValueOf(k).Convert(v.Type().Key()))
		put(n, k, f.encode(join(path, k), elem))
	}
	if len(keys) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

func (f *File) encodeSections(ss Sections) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range ss {
		put(n, s.Name, f.encodeSection(s))
	}
	return n
}

// encodeSection shows what the section was decoded into, under its kind where
// the kind is a key.
func (f *File) encodeSection(s *Section) *yaml.Node {
	inner := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	flat := s.Kind != "" && !s.wrapped
	for _, d := range f.decoded {
		if d.path == s.Path {
			if v := f.encode(s.Path, reflect.ValueOf(d.target).Elem()); len(v.Content) > 0 {
				inner = v
			}
		}
	}
	if flat {
		kind := &yaml.Node{Kind: yaml.MappingNode}
		put(kind, "kind", &yaml.Node{Kind: yaml.ScalarNode, Value: s.Kind})
		kind.Content = append(kind.Content, inner.Content...)
		return kind
	}
	if !s.wrapped {
		return inner
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	put(n, s.Kind, inner)
	return n
}
